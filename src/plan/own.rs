//! The axes that only some workloads have: flags and keys of a plan file made from what the workloads say of themselves.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Command};
use ditbench_workloads::{Axis, workload};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values by axis, each in its one way of writing. What is absent is the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnAxes(BTreeMap<&'static str, Vec<String>>);

/// Every axis of every workload, each name once.
pub fn all() -> Vec<&'static Axis> {
    let mut axes: Vec<&'static Axis> = Vec::new();
    for axis in workload::with_users().flat_map(|workload| workload.axes()) {
        if axes.iter().all(|known| known.name != axis.name) {
            axes.push(axis);
        }
    }
    axes
}

impl OwnAxes {
    /// The values on an axis; `None` where the plan does not say.
    pub fn get(&self, axis: &str) -> Option<&[String]> {
        self.0.get(axis).map(Vec::as_slice)
    }

    /// The same, with what `flags` gives in the place of what was there.
    pub fn overridden_with(mut self, flags: &Self) -> Self {
        self.0.extend(flags.0.iter().map(|(name, values)| (*name, values.clone())));
        self
    }

    /// One value on each of these axes.
    pub fn single(own: &BTreeMap<String, String>) -> Self {
        let named = |name: &String| all().into_iter().find(|axis| axis.name == name).map(|axis| axis.name);
        Self(own.iter().filter_map(|(name, value)| Some((named(name)?, vec![value.clone()]))).collect())
    }

    /// Names of the axes that the plan gives values on.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

/// One flag for each axis, which takes a list.
impl clap::Args for OwnAxes {
    fn augment_args(command: Command) -> Command {
        all().into_iter().fold(command, |command, axis| command.arg(flag(axis).value_delimiter(',').value_name("LIST")))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for OwnAxes {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let values = |axis: &Axis| Some(matches.get_many::<String>(axis.name)?.cloned().collect::<Vec<String>>());
        Ok(Self(all().into_iter().filter_map(|axis| Some((axis.name, values(axis)?))).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = std::mem::take(self).overridden_with(&Self::from_arg_matches(matches)?);
        Ok(())
    }
}

/// The flag of an axis.
pub fn flag(axis: &'static Axis) -> Arg {
    let usual = if axis.default.is_empty() { "the model's own" } else { axis.default };
    Arg::new(axis.name)
        .long(axis.name)
        .help(format!("{} [default: {usual}]", axis.help))
        .action(ArgAction::Append)
        .value_parser(axis.parse)
}

impl Serialize for OwnAxes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Keys are names of axes; a value is one or a list of numbers and texts.
impl<'de> Deserialize<'de> for OwnAxes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let mut own = BTreeMap::new();
        for (name, value) in BTreeMap::<String, toml::Value>::deserialize(deserializer)? {
            let axis = all().into_iter().find(|axis| axis.name == name).ok_or_else(|| {
                let own = all();
                let known: Vec<&str> = super::Axes::NAMES
                    .into_iter()
                    .chain(super::Brought::NAMES)
                    .chain(own.iter().map(|axis| axis.name))
                    .collect();
                let known = known.join(", ");
                D::Error::custom(format!("unknown axis \"{name}\": choose from {known}"))
            })?;
            let values = match value {
                toml::Value::Array(values) => values,
                one => vec![one],
            };
            let text = |value: toml::Value| match value {
                toml::Value::String(text) => Ok(text),
                toml::Value::Integer(number) => Ok(number.to_string()),
                toml::Value::Float(number) => Ok(number.to_string()),
                other => Err(format!("{name} takes numbers and texts, not {other}")),
            };
            let parsed: Result<Vec<String>, String> =
                values.into_iter().map(|value| text(value).and_then(|text| (axis.parse)(&text))).collect();
            own.insert(axis.name, parsed.map_err(D::Error::custom)?);
        }
        Ok(Self(own))
    }
}
