//! What is asked: bounds that must hold, and the number that decides among what keeps them.
//!
//! Contract: any row of the table of numbers can be bounded or decide. Nothing here knows a record.

use serde::{Deserialize, Serialize};

use crate::metric::{Better, Metric};
use crate::text;

/// Which side of its limit a number must stay on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// At most.
    Max,
    /// At least.
    Min,
}

/// A number and the limit that it must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// Which number.
    pub metric: Metric,
    /// On which side.
    pub side: Side,
    /// In the unit of the number's name.
    pub limit: f64,
}

impl Bound {
    /// At most this much.
    pub fn at_most(metric: Metric, limit: f64) -> Self {
        Self { metric, side: Side::Max, limit }
    }

    /// At least this much.
    pub fn at_least(metric: Metric, limit: f64) -> Self {
        Self { metric, side: Side::Min, limit }
    }

    /// No worse than this, whichever way the number is better.
    pub fn no_worse_than(metric: Metric, limit: f64) -> Self {
        match metric.better() {
            Better::Lower => Self::at_most(metric, limit),
            Better::Higher => Self::at_least(metric, limit),
        }
    }

    /// Whether what it shuts out is the worse side of its limit.
    pub fn is_usual(&self) -> bool {
        *self == Self::no_worse_than(self.metric, self.limit)
    }

    /// Whether a value keeps it. What is no number does not.
    pub fn keeps(&self, value: f64) -> bool {
        match self.side {
            Side::Max => value <= self.limit,
            Side::Min => value >= self.limit,
        }
    }

    /// How far beyond its limit a value is, as a share of the limit; 0 where it keeps it.
    pub fn excess(&self, value: f64) -> f64 {
        if self.keeps(value) {
            return 0.0;
        }
        let beyond = (value - self.limit).abs() / self.limit.abs().max(f64::MIN_POSITIVE);
        if beyond.is_nan() { f64::INFINITY } else { beyond }
    }

    /// `steady image at most 2.00 s`.
    pub fn words(&self) -> String {
        let side = match self.side {
            Side::Max => "at most",
            Side::Min => "at least",
        };
        format!("{} {side} {}", self.metric.title(), self.metric.show(self.limit))
    }
}

/// The number of that name, as the command line takes it.
///
/// # Errors
/// An unknown name, with those that there are.
pub fn number(name: &str) -> Result<Metric, String> {
    let known = |metric: &Metric| metric.basis() != crate::metric::Basis::Iterations;
    Metric::named(name).filter(known).ok_or_else(|| {
        let names: Vec<String> = Metric::all().filter(known).map(Metric::name).collect();
        format!("\"{name}\" is not a number of a configuration: choose from {}", names.join(", "))
    })
}

/// `NAME=VALUE`.
///
/// # Errors
/// What is missing or wrong.
pub fn named_value(text: &str) -> Result<(Metric, f64), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("\"{text}\": write NAME=VALUE, as in ssimulacra2=70"))?;
    let metric = number(name.trim())?;
    Ok((metric, metric.read(value)?))
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// All must hold.
    pub bounds: Vec<Bound>,
    /// Among the configurations that keep all bounds, the one that is best in this is advised.
    pub objective: Metric,
    /// Whether models, sizes, numbers of steps and the like compete too, rather than each having an answer of its own.
    pub across_workloads: bool,
}

impl Default for Question {
    /// The fastest, whatever else.
    fn default() -> Self {
        Self { bounds: Vec::new(), objective: Metric::IMAGE, across_workloads: false }
    }
}

impl Question {
    /// The numbers that it speaks of: those that are bounded, then the one that decides.
    pub fn asked(&self) -> impl DoubleEndedIterator<Item = Metric> {
        self.bounds.iter().map(|bound| bound.metric).chain([self.objective])
    }

    /// The number that says how good pictures are: what a bound is on, else the usual one.
    pub fn quality(&self) -> Metric {
        self.asked().rev().find(|metric| metric.is_of_pictures()).unwrap_or(Metric::SSIMULACRA2)
    }

