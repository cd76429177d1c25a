//! The gate: how much worse is too much, for each metric, and why. Read from `gate.toml`, which needs only what it changes.
//!
//! Contract: unknown names and senseless numbers are errors with the place and what to do; a threshold that a file changes
//! comes with a reason. [`Gate::to_toml`] prints the gate as it is applied, defaults filled in, in a form that can be read again.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::metric::{Better, Enforce, Judged, Metric, Scale};
use crate::text::toml_mistake;
use crate::tolerance;

/// The threshold of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What its outcome means for the whole.
    pub enforce: Enforce,
    /// Which way is better. Every metric has its own; a file may say it for its readers, not change it.
    pub better: Better,
    /// The largest change for the worse that passes: a share, or in the metric's unit where its scale is absolute.
    pub max_change: f64,
    /// Changes smaller than this, in the metric's unit, pass whatever their share.
    pub floor: f64,
    /// Why these numbers.
    pub reason: String,
}

/// A gate with nothing left open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Intervals hold with 1 − level, q is at most level; half of it is the chance that equal builds are flagged as regressed.
    pub level: f64,
    /// Share by which the calibration loop may differ between two records before it can explain a change of times.
    pub machine_drift: f64,
    /// By [`Metric::family`].
    pub metrics: BTreeMap<String, Rule>,
    /// Exceptions for some cells, the last that fits wins.
    #[serde(default, rename = "override", skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Largest relative L2 of the last latent, by storage scheme.
    pub latent: BTreeMap<String, f64>,
    /// Where nodes must run.
    pub placement: PlacementRule,
}

/// Where nodes must run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementRule {
    /// Least share of nodes, 0..1, on the device asked for.
    pub min_share: f64,
}

/// Another threshold for some cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Which cells: their id, `*` for anything: `tiny-*-ort-*`.
    pub cell: String,
    /// Which metric, by [`Metric::family`].
    pub metric: String,
    /// As [`Rule::enforce`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforce: Option<Enforce>,
    /// As [`Rule::max_change`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_change: Option<f64>,
    /// As [`Rule::floor`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// Why.
    pub reason: String,
}

/// Why a gate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// The text is not a gate: the parser's words, with line and column.
    #[error("gate.toml cannot be read: {0}")]
    Text(String),
    /// A metric that does not exist.
    #[error("gate.toml, {place}: there is no metric \"{name}\". There are {known}")]
    Metric {
        /// Where.
        place: String,
        /// The name given.
        name: String,
        /// All names.
        known: String,
    },
    /// A number that no gate judges.
    #[error("gate.toml, {place}: {name} is not judged: {why}")]
    NotJudged {
        /// Where.
        place: String,
        /// The name given.
        name: String,
        /// Why, and what is judged in its place.
        why: &'static str,
    },
    /// A number that makes no sense there.
    #[error("gate.toml, {place}: {found} is not {wanted}")]
    Number {
        /// Where.
        place: String,
        /// The number given.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A threshold without a reason.
    #[error("gate.toml, {place}: a threshold needs a reason. Add `reason = \"…\"`")]
    Reason {
        /// Where.
        place: String,
    },
    /// A direction that the metric does not have.
    #[error("gate.toml, {place}: {name} is better when {better}; correct `better` or leave it out")]
    Direction {
        /// Where.
        place: String,
        /// The metric.
        name: String,
        /// Its direction.
        better: &'static str,
    },
}

/// A file, in which everything may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GateFile {
    level: Option<f64>,
    machine_drift: Option<f64>,
    #[serde(default)]
    metrics: BTreeMap<String, RuleFile>,
    #[serde(default, rename = "override")]
    overrides: Vec<Override>,
    #[serde(default)]
    latent: BTreeMap<String, f64>,
    placement: Option<PlacementRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    enforce: Option<Enforce>,
    better: Option<Better>,
    max_change: Option<f64>,
    floor: Option<f64>,
    reason: Option<String>,
}

