//! Models that users bring: what a plan says of them besides their path, and the cells that come of it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use ditbench_onnx::axes::InputSize;
use ditbench_record::Home;
use ditbench_workloads::own::{self, Given, Options};
use ditbench_workloads::{Choice, workload};
use serde::{Deserialize, Serialize};

use super::PlanError;
use super::axes::one_or_many;

/// What is said of a user's own model besides its path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default, rename_all = "kebab-case")]
#[command(next_help_heading = "Models of your own")]
pub struct Brought {
    /// Size of an input of a single graph: sample=1x4x64x64, and :f16 to have its type checked; again for each input
    #[arg(long, value_name = "NAME=SIZE", value_parser = parse_size)]
    #[serde(skip_serializing_if = "Option::is_none", with = "one_or_many")]
    pub input: Option<Vec<String>>,
    /// What to feed, by name: an .npz, .npy or .safetensors file; of a pipeline its noise and tokens [default: made from the
    /// seed and the prompt]
    #[arg(long, value_name = "FILE", value_parser = parse_path)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<PathBuf>,
    /// What should come out, by name: an .npz, .npy or .safetensors file; of a pipeline latent.0000, … and image
    #[arg(long, value_name = "FILE", value_parser = parse_path)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<PathBuf>,
    /// The graph of a component whose folder holds several: unet=model_fp16.onnx; again for each component
    #[arg(long, value_name = "COMPONENT=NAME", value_parser = parse_file)]
    #[serde(skip_serializing_if = "Option::is_none", with = "one_or_many")]
    pub file: Option<Vec<String>>,
}

impl Brought {
    /// The keys of a plan file.
    pub const NAMES: [&str; 4] = ["input", "inputs", "expect", "file"];

    /// The same, with what `flags` gives in the place of what was there.
    pub fn overridden_with(self, flags: &Self) -> Self {
        Self {
            input: flags.input.clone().or(self.input),
            inputs: flags.inputs.clone().or(self.inputs),
            expect: flags.expect.clone().or(self.expect),
            file: flags.file.clone().or(self.file),
        }
    }

    /// Flags that say something of a user's model, for an error about one of ours.
    pub fn given(&self) -> Option<&'static str> {
        let flags = [
            (self.input.is_some(), "--input"),
            (self.inputs.is_some(), "--inputs"),
            (self.expect.is_some(), "--expect"),
            (self.file.is_some(), "--file"),
        ];
        flags.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.inputs.iter_mut().chain(&mut self.expect)
    }

    /// Paths that do not depend on the folder that one is in: a plan is kept, and gone on with from elsewhere.
    pub fn make_paths_whole(&mut self) {
        self.paths().for_each(|path| *path = whole(path));
    }

    /// Paths as they were before the record hid the user's home folder in them.
    pub fn show_home(&mut self, home: &Home) {
        self.paths().for_each(|path| *path = home.whole(path));
    }

    fn options(&self) -> Result<Options, PlanError> {
        let size = |text: &String| text.parse::<InputSize>().map_err(|error| PlanError(error.to_string()));
        let file = |text: &String| {
            let (component, name) = text.split_once('=').ok_or_else(|| PlanError(no_file(text)))?;
            Ok((component.to_owned(), name.to_owned()))
        };
        Ok(Options {
            sizes: self.input.iter().flatten().map(size).collect::<Result<_, _>>()?,
            files: self.file.iter().flatten().map(file).collect::<Result<_, PlanError>>()?,
            inputs: self.inputs.clone(),
            expect: self.expect.clone(),
        })
    }

    /// What was said of a choice's model: what its plan's group says.
    pub fn of(choice: &Choice) -> Self {
        if own::path_of(choice).is_none() {
            return Self::default();
        }
        let options = own::options_of(choice);
        let some = |texts: Vec<String>| (!texts.is_empty()).then_some(texts);
        Self {
            input: some(options.sizes.iter().map(ToString::to_string).collect()),
            inputs: options.inputs,
            expect: options.expect,
            file: some(options.files.iter().map(|(component, name)| format!("{component}={name}")).collect()),
        }
    }
}

fn parse_size(text: &str) -> Result<String, String> {
    text.parse::<InputSize>().map(|size| size.to_string()).map_err(|error| error.to_string())
}

fn parse_path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(whole(Path::new(text)))
}

fn parse_file(text: &str) -> Result<String, String> {
    let is_name = |name: &str| !name.is_empty() && !name.contains(['/', '\\']);
    match text.split_once('=') {
        Some((component, name)) if is_name(component) && is_name(name) => Ok(text.to_owned()),
        _ => Err(no_file(text)),
    }
}

