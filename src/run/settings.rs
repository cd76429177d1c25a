//! What a run was asked for.

use ditbench_record::Home;
use ditbench_reports::advice::Question;
use serde::{Deserialize, Serialize};

use super::WeightsChoice;
use super::judging::Wanted;
use crate::host::adb::PhoneOptions;
use crate::plan::{Images, Launches, PlanFile, Seconds, Shard, Target};

/// What a launch may take at most, unless it is said.
pub const TIMEOUT: Seconds = Seconds::fixed(600.0);

/// What a run was asked for, all defaults filled in. Kept in the record, so that a resumed run is the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The prompt of every image.
    pub prompt: String,
    /// Seed of the noise and of initialised weights.
    pub seed: u64,
    /// Launches per cell, at most.
    pub launches: Launches,
    /// Images per launch, at most.
    pub images: Images,
    /// Seconds for the whole run.
    pub budget_s: Seconds,
    /// Whether somebody chose that budget: cells that it has no room for are then left out; otherwise each gets a launch all the same.
    #[serde(default)]
    pub leaves_out: bool,
    /// Seconds after which one launch is given up.
    pub timeout_s: Seconds,
    /// Whether each cell's first launch also makes an image under the runtime's profiler.
    #[serde(default)]
    pub profile: bool,
    /// Whether to leave out what does not change from launch to launch: the machine's peaks, the memory pass, the
    /// comparison of images.
    #[serde(default)]
    pub brief: bool,
    /// Whether nodes that a device does not take may run on the processor, in rows that say so.
    #[serde(default)]
    pub allow_fallback: bool,
    /// Which part of the plan, for one of several machines.
    #[serde(default)]
    pub shard: Option<Shard>,
    /// Whether sensors are read while workers are at work, and not only before and after.
    #[serde(default)]
    pub telemetry: bool,
    /// Seconds for which each launch goes on, hot or not; `None` for launches that end when enough is known.
    #[serde(default)]
    pub sustained_s: Option<Seconds>,
    /// Whether pictures of many prompts are made and judged, instead of timing one.
    #[serde(default)]
    pub judging: Option<Wanted>,
    /// What the search for a configuration is under, where launches are made by a search and not in rounds.
    #[serde(default)]
    pub tune: Option<Question>,
    /// What is to be predicted (`size=2048×2048`) when it is done, where it is made to see how costs grow.
    #[serde(default)]
    pub scale: Option<Vec<String>>,
    /// Which weights.
    #[serde(default)]
    pub weights: WeightsChoice,
    /// Where: this machine, or a phone.
    #[serde(default)]
    pub on: Option<Target>,
    /// How to treat a phone.
    #[serde(default)]
    pub phone: PhoneOptions,
    /// The cells.
    pub plan: PlanFile,
}

/// What a command takes where neither its flags nor the plan say.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// Launches per cell, at most.
    pub launches: Launches,
    /// Images per launch, at most.
    pub images: Images,
    /// Time for the whole run.
    pub budget: Seconds,
}

impl Settings {
    /// A run of a plan on this machine, with nothing asked for beyond it.
    pub fn of(plan: PlanFile, usual: Usual) -> Self {
        Self {
            prompt: plan.prompt.clone().unwrap_or_else(|| "turtle".to_owned()),
            seed: plan.seed.unwrap_or(7),
            launches: plan.launches.unwrap_or(usual.launches),
            images: plan.images.unwrap_or(usual.images),
            budget_s: plan.budget.unwrap_or(usual.budget),
            leaves_out: plan.budget.is_some(),
            timeout_s: TIMEOUT,
            profile: false,
            brief: false,
            allow_fallback: false,
            shard: None,
            telemetry: true,
            sustained_s: None,
            judging: None,
            tune: None,
            scale: None,
            weights: WeightsChoice::default(),
            on: None,
            phone: PhoneOptions::default(),
            plan,
        }
    }

    /// Paths as they were before the record hid the user's home folder in them.
    pub(super) fn make_paths_whole(&mut self, home: &Home) {
        let judge = self.judging.as_mut().and_then(|wanted| wanted.judge.as_mut());
        let weights = match &mut self.weights {
            WeightsChoice::File(path) => Some(path),
            WeightsChoice::Usual | WeightsChoice::Random => None,
        };
        self.plan.show_home(home);
        let phone = self.phone.phone_binary.iter_mut().chain(self.phone.folders.0.values_mut());
        for provider in self.plan.ep.iter_mut().flatten() {
            *provider = provider.whole(home);
        }
        for path in judge.into_iter().chain(weights).chain(phone) {
            *path = home.whole(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_run_goes_on_with_the_files_that_it_began_with() {
        let home = Home::new(Path::new("/home/anna"));
        let begun = serde_json::json!({
            "prompt": "~/turtle", "seed": 7, "launches": 1, "images": 1, "budget_s": 1.0, "timeout_s": 1.0,
            "plan": { "group": [{ "model": ["f32=/home/anna/sd-turbo"], "inputs": "/home/anna/io.npz" }] },
            "weights": { "file": "/home/anna/own.safetensors" }, "judging": { "prompts": null, "judge": "/home/anna/a.pth" },
            "phone": { "phone_binary": "/home/anna/ditbench", "folders": { "ort": "/home/anna/phone" } },
        });
        let mut kept = begun.clone();
        home.hide_in(&mut kept);
        assert!(!kept.to_string().contains("anna"));
        let mut settings: Settings = serde_json::from_value(kept).unwrap();
        settings.make_paths_whole(&home);
        assert_eq!(settings, serde_json::from_value(begun).unwrap());
    }
}