/// The gate that holds where no `gate.toml` says otherwise: thresholds from the list of numbers.
impl Default for Gate {
    fn default() -> Self {
        Self {
            level: 0.02,
            machine_drift: 0.01,
            metrics: Metric::judged().filter_map(|metric| Some((metric.family().to_owned(), rule(metric)?))).collect(),
            overrides: Vec::new(),
            latent: tolerance::usual(),
            placement: PlacementRule { min_share: 1.0 },
        }
    }
}

/// The built-in rule of a number; `None` if it is not judged.
fn rule(metric: Metric) -> Option<Rule> {
    match metric.definition().gate {
        Judged::By { enforce, max_change, floor, reason } => {
            Some(Rule { enforce, better: metric.better(), max_change, floor, reason: reason.to_owned() })
        }
        Judged::Not { .. } => None,
    }
}

impl Gate {
    /// Reads a `gate.toml`: the built-in gate with what the file changes.
    ///
    /// # Errors
    /// [`GateError`]: no TOML, an unknown name, a senseless number, a threshold without a reason.
    pub fn parse(text: &str) -> Result<Self, GateError> {
        let file: GateFile = toml::from_str(text).map_err(|error| GateError::Text(toml_mistake(text, &error)))?;
        let mut gate = Self::default();
        gate.level = file.level.unwrap_or(gate.level);
        gate.machine_drift = file.machine_drift.unwrap_or(gate.machine_drift);
        for (name, given) in file.metrics {
            let place = format!("[metrics.{name}]");
            let metric = known(&name, &place)?;
            let better = metric.better();
            if given.better.is_some_and(|said| said != better) {
                let better = if better == Better::Lower { "lower" } else { "higher" };
                return Err(GateError::Direction { place, name, better });
            }
            let reason = given.reason.filter(|reason| !reason.trim().is_empty());
            if reason.is_none() && (given.max_change.is_some() || given.floor.is_some()) {
                return Err(GateError::Reason { place });
            }
            // Whatever is judged is in the built-in gate, and [`known`] takes nothing else.
            let Some(rule) = gate.metrics.get_mut(&name) else { continue };
            rule.enforce = given.enforce.unwrap_or(rule.enforce);
            rule.max_change = given.max_change.unwrap_or(rule.max_change);
            rule.floor = given.floor.unwrap_or(rule.floor);
            rule.reason = reason.unwrap_or_else(|| std::mem::take(&mut rule.reason));
        }
        gate.overrides = file.overrides;
        gate.latent.extend(file.latent);
        gate.placement = file.placement.unwrap_or(gate.placement);
        gate.check()?;
        Ok(gate)
    }

    fn check(&self) -> Result<(), GateError> {
        let number = |place: String, value: f64, fits: bool, wanted| {
            if fits { Ok(()) } else { Err(GateError::Number { place, found: value.to_string(), wanted }) }
        };
        let positive = |value: f64| value.is_finite() && value >= 0.0;
        number(
            "level".into(),
            self.level,
            self.level > 0.0 && self.level < 0.5,
            "a probability above 0 and below 0.5",
        )?;
        number("machine_drift".into(), self.machine_drift, positive(self.machine_drift), "a share of 0 or more")?;
        for (name, rule) in &self.metrics {
            let place = |field: &str| format!("[metrics.{name}] {field}");
            number(place("max_change"), rule.max_change, positive(rule.max_change), "a number of 0 or more")?;
            number(place("floor"), rule.floor, positive(rule.floor), "a number of 0 or more")?;
        }
        for (position, one) in self.overrides.iter().enumerate() {
            let place = |field: &str| format!("[[override]] number {} {field}", position + 1);
            known(&one.metric, place("").trim_end())?;
            for (field, value) in [("max_change", one.max_change), ("floor", one.floor)] {
                let value = value.unwrap_or(0.0);
                number(place(field), value, positive(value), "a number of 0 or more")?;
            }
            if one.reason.trim().is_empty() {
                return Err(GateError::Reason { place: place("").trim_end().to_owned() });
            }
        }
        for (scheme, limit) in &self.latent {
            number(format!("[latent] {scheme}"), *limit, positive(*limit), "a number of 0 or more")?;
        }
        let share = self.placement.min_share;
        number("[placement] min_share".into(), share, (0.0..=1.0).contains(&share), "a share from 0 to 1")
    }

