//! One image: the graphs in turn, and the host's arithmetic between them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::error::{DriveError, RunError};
use super::plan::{Component, Encoder, Guidance, Plan};
use super::roles::Role;
use super::text::{Text, mask};
use crate::axes::FixedInput;
use crate::folder::{Kind, Tokens};
use crate::value::{Data, Value};

/// What runs the graphs. Between two runs nothing is remembered.
pub trait Run {
    /// Runs a component once: all of its inputs by name go in, all of its outputs come out, in the file's order.
    ///
    /// # Errors
    /// The runtime's own words.
    fn run(&mut self, component: &str, inputs: &[(&str, &Value)]) -> Result<Vec<Value>, RunError>;

    /// How long the last run took, where the runner's own clock counts and not the one around [`Run::run`].
    fn took(&self) -> Option<Duration> {
        None
    }
}

/// What an image is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Token ids of the prompt for each text encoder.
    pub tokens: BTreeMap<String, Tokens>,
    /// Token ids of the empty prompt, read where the plan guides by two passes.
    pub empty: BTreeMap<String, Tokens>,
    /// Standard normal noise, as many numbers as [`Plan::noise_shape`] says.
    pub noise: Vec<f32>,
    /// The same once more for each step that draws fresh noise, [`Plan::fresh_noises`] in all.
    pub fresh: Vec<Vec<f32>>,
}

/// The seconds of each pass of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The component.
    pub component: String,
    /// One for each time it ran.
    pub seconds: Vec<f64>,
}

/// An image and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Red, green and blue, `[3, height, width]`, from 0 to 1.
    pub picture: Value,
    /// The latent after each step.
    pub latents: Vec<Value>,
    /// The components in the order in which they first ran.
    pub stages: Vec<Stage>,
    /// Seconds that no component took: the host's own.
    pub rest_s: f64,
    /// The first component whose output held a number that is not finite. The picture is then not worth looking at.
    pub not_finite: Option<String>,
}

impl Plan {
    /// The shape of the latent as the denoiser sees it.
    pub fn noise_shape(&self) -> Vec<usize> {
        let (h, w) = self.latent;
        match self.kind {
            Kind::Flux => vec![1, (h / 2) * (w / 2), 4 * self.channels],
            _ => vec![1, self.channels, h, w],
        }
    }

    /// How many noises a run draws besides the first.
    pub fn fresh_noises(&self) -> usize {
        (0..self.schedule.steps()).filter(|&step| self.schedule.is_noisy(step)).count()
    }

    /// Tokens of a text for each text encoder.
    pub fn text_tokens(&self) -> impl Iterator<Item = (&str, usize)> {
        self.encoders.iter().map(|encoder| (encoder.component.name.as_str(), encoder.tokens))
    }

    /// Tokens of text that the denoiser reads.
    pub fn denoiser_tokens(&self) -> usize {
        self.text.tokens(&self.text_tokens().map(|(_, count)| count).collect::<Vec<_>>())
    }

    /// Whether each step is two passes, of which one reads the empty prompt.
    pub fn reads_empty_prompt(&self) -> bool {
        matches!(self.guidance, Guidance::TwoPasses(_))
    }

    /// The guidance scale, and whether it takes two passes a step; `None` where nothing is guided.
    pub fn guidance(&self) -> Option<(f64, bool)> {
        match self.guidance {
            Guidance::Off => None,
            Guidance::Inside(scale) => Some((scale, false)),
            Guidance::TwoPasses(scale) => Some((scale, true)),
        }
    }

    /// Height and width of the picture in pixels.
    pub fn picture(&self) -> (usize, usize) {
        (self.latent.0 * self.defaults.factor, self.latent.1 * self.defaults.factor)
    }

    /// All components with their inputs' sizes, in the order in which they run.
    pub fn components(&self) -> impl Iterator<Item = &Component> {
        self.encoders.iter().map(|encoder| &encoder.component).chain([&self.denoiser, &self.decoder])
    }

