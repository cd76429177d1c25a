//! From `scheduler_config.json` to a [`Scheduler`].

use serde_json::{Map, Value};

use super::{Clip, Diffusion, Prediction, Rule, Scheduler, Shift, Spacing};

/// The schedulers that there are rules for.
pub const SCHEDULERS: [&str; 5] = [
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LCMScheduler",
    "DDIMScheduler",
    "FlowMatchEulerDiscreteScheduler",
];

/// Most timesteps of training. Everybody has 1000.
const MOST_STEPS: u64 = 100_000;

/// A scheduler that cannot be run, or not like this.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SchedulerError {
    /// No rule for the class.
    #[error(
        "{class} is a scheduler that ditbench does not run. It runs {}. Time per step does not depend on the scheduler: \
         put one of these into scheduler/scheduler_config.json to time the same passes; the pictures are then not those of \
         your app", SCHEDULERS.join(", ")
    )]
    Class {
        /// The class in the file.
        class: String,
    },
    /// A field whose value no rule covers.
    #[error("{class}: {field} = {value} is not supported; {supported}")]
    Field {
        /// The scheduler.
        class: String,
        /// The field of `scheduler_config.json`.
        field: String,
        /// Its value there.
        value: String,
        /// What is.
        supported: String,
    },
    /// A number of steps that the scheduler cannot take.
    #[error("{class}: {steps} steps are not possible: {why}")]
    Steps {
        /// The scheduler.
        class: &'static str,
        /// The steps asked for.
        steps: usize,
        /// Why not.
        why: String,
    },
    /// A scheduler in a pipeline for which it has no rule.
    #[error("{class} in a {pipeline} is not supported: {why}")]
    Pipeline {
        /// The scheduler.
        class: &'static str,
        /// The kind of pipeline.
        pipeline: String,
        /// What is.
        why: String,
    },
}

/// Fields of diffusers' other schedulers that files carry along from one class to the next. diffusers ignores what a class
/// does not know; `use_flow_sigmas` is not among them, because FluxPipeline itself reads it.
const FOREIGN: [&str; 50] = [
    "algorithm_type",
    "base_image_seq_len",
    "base_shift",
    "beta_end",
    "beta_schedule",
    "beta_start",
    "clip_sample",
    "clip_sample_range",
    "disable_corrector",
    "dynamic_thresholding_ratio",
    "euler_at_final",
    "final_sigmas_type",
    "flow_shift",
    "interpolation_type",
    "invert_sigmas",
    "lambda_min_clipped",
    "lower_order_final",
    "max_image_seq_len",
    "max_shift",
    "original_inference_steps",
    "predict_x0",
    "prediction_type",
    "rescale_betas_zero_snr",
    "rho",
    "sample_max_value",
    "set_alpha_to_one",
    "shift",
    "shift_terminal",
    "sigma_data",
    "sigma_max",
    "sigma_min",
    "sigma_schedule",
    "skip_prk_steps",
    "solver_order",
    "solver_p",
    "solver_type",
    "steps_offset",
    "stochastic_sampling",
    "thresholding",
    "time_shift_type",
    "timestep_scaling",
    "timestep_spacing",
    "timestep_type",
    "trained_betas",
    "use_beta_sigmas",
    "use_dynamic_shifting",
    "use_exponential_sigmas",
    "use_karras_sigmas",
    "use_lu_lambdas",
    "variance_type",
];

impl Scheduler {
    /// Reads the fields of `scheduler_config.json`. Those that are missing have diffusers' defaults.
    ///
    /// # Errors
    /// [`SchedulerError::Class`] and [`SchedulerError::Field`].
    pub fn parse(config: &Map<String, Value>) -> Result<Self, SchedulerError> {
        let class = config.get("_class_name").and_then(Value::as_str).unwrap_or("a scheduler without a _class_name");
        let mut fields = Fields { class, config, read: vec!["_class_name", "_diffusers_version"] };
        let rule = match class {
            "EulerDiscreteScheduler" => fields.euler()?,
            "EulerAncestralDiscreteScheduler" => fields.ancestral()?,
            "LCMScheduler" => fields.lcm()?,
            "DDIMScheduler" => fields.ddim()?,
            "FlowMatchEulerDiscreteScheduler" => fields.flow()?,
            other => return Err(SchedulerError::Class { class: other.to_owned() }),
        };
        Ok(Self { rule, ignored: fields.rest()? })
    }
}