    /// The rule of a metric for a cell.
    pub fn rule(&self, metric: Metric, cell: &str) -> Rule {
        // Whatever is judged is in the built-in gate, where every gate starts. What is not, fails nothing.
        let mut rule = self.metrics.get(metric.family()).cloned().or_else(|| rule(metric)).unwrap_or(Rule {
            enforce: Enforce::Show,
            better: metric.better(),
            max_change: 0.0,
            floor: 0.0,
            reason: "it is not judged".into(),
        });
        for one in self.overrides.iter().filter(|one| one.metric == metric.family() && fits(&one.cell, cell)) {
            rule.enforce = one.enforce.unwrap_or(rule.enforce);
            rule.max_change = one.max_change.unwrap_or(rule.max_change);
            rule.floor = one.floor.unwrap_or(rule.floor);
            rule.reason.clone_from(&one.reason);
        }
        rule
    }

    /// The gate as it is applied, defaults filled in, with what is to be known of each number.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(ABOUT);
        let mut line = |words: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{words}");
        };
        line(format!("{ABOUT_LEVEL}level = {:?}", self.level));
        line(format!("{ABOUT_DRIFT}machine_drift = {:?}\n{ABOUT_METRICS}", self.machine_drift));
        for metric in Metric::all() {
            let change = match metric.scale() {
                Scale::Relative => "a share of the base",
                Scale::Absolute => "in that unit",
            };
            let name = metric.family();
            let about = format!("{}, in {}; a change is {change}", metric.title(), metric.unit().name());
            match (self.metrics.get(name), metric.definition().gate) {
                (Some(rule), _) => line(format!("# {about}\n[metrics.{name}]\n{}", toml_of(rule))),
                (None, Judged::Not { why }) => line(format!("# {}: {name} is not judged: {why}\n", metric.title())),
                (None, Judged::By { .. }) => {}
            }
        }
        for one in &self.overrides {
            line(format!("[[override]]\n{}", toml_of(one)));
        }
        line(format!("{ABOUT_LATENT}[latent]\n{}", toml_of(&self.latent)));
        line(format!("{ABOUT_PLACEMENT}[placement]\n{}", toml_of(&self.placement).trim_end()));
        text
    }
}

const ABOUT: &str = "\
# The gate as it is applied. A gate.toml needs only what it changes; a threshold that it changes needs a reason of its own.

";
const ABOUT_LEVEL: &str = "\
# The intervals hold with a chance of 1 - level, and q may be at most level. A miss is as likely for the better as for the
# worse, so equal builds are flagged as regressed in at most half of level: one comparison in a hundred.
";
const ABOUT_DRIFT: &str = "\
# A fixed piece of work is timed around each launch. If its time differs between two records by more than this share and
# beyond chance, the machine itself has changed, and a change of times in the same direction proves nothing unless it is more
# than twice as large. (Builds that are launched in turn, as `ab` does, need none of this.)
";
const ABOUT_METRICS: &str = "
# enforce: \"strict\"  a regression fails, and what cannot be decided is inconclusive (exit code 3)
#          \"alarm\"   a regression fails; what cannot be decided passes
#          \"show\"    never fails
# max_change: the largest change for the worse that passes
# floor:   in the number's own unit: changes smaller than this pass whatever their share
";
const ABOUT_LATENT: &str = "\
# The largest relative L2 distance of the last latent from the reference's, by storage scheme of the weights; of what a device computes in
# f16, at least that of f16. Beyond it a cell fails whatever its speed. For a scheme that is not listed there is no limit, and the verdict says so.
";
const ABOUT_PLACEMENT: &str = "\
# The least share of nodes, 0 to 1, that must run on the device asked for. Below it a cell fails whatever its speed.
";

/// The lines of a table, its head apart.
fn toml_of(value: &impl Serialize) -> String {
    // Strings, numbers and tables only: nothing that TOML cannot say.
    toml::to_string(value).unwrap_or_else(|error| format!("# this part of the gate cannot be printed: {error}\n"))
}