    /// Makes one image.
    ///
    /// # Errors
    /// [`DriveError`] names the component that failed or does not fit.
    pub fn image(&self, inputs: &Inputs, run: &mut dyn Run) -> Result<Image, DriveError> {
        self.check(inputs)?;
        let start = Instant::now();
        let mut drive = Drive { plan: self, run, stages: Vec::new(), not_finite: None };
        let prompt = drive.text(&inputs.tokens)?;
        let empty = if self.reads_empty_prompt() { Some(drive.text(&inputs.empty)?) } else { None };
        let mut latents = Vec::new();
        let mut fresh = inputs.fresh.iter();
        let mut x: Vec<f32> =
            inputs.noise.iter().map(|&noise| (f64::from(noise) * self.schedule.first_scale) as f32).collect();
        for step in 0..self.schedule.steps() {
            let divisor = self.schedule.input_divisor(step);
            let fed: Vec<f32> = x.iter().map(|&x| (f64::from(x) / divisor) as f32).collect();
            let mut predicted = drive.predict(step, &fed, &prompt)?;
            if let (Some(empty), Guidance::TwoPasses(scale)) = (&empty, self.guidance) {
                let without = drive.predict(step, &fed, empty)?;
                for (predicted, without) in predicted.iter_mut().zip(without) {
                    *predicted = without + scale * (*predicted - without);
                }
            }
            let noise = if self.schedule.is_noisy(step) { fresh.next() } else { None };
            for (index, x) in x.iter_mut().enumerate() {
                // Read only where there is some.
                let fresh = noise.map_or(0.0, |noise| f64::from(noise[index]));
                *x = self.schedule.step(step, f64::from(*x), predicted[index], fresh) as f32;
            }
            latents.push(value(&self.denoiser.name, "the latent", self.noise_shape(), x.clone())?);
        }
        let picture = drive.decode(&x)?;
        let in_stages: f64 = drive.stages.iter().flat_map(|stage| &stage.seconds).sum();
        let rest_s = (start.elapsed().as_secs_f64() - in_stages).max(0.0);
        Ok(Image { picture, latents, rest_s, stages: drive.stages, not_finite: drive.not_finite })
    }

    fn check(&self, inputs: &Inputs) -> Result<(), DriveError> {
        let fail = |why: String| Err(DriveError::Inputs(why));
        let elements: usize = self.noise_shape().iter().product();
        if let Some(other) = [&inputs.noise].into_iter().chain(&inputs.fresh).find(|noise| noise.len() != elements) {
            return fail(format!("a noise has {} numbers, not {elements}", other.len()));
        }
        if inputs.fresh.len() != self.fresh_noises() {
            return fail(format!("there are {} fresh noises, not {}", inputs.fresh.len(), self.fresh_noises()));
        }
        let texts = [Some(&inputs.tokens), self.reads_empty_prompt().then_some(&inputs.empty)];
        for texts in texts.into_iter().flatten() {
            for (encoder, count) in self.text_tokens() {
                let found = texts.get(encoder).map(|tokens| tokens.ids.len());
                if found != Some(count) {
                    return fail(format!("{encoder} has {} tokens, not {count}", found.unwrap_or_default()));
                }
            }
        }
        Ok(())
    }
}

/// One image in the making.
struct Drive<'a> {
    plan: &'a Plan,
    run: &'a mut dyn Run,
    stages: Vec<Stage>,
    not_finite: Option<String>,
}

