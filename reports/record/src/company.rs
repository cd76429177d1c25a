//! The company of a launch: threads that were kept busy beside it with a fixed piece of work.

use serde::{Deserialize, Serialize};

use super::Reading;

/// What was kept busy beside a launch, and how much it got done. docs/METHODOLOGY.md says what one piece of its work is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Company {
    /// Threads, each with work of its own.
    pub threads: u32,
    /// Pieces of work a second, all threads together, from before the worker began until after it ended.
    #[serde(default)]
    pub units_per_s: Reading<f64>,
    /// The same with nothing beside it: measured once, before the run's first launch in such company.
    #[serde(default)]
    pub alone_units_per_s: Reading<f64>,
    /// Seconds of processor time that it used during the launch: part of [`crate::ForeignLoad::own_s`].
    #[serde(default)]
    pub cpu_s: Reading<f64>,
}

impl Company {
    /// How much it got done, as a share of what it gets done alone.
    pub fn share(&self) -> Reading<f64> {
        self.units_per_s.and_then(|beside| {
            self.alone_units_per_s.and_then(|alone| {
                let share = beside / alone;
                Reading::or_absent(share.is_finite().then_some(share), "alone it got nothing done")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_what_it_gets_alone_and_unknown_without_it() {
        let company = |alone| Company {
            threads: 1,
            units_per_s: Reading::Ok(60.0),
            alone_units_per_s: alone,
            ..Company::default()
        };
        assert_eq!(company(Reading::Ok(100.0)).share(), Reading::Ok(0.6));
        assert!(company(Reading::absent("it could not start")).share().why().is_some_and(|why| why.contains("start")));
        assert!(company(Reading::Ok(0.0)).share().why().is_some(), "no share of nothing");
    }
}