fn known(name: &str, place: &str) -> Result<Metric, GateError> {
    let families = || Metric::judged().map(Metric::family).collect::<Vec<_>>().join(", ");
    let place = || place.to_owned();
    let Some(metric) = Metric::all().find(|metric| metric.family() == name) else {
        return Err(GateError::Metric { place: place(), name: name.to_owned(), known: families() });
    };
    match metric.definition().gate {
        Judged::By { .. } => Ok(metric),
        Judged::Not { why } => Err(GateError::NotJudged { place: place(), name: name.to_owned(), why }),
    }
}

/// Whether a name fits a pattern in which `*` is anything.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| fits(rest, &tail[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_gate_is_whole_and_comes_back() {
        let gate = Gate::default();
        gate.check().unwrap();
        for metric in Metric::judged() {
            let rule = &gate.metrics[metric.family()];
            assert_eq!(rule.better, metric.better(), "{metric}");
            assert!(!rule.reason.is_empty());
        }
        assert_eq!(gate.metrics.len(), Metric::judged().count());
        let printed = gate.to_toml();
        assert_eq!(Gate::parse(&printed).unwrap(), gate);
        for metric in Metric::all() {
            let name = metric.family();
            let there =
                printed.contains(&format!("[metrics.{name}]")) || printed.contains(&format!("{name} is not judged: "));
            assert!(there, "{name} is not in\n{printed}");
        }
        assert_eq!(Gate::parse("").unwrap(), gate);
        let odd = Gate::parse("level = 0.05\n[[override]]\ncell = \"tiny-*\"\nmetric = \"image_s\"\nmax_change = 0.1\nreason = \"noisy\"\n").unwrap();
        assert_eq!(toml::from_str::<Gate>(&odd.to_toml()).unwrap(), odd);
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "[metrics.image_s]\nmax_change = 0.05\nreason = \"a shared runner\"\n[metrics.ssim]\nenforce = \"show\"\n\
                    [latent]\nq2 = 0.9\n[[override]]\ncell = \"tiny-*-ort-*\"\nmetric = \"image_s\"\nmax_change = 0.2\nreason = \"two modes\"\n";
        let gate = Gate::parse(text).unwrap();
        let other = gate.rule(Metric::IMAGE, "tiny-64x64-tract-stock");
        assert_eq!((other.max_change, other.enforce, other.floor), (0.05, Enforce::Strict, 0.0005));
        assert_eq!(gate.rule(Metric::IMAGE, "tiny-64x64-ort-stock").max_change, 0.2);
        assert_eq!(gate.rule(Metric::SSIM, "x").enforce, Enforce::Show);
        assert_eq!(gate.rule(Metric::DENOISER_STEP.step(2), "x").max_change, 0.03);
        assert_eq!((gate.latent["q2"], gate.latent["f32"]), (0.9, 0.0001));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, words) in [
            ("[metrics.image_ms]\nmax_change = 1\nreason = \"x\"", "no metric \"image_ms\". There are "),
            (
                "[metrics.compile_s]\nenforce = \"show\"",
                "compile_s is not judged: only a cell's first launch writes files; load_s",
            ),
            ("[metrics.image_s]\nmax_change = 0.1", "needs a reason"),
            ("[metrics.image_s]\nmax_change = -0.1\nreason = \"x\"", "[metrics.image_s] max_change: -0.1 is not"),
            ("[metrics.image_s]\nmaximum = 0.1", "maximum"),
            ("[metrics.psnr_db]\nbetter = \"lower\"", "is better when higher"),
            ("level = 2.0", "level: 2 is not a probability"),
            ("[placement]\nmin_share = 2.0", "share from 0 to 1"),
            ("[[override]]\ncell = \"*\"\nmetric = \"speed\"\nreason = \"x\"", "number 1: there is no metric"),
            ("level 3", "line 1"),
        ] {
            let error = Gate::parse(text).unwrap_err().to_string();
            assert!(error.contains(words) && error.starts_with("gate.toml"), "{error}");
        }
    }

    #[test]
    fn patterns() {
        assert!(
            fits("*", "")
                && fits("a*c", "abc")
                && fits("a*", "a")
                && fits("*-ort-*", "tiny-ort-q4")
                && fits("é*", "éa")
        );
        assert!(!fits("a", "ab") && !fits("a*d", "abc") && !fits("", "a"));
    }
}