impl Drive<'_> {
    fn text(&mut self, tokens: &BTreeMap<String, Tokens>) -> Result<Text, DriveError> {
        let plan = self.plan;
        let mut outputs = Vec::new();
        for encoder in &plan.encoders {
            // Both were checked to be there.
            let Some(tokens) = tokens.get(&encoder.component.name) else { continue };
            outputs.push(self.encode(encoder, tokens)?);
        }
        let first = plan.encoders.first().and_then(|encoder| tokens.get(&encoder.component.name));
        plan.text.gather(plan, &outputs, first)
    }

    fn encode(&mut self, encoder: &Encoder, tokens: &Tokens) -> Result<Vec<Value>, DriveError> {
        let component = &encoder.component;
        let shape = vec![1, tokens.ids.len()];
        let values = component.roles.iter().map(|role| match role {
            Role::Mask => value(&component.name, "the mask", shape.clone(), mask(tokens)),
            _ => value(&component.name, "the tokens", shape.clone(), tokens.ids.clone()),
        });
        let values = values.collect::<Result<Vec<_>, _>>()?;
        self.pass(component, values)
    }

    /// One pass of the denoiser.
    fn predict(&mut self, step: usize, x: &[f32], text: &Text) -> Result<Vec<f64>, DriveError> {
        let plan = self.plan;
        let component = &plan.denoiser;
        let values =
            component.inputs.iter().zip(&component.roles).map(|(input, role)| self.feed(input, *role, step, x, text));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let outputs = self.pass(component, values)?;
        let shape = plan.noise_shape();
        let wrong = |found: String| DriveError::Output {
            component: component.name.clone(),
            found,
            wanted: format!("a prediction of shape {shape:?}"),
        };
        let output = outputs.first().ok_or_else(|| wrong("nothing".to_owned()))?;
        let mut numbers = output.to_f64();
        // Some predict their variance too, in as many channels again.
        let mut twice = shape.clone();
        twice[1] *= 2;
        if output.shape() == twice && plan.kind != Kind::Flux {
            numbers.truncate(x.len());
        } else if output.shape() != shape {
            return Err(wrong(format!("{:?}", output.shape())));
        }
        Ok(numbers)
    }

    fn feed(&self, input: &FixedInput, role: Role, step: usize, x: &[f32], text: &Text) -> Result<Value, DriveError> {
        let plan = self.plan;
        let component = &plan.denoiser.name;
        let value = |shape: Vec<usize>, data: Data| value(component, &input.name, shape, data);
        let missing = |what: &str| DriveError::Feed {
            component: component.clone(),
            input: input.name.clone(),
            why: format!("wants {what}, which this pipeline does not make"),
        };
        let (h, w) = plan.latent;
        let pixels = |extent: usize| (extent * plan.defaults.factor) as f32;
        match role {
            Role::Latent => value(plan.noise_shape(), x.to_vec().into()),
            Role::Time => {
                let time = plan.schedule.timesteps[step];
                let time = if plan.kind == Kind::Flux { time / 1000.0 } else { time };
                value(vec![1], vec![time].into())
            }
            Role::Text => Ok(text.sequence.clone()),
            Role::Pooled => text.pooled.clone().ok_or_else(|| missing("one vector of text")),
            Role::Mask => value(vec![1, text.mask.len()], text.mask.clone().into()),
            Role::Sizes => {
                let (height, width) = (pixels(h), pixels(w));
                value(vec![1, 6], vec![height, width, 0.0, 0.0, height, width].into())
            }
            Role::Guidance | Role::GuidanceFeatures => {
                let Guidance::Inside(scale) = plan.guidance else { return Err(missing("a guidance scale")) };
                if role == Role::Guidance {
                    return value(vec![1], vec![scale].into());
                }
                let width = input.shape.last().copied().unwrap_or_default();
                value(vec![1, width], features(scale - 1.0, width).into())
            }
            Role::ImagePositions => {
                let (rows, columns) = (h / 2, w / 2);
                let positions =
                    (0..rows).flat_map(|row| (0..columns).flat_map(move |column| [0, row as i64, column as i64]));
                value(vec![rows * columns, 3], positions.collect::<Vec<i64>>().into())
            }
            Role::TextPositions => {
                let tokens = text.sequence.shape()[1];
                value(vec![tokens, 3], vec![0i64; 3 * tokens].into())
            }
            Role::Tokens => Err(missing("token ids")),
        }
    }

    fn decode(&mut self, x: &[f32]) -> Result<Value, DriveError> {
        let plan = self.plan;
        let (h, w) = plan.latent;
        let latent = if plan.kind == Kind::Flux { unpack(x, plan.channels, h, w) } else { x.to_vec() };
        let scaled = |&x: &f32| (f64::from(x) / plan.defaults.scaling + plan.defaults.shift) as f32;
        let latent: Vec<f32> = latent.iter().map(scaled).collect();
        let component = &plan.decoder;
        let values = component
            .roles
            .iter()
            .map(|_| value(&component.name, "the latent", vec![1, plan.channels, h, w], latent.clone()));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let outputs = self.pass(component, values)?;
        let (height, width) = (h * plan.defaults.factor, w * plan.defaults.factor);
        let found = outputs.first().map(|output| output.shape());
        let Some(output) = outputs.first().filter(|output| output.shape() == [1, 3, height, width]) else {
            return Err(DriveError::Output {
                component: component.name.clone(),
                found: found.map_or_else(|| "nothing".to_owned(), |shape| format!("{shape:?}")),
                wanted: format!("a picture of shape [1, 3, {height}, {width}]"),
            });
        };
        let picture: Vec<f32> =
            output.to_f64().iter().map(|value| (value / 2.0 + 0.5).clamp(0.0, 1.0) as f32).collect();
        value(&component.name, "the picture", vec![3, height, width], picture)
    }

    /// Runs a component on values in the order of its inputs, after checking them against its interface; takes the time.
    fn pass(&mut self, component: &Component, values: Vec<Value>) -> Result<Vec<Value>, DriveError> {
        let values = component.inputs.iter().zip(values).map(|(input, value)| fit(&component.name, input, value));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let named: Vec<(&str, &Value)> =
            component.inputs.iter().map(|input| input.name.as_str()).zip(&values).collect();
        let start = Instant::now();
        let outputs = self.run.run(&component.name, &named);
        let waited = start.elapsed();
        let seconds = self.run.took().unwrap_or(waited).as_secs_f64();
        let outputs = outputs.map_err(|source| DriveError::Run { component: component.name.clone(), source })?;
        match self.stages.iter_mut().find(|stage| stage.component == component.name) {
            Some(stage) => stage.seconds.push(seconds),
            None => self.stages.push(Stage { component: component.name.clone(), seconds: vec![seconds] }),
        }
        if outputs.len() != component.outputs.len() {
            return Err(DriveError::Output {
                component: component.name.clone(),
                found: format!("{} tensors", outputs.len()),
                wanted: format!("one for each of {}", component.outputs.join(", ")),
            });
        }
        if self.not_finite.is_none()
            && !outputs.iter().all(|output| output.to_f64().iter().all(|number| number.is_finite()))
        {
            self.not_finite = Some(component.name.clone());
        }
        Ok(outputs)
    }
}