fn no_file(text: &str) -> String {
    format!("\"{text}\" names no component's graph: write its folder and the file in it, as in unet=model_fp16.onnx")
}

fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A model as a plan carries it: a name of ours, or a user's `NAME=PATH` with a whole path. Whether there is a model is looked
/// at when the plan is multiplied out.
///
/// # Errors
/// A name that nobody knows, or that cannot be used for a model of the user's.
pub fn parse_model(text: &str) -> Result<String, String> {
    let Some(given) = Given::of(text) else {
        return workload::of_model(text).map(|(_, model)| model.name.to_owned()).map_err(|error| error.to_string());
    };
    let given = Given { path: whole(&given.path), ..given };
    given.check_name().map_err(|error| error.to_string())?;
    if workload::of_model(&given.name).is_ok() {
        let path = given.path.display();
        return Err(format!(
            "{}: ditbench has a model of that name: name yours otherwise, as in mine={path}",
            given.name
        ));
    }
    Ok(given.to_string())
}

/// A user's model as it is named in a plan, with the home folder that its record hid.
pub fn show_home(model: &str, home: &Home) -> String {
    match Given::of(model) {
        Some(given) => Given { path: home.whole(&given.path), ..given }.to_string(),
        None => model.to_owned(),
    }
}

/// A choice's model as a plan names it.
pub fn model_of(choice: &Choice) -> String {
    match own::path_of(choice) {
        Some(path) => Given { name: choice.model.clone(), path: path.to_owned() }.to_string(),
        None => choice.model.clone(),
    }
}

/// That a name stands for one model, fed one way: cells are told apart by it.
///
/// # Errors
/// Names the two.
pub(super) fn check_names<'a>(choices: impl IntoIterator<Item = &'a Choice>) -> Result<(), PlanError> {
    let mut named: HashMap<&str, (&Path, Options)> = HashMap::new();
    for choice in choices {
        let Some(path) = own::path_of(choice) else { continue };
        let this = (path, own::options_of(choice));
        match named.entry(choice.model.as_str()) {
            Entry::Vacant(place) => {
                place.insert(this);
            }
            Entry::Occupied(other) if *other.get() == this => {}
            Entry::Occupied(other) => {
                let (first, second) = (other.get().0.display(), path.display());
                let what = if other.get().0 == path {
                    format!("{first}, run in two ways")
                } else {
                    format!("{first} and {second}")
                };
                return Err(PlanError(format!(
                    "two models are called {0}: {what}. Name them apart, as in --model {0}-1={first},{0}-2={second}",
                    choice.model
                )));
            }
        }
    }
    Ok(())
}

/// The choice of a user's model; `None` for a model of ours.
///
/// # Errors
/// What is missing or not understood in the files.
pub fn choice(
    model: &str,
    brought: &Brought,
    size: Option<ditbench_workloads::ImageSize>,
    steps: Option<usize>,
) -> Result<Option<Choice>, PlanError> {
    let Some(given) = Given::of(model) else {
        return match brought.given() {
            Some(flag) => {
                Err(PlanError(format!("{flag} is for models of your own, and {model} is ditbench's: leave it out")))
            }
            None => Ok(None),
        };
    };
    given.check().map_err(|error| PlanError(error.to_string()))?;
    own::choice(&given, &brought.options()?, size, steps).map(Some).map_err(|error| PlanError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_model_fed_one_way() {
        let choice = |path: &str| Choice {
            own: [("path".to_owned(), path.to_owned())].into(),
            ..Choice::new(own::NAME, "a", ditbench_workloads::ImageSize { height: 8, width: 8 }, 4)
        };
        let (one, other) = (choice("/one"), choice("/other"));
        assert_eq!(check_names([&one, &one]), Ok(()));
        let error = check_names([&one, &other]).unwrap_err().to_string();
        assert!(error.contains("/one and /other") && error.contains("a-1=/one,a-2=/other"), "{error}");
        let fed = one.clone().with("inputs", "/io.npz");
        assert!(check_names([&one, &fed]).unwrap_err().to_string().contains("run in two ways"));
    }

    #[test]
    fn a_plan_carries_whole_paths_and_shows_the_home_that_its_record_hid() {
        let model = parse_model("mine=sd/x").unwrap();
        assert!(model.starts_with("mine=/") && model.ends_with("/sd/x"), "{model}");
        assert_eq!(parse_model(&model), Ok(model));
        assert!(parse_model("nano=./x").unwrap_err().contains("mine="));
        assert!(parse_model("huge").unwrap_err().contains("nano, tiny"));
        let home = Home::new(Path::new("/home/anna"));
        assert_eq!(show_home("mine=~/sd", &home), "mine=/home/anna/sd");
        assert_eq!(show_home("nano", &home), "nano");
    }
}