    /// The numbers that matter, each once, in the order in which they decide among equals: the objective, what is bounded,
    /// then latency, memory, quality and energy.
    pub fn numbers(&self) -> Vec<Metric> {
        let mut numbers = Vec::new();
        let bounded = self.bounds.iter().map(|bound| bound.metric);
        let usual = [Metric::IMAGE, Metric::PEAK, self.quality(), Metric::ENERGY];
        for metric in [self.objective].into_iter().chain(bounded).chain(usual) {
            if !numbers.contains(&metric) {
                numbers.push(metric);
            }
        }
        numbers
    }

    /// Why it cannot be answered; `None` if it can.
    pub fn refusal(&self) -> Option<String> {
        (self.across_workloads && self.objective.of_the_reference().is_some()).then(|| {
            format!(
                "{} is nearness to the reference of a configuration's own workload: it does not say which of two workloads has the \
                 better pictures. Take another objective, or leave --any-workload out",
                self.objective.name()
            )
        })
    }

    /// The bounds in words: `steady image at most 2.00 s and peak memory at most 1.00 GiB`.
    pub fn words(&self) -> String {
        text::list(&self.bounds.iter().map(Bound::words).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_kept_or_not_and_what_is_no_number_never_keeps_one() {
        let latency = Bound::at_most(Metric::IMAGE, 2.0);
        assert!(latency.keeps(2.0) && !latency.keeps(2.1) && !latency.keeps(f64::NAN));
        assert_eq!((latency.excess(1.0), latency.excess(3.0), latency.excess(f64::NAN)), (0.0, 0.5, f64::INFINITY));
        let quality = Bound::no_worse_than(Metric::SSIMULACRA2, 70.0);
        assert_eq!(quality, Bound::at_least(Metric::SSIMULACRA2, 70.0));
        assert!(quality.keeps(f64::INFINITY) && !quality.keeps(69.9));
        assert_eq!(Bound::no_worse_than(Metric::LATENT, 0.1).side, Side::Max);
        assert_eq!(latency.words().replace('\u{a0}', " "), "steady image at most 2.00 s");
    }

    #[test]
    fn names_and_values_are_read_and_mistakes_name_what_there_is() {
        assert_eq!(named_value("ssimulacra2=70"), Ok((Metric::SSIMULACRA2, 70.0)));
        assert_eq!(named_value("denoiser_step_2_s=10ms"), Ok((Metric::DENOISER_STEP.step(2), 0.01)));
        assert!(named_value("speed=1").unwrap_err().contains("image_s, p90_s"));
        assert!(named_value("iteration_s=1").unwrap_err().contains("not a number of a configuration"));
        assert!(named_value("image_s").unwrap_err().contains("NAME=VALUE"));
        assert!(named_value("image_s=fast").unwrap_err().contains("2s or 500ms"));
    }

    #[test]
    fn the_numbers_that_matter_begin_with_the_objective_and_come_once() {
        let bounds = vec![Bound::at_least(Metric::PSNR, 30.0), Bound::at_most(Metric::IMAGE, 1.0)];
        let question = Question { bounds, objective: Metric::PEAK, across_workloads: false };
        assert_eq!(question.numbers(), [Metric::PEAK, Metric::PSNR, Metric::IMAGE, Metric::ENERGY]);
        assert_eq!(Question::default().numbers(), [Metric::IMAGE, Metric::PEAK, Metric::SSIMULACRA2, Metric::ENERGY]);
    }

    #[test]
    fn nearness_to_the_own_reference_does_not_decide_between_workloads() {
        let across = |objective| Question { objective, across_workloads: true, ..Question::default() };
        assert!(across(Metric::SSIMULACRA2).refusal().unwrap().contains("--any-workload"));
        assert_eq!((across(Metric::IMAGE).refusal(), across(Metric::RETRIEVAL).refusal()), (None, None));
    }
}