fn value(component: &str, input: &str, shape: Vec<usize>, data: impl Into<Data>) -> Result<Value, DriveError> {
    Value::new(shape, data).map_err(|error| DriveError::Feed {
        component: component.to_owned(),
        input: input.to_owned(),
        why: error.to_string(),
    })
}

/// Casts a value to what an input asks for; a scalar may be written with any number of axes of 1.
fn fit(component: &str, input: &FixedInput, value: Value) -> Result<Value, DriveError> {
    let fail = |why: String| DriveError::Feed { component: component.to_owned(), input: input.name.clone(), why };
    let value = value.cast(input.dtype).map_err(|error| fail(error.to_string()))?;
    let without_ones = |shape: &[usize]| shape.iter().copied().filter(|&extent| extent != 1).collect::<Vec<_>>();
    if without_ones(value.shape()) != without_ones(&input.shape) {
        return Err(fail(format!("is of shape {:?}, but the pipeline makes {:?} for it", input.shape, value.shape())));
    }
    value.reshape(input.shape.clone()).map_err(|error| fail(error.to_string()))
}

/// Sines, then cosines, of a guidance scale: what LCM's denoiser is told.
fn features(scale: f64, width: usize) -> Vec<f64> {
    let half = width / 2;
    let angle = |index: usize| scale * 1000.0 * (-(index as f64) * 10000f64.ln() / (half as f64 - 1.0)).exp();
    (0..half).map(|index| angle(index).sin()).chain((0..half).map(|index| angle(index).cos())).collect()
}

/// From tokens of two by two elements back to channels, rows and columns.
fn unpack(x: &[f32], channels: usize, h: usize, w: usize) -> Vec<f32> {
    let mut latent = Vec::with_capacity(x.len());
    for channel in 0..channels {
        for row in 0..h {
            for column in 0..w {
                let token = (row / 2) * (w / 2) + column / 2;
                latent.push(x[(token * channels + channel) * 4 + (row % 2) * 2 + column % 2]);
            }
        }
    }
    latent
}