/// The fields of a file, and which of them have been read.
struct Fields<'a> {
    class: &'a str,
    config: &'a Map<String, Value>,
    read: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn euler(&mut self) -> Result<Rule, SchedulerError> {
        self.only("interpolation_type", "linear")?;
        self.only("timestep_type", "discrete")?;
        self.off(&["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"])?;
        // Read by those three alone.
        self.read.extend(["sigma_min", "sigma_max"]);
        let last = self.choice("final_sigmas_type", "zero", &["zero", "sigma_min"])?;
        Ok(Rule::Euler {
            diffusion: self.diffusion(0.0001, 0.02, "linear", true)?,
            spacing: self.spacing("linspace")?,
            offset: self.count("steps_offset", 0, 0)?,
            ancestral: false,
            last_is_lowest: last == "sigma_min",
        })
    }

    fn ancestral(&mut self) -> Result<Rule, SchedulerError> {
        Ok(Rule::Euler {
            diffusion: self.diffusion(0.0001, 0.02, "linear", false)?,
            spacing: self.spacing("linspace")?,
            offset: self.count("steps_offset", 0, 0)?,
            ancestral: true,
            last_is_lowest: false,
        })
    }

    fn lcm(&mut self) -> Result<Rule, SchedulerError> {
        // It has these fields and does not read them.
        self.read.extend(["set_alpha_to_one", "steps_offset", "timestep_spacing"]);
        let diffusion = self.diffusion(0.00085, 0.012, "scaled_linear", true)?;
        let original_steps = self.count("original_inference_steps", 50, 1)?;
        if original_steps > diffusion.alphas.len() {
            let most = format!("there are {} timesteps of training", diffusion.alphas.len());
            return Err(self.unsupported("original_inference_steps", &most));
        }
        let scaling = self.number("timestep_scaling", 10.0)?;
        Ok(Rule::Lcm { diffusion, original_steps, scaling, clip: self.clip(false)? })
    }

    fn ddim(&mut self) -> Result<Rule, SchedulerError> {
        Ok(Rule::Ddim {
            diffusion: self.diffusion(0.0001, 0.02, "linear", true)?,
            spacing: self.spacing("leading")?,
            offset: self.count("steps_offset", 0, 0)?,
            // diffusers' default is to clip, and many files leave the field out.
            clip: self.clip(true)?,
            last_is_one: self.flag("set_alpha_to_one", true)?,
        })
    }

    fn flow(&mut self) -> Result<Rule, SchedulerError> {
        self.off(&[
            "invert_sigmas",
            "shift_terminal",
            "use_karras_sigmas",
            "use_exponential_sigmas",
            "use_beta_sigmas",
            "stochastic_sampling",
        ])?;
        let train_steps = self.train_steps()?;
        let fixed = self.number("shift", 1.0)?;
        if fixed <= 0.0 {
            return Err(self.unsupported("shift", "it must be above 0"));
        }
        let exponential = self.choice("time_shift_type", "exponential", &["exponential", "linear"])? == "exponential";
        let base = (self.number("base_image_seq_len", 256.0)?, self.number("base_shift", 0.5)?);
        let most = (self.number("max_image_seq_len", 4096.0)?, self.number("max_shift", 1.15)?);
        let shift = match self.flag("use_dynamic_shifting", false)? {
            true if base.0 == most.0 => {
                return Err(self.unsupported("max_image_seq_len", "it must differ from base_image_seq_len"));
            }
            true => Shift::ByTokens { base, most, exponential },
            false => Shift::Fixed(fixed),
        };
        Ok(Rule::Flow { train_steps, shift })
    }

    fn diffusion(&mut self, start: f64, end: f64, schedule: &str, sample: bool) -> Result<Diffusion, SchedulerError> {
        self.off(&["trained_betas", "rescale_betas_zero_snr"])?;
        let steps = self.train_steps()?;
        let (start, end) = (self.number("beta_start", start)?, self.number("beta_end", end)?);
        for (field, beta) in [("beta_start", start), ("beta_end", end)] {
            if !(beta > 0.0 && beta < 1.0) {
                return Err(self.unsupported(field, "it must be between 0 and 1"));
            }
        }
        let scaled = self.choice("beta_schedule", schedule, &["linear", "scaled_linear"])? == "scaled_linear";
        let known: &[&'static str] =
            if sample { &["epsilon", "v_prediction", "sample"] } else { &["epsilon", "v_prediction"] };
        let prediction = match self.choice("prediction_type", "epsilon", known)? {
            "epsilon" => Prediction::Epsilon,
            "v_prediction" => Prediction::Velocity,
            _ => Prediction::Sample,
        };
        Ok(Diffusion { alphas: alphas(steps, start, end, scaled), prediction })
    }

    fn train_steps(&mut self) -> Result<usize, SchedulerError> {
        let steps = self.count("num_train_timesteps", 1000, 2)?;
        if steps as u64 > MOST_STEPS {
            return Err(self.unsupported("num_train_timesteps", &format!("it can be up to {MOST_STEPS}")));
        }
        Ok(steps)
    }

    fn spacing(&mut self, default: &str) -> Result<Spacing, SchedulerError> {
        Ok(match self.choice("timestep_spacing", default, &["linspace", "leading", "trailing"])? {
            "linspace" => Spacing::Linspace,
            "leading" => Spacing::Leading,
            _ => Spacing::Trailing,
        })
    }

    fn clip(&mut self, default: bool) -> Result<Clip, SchedulerError> {
        self.off(&["thresholding"])?;
        // Read by thresholding alone.
        self.read.extend(["dynamic_thresholding_ratio", "sample_max_value"]);
        let range = self.number("clip_sample_range", 1.0)?;
        if range <= 0.0 {
            return Err(self.unsupported("clip_sample_range", "it must be above 0"));
        }
        Ok(self.flag("clip_sample", default)?.then_some(range))
    }

    /// A field's value, unless it is missing or null.
    fn take(&mut self, field: &'static str) -> Option<&'a Value> {
        self.read.push(field);
        self.config.get(field).filter(|value| !value.is_null())
    }

    fn number(&mut self, field: &'static str, default: f64) -> Result<f64, SchedulerError> {
        let number = match self.take(field) {
            None => Some(default),
            Some(value) => value.as_f64().filter(|number| number.is_finite()),
        };
        number.ok_or_else(|| self.unsupported(field, "it must be a number"))
    }

    fn count(&mut self, field: &'static str, default: usize, least: u64) -> Result<usize, SchedulerError> {
        let count = match self.take(field) {
            None => Some(default),
            Some(value) => value.as_u64().filter(|&count| count >= least).and_then(|count| usize::try_from(count).ok()),
        };
        count.ok_or_else(|| self.unsupported(field, &format!("it must be a whole number from {least} on")))
    }

    fn flag(&mut self, field: &'static str, default: bool) -> Result<bool, SchedulerError> {
        let flag = self.take(field).map_or(Some(default), Value::as_bool);
        flag.ok_or_else(|| self.unsupported(field, "it must be true or false"))
    }

    fn choice(
        &mut self,
        field: &'static str,
        default: &str,
        known: &[&'static str],
    ) -> Result<&'static str, SchedulerError> {
        let found = match self.take(field) {
            None => Some(default),
            Some(value) => value.as_str(),
        };
        let choice = known.iter().copied().find(|&word| Some(word) == found);
        choice.ok_or_else(|| self.unsupported(field, &format!("supported: {}", known.join(", "))))
    }

    fn only(&mut self, field: &'static str, word: &'static str) -> Result<(), SchedulerError> {
        self.choice(field, word, &[word]).map(|_| ())
    }

    /// Fields that must be false, null or missing.
    fn off(&mut self, fields: &[&'static str]) -> Result<(), SchedulerError> {
        fields.iter().try_for_each(|&field| match self.take(field) {
            None | Some(Value::Bool(false)) => Ok(()),
            Some(_) => Err(self.unsupported(field, "supported: false or null")),
        })
    }

    /// Fields that nobody read: those of other schedulers by name, any other as an error unless it says nothing.
    fn rest(&self) -> Result<Vec<String>, SchedulerError> {
        let mut ignored = Vec::new();
        for (field, value) in self.config.iter().filter(|(field, _)| !self.read.contains(&field.as_str())) {
            if FOREIGN.contains(&field.as_str()) {
                ignored.push(field.clone());
            } else if !(value.is_null() || value == &Value::Bool(false) || field.starts_with('_')) {
                return Err(self.unsupported(field, "ditbench does not know this field; supported: false or null"));
            }
        }
        Ok(ignored)
    }

    fn unsupported(&self, field: &str, supported: &str) -> SchedulerError {
        SchedulerError::Field {
            class: self.class.to_owned(),
            field: field.to_owned(),
            value: self.config.get(field).map_or_else(|| "(missing)".to_owned(), Value::to_string),
            supported: supported.to_owned(),
        }
    }
}

/// ᾱ of each timestep. The betas are f32 as torch makes them, the product is rounded to f32 at each timestep: after a
/// thousand factors the difference to f64 throughout would be larger than all others.
fn alphas(steps: usize, start: f64, end: f64, scaled: bool) -> Vec<f64> {
    let (start, end) = if scaled { (start.sqrt(), end.sqrt()) } else { (start, end) };
    let (start, end) = (start as f32, end as f32);
    let step = (end - start) / (steps - 1) as f32;
    let mut product = 1f64;
    (0..steps)
        .map(|index| {
            // torch.linspace counts from both ends.
            let beta = match index < steps / 2 {
                true => start + step * index as f32,
                false => end - step * (steps - 1 - index) as f32,
            };
            let beta = if scaled { beta * beta } else { beta };
            product *= f64::from(1.0 - beta);
            f64::from(product as f32)
        })
        .collect()
}
