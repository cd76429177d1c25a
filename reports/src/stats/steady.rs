//! Has a process warmed up? From which sample on do its times no longer drift?
//!
//! Contract: two rules, one for many samples and one for few, because an image can take seconds; the outcome says which.
//! Never having become steady is an outcome, not an error.

use crate::record::{Steady, SteadyState};

use super::{all_finite, median};

/// For many samples: a fast and a slow moving average agree, as in androidx's `WarmupManager` (benchmark-common; the
/// constants are its own).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averages {
    /// Weight of the newest sample in the fast average.
    pub fast: f64,
    /// Weight of the newest sample in the slow average.
    pub slow: f64,
    /// Share by which the averages may differ.
    pub within: f64,
    /// Samples in a row for which they must agree.
    pub agreeing: usize,
}

impl Default for Averages {
    fn default() -> Self {
        Self { fast: 0.1, slow: 0.005, within: 0.04, agreeing: 40 }
    }
}

/// For few samples: the medians of all windows from some sample on agree with the last one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Windows {
    /// Samples in a window. A median of three forgives one outlier.
    pub window: usize,
    /// Share by which a window's median may differ from the last one's.
    pub within: f64,
}

impl Default for Windows {
    fn default() -> Self {
        Self { window: 3, within: 0.05 }
    }
}

/// From this many samples on the moving averages decide: they need their streak and something before it.
pub const MANY: usize = 60;

/// The rule that fits the number of samples, with its usual constants.
pub fn of(samples: &[f64]) -> SteadyState {
    if samples.len() >= MANY { of_many(samples, &Averages::default()) } else { of_few(samples, &Windows::default()) }
}

/// By moving averages.
pub fn of_many(samples: &[f64], rule: &Averages) -> SteadyState {
    let needed = rule.agreeing + 1;
    if samples.len() < needed || !usable(samples) {
        return too_few(samples, needed);
    }
    // From the second image on: the slow average would carry a cold first one along for hundreds of images.
    let (mut fast, mut slow, mut streak) = (samples[1], samples[1], 1);
    for (place, sample) in samples.iter().enumerate().skip(2) {
        fast += rule.fast * (sample - fast);
        slow += rule.slow * (sample - slow);
        streak = if (fast / slow - 1.0).abs() < rule.within { streak + 1 } else { 0 };
        if streak >= rule.agreeing {
            let from = place + 1 - streak;
            if let Some(unsteady) = moved(&samples[from..], rule) {
                return unsteady;
            }
            let said = format!(
                "from sample {from}: fast and slow moving averages within {:.0} % for {} samples",
                100.0 * rule.within,
                rule.agreeing
            );
            return SteadyState { state: Steady::Steady, from: u32::try_from(from).ok(), said };
        }
    }
    let state = drift(fast, slow, rule.within);
    let said = format!(
        "not steady: at the end the fast moving average was {:+.1} % off the slow one",
        100.0 * (fast / slow - 1.0)
    );
    SteadyState { state, from: None, said }
}

/// Whether samples that began steady went on so: the averages agree after a few dozen, and a machine can slow down later.
fn moved(samples: &[f64], rule: &Averages) -> Option<SteadyState> {
    let medians: Vec<f64> = samples.rchunks_exact(rule.agreeing).filter_map(median).collect();
    let (last, first) = (*medians.first()?, *medians.last()?);
    let farthest = medians.iter().map(|median| median / last - 1.0).max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    (farthest.abs() > rule.within).then(|| SteadyState {
        state: drift(last, first, rule.within),
        from: None,
        said: format!(
            "not steady: the median of some {} samples in a row is {:+.1} % off that of the last {}",
            rule.agreeing,
            100.0 * farthest,
            rule.agreeing
        ),
    })
}

/// By medians of windows. The steady part must be half of all windows at least, and as many as a window is long.
pub fn of_few(samples: &[f64], rule: &Windows) -> SteadyState {
    let (window, needed) = (rule.window.max(1), 2 * rule.window.max(1));
    if samples.len() < needed || !usable(samples) {
        return too_few(samples, needed);
    }
    let medians: Vec<f64> = samples.windows(window).filter_map(median).collect();
    let (first, last) = (medians[0], medians[medians.len() - 1]);
    let steady = medians.iter().rev().take_while(|m| (*m / last - 1.0).abs() <= rule.within).count();
    let what = format!("medians of {window} samples within {:.0} % of the last", 100.0 * rule.within);
    let from = medians.len() - steady;
    if steady >= window && 2 * steady >= medians.len() {
        let said = format!("from sample {from}: {what}");
        return SteadyState { state: Steady::Steady, from: u32::try_from(from).ok(), said };
    }
    let said = format!("not steady by the rule: {what}, over at least half of the samples");
    SteadyState { state: drift(last, first, rule.within), from: None, said }
}

/// Which way the later level went from the earlier one.
fn drift(late: f64, early: f64, within: f64) -> Steady {
    if late < early * (1.0 - within) {
        Steady::Warming
    } else if late > early * (1.0 + within) {
        Steady::Slowing
    } else {
        Steady::None
    }
}

fn usable(samples: &[f64]) -> bool {
    all_finite(samples) && samples.iter().all(|sample| *sample > 0.0)
}

fn too_few(samples: &[f64], needed: usize) -> SteadyState {
    let said = if usable(samples) {
        format!("{} samples; {needed} are needed to tell whether times are steady", samples.len())
    } else {
        "a sample is not a positive number of seconds, so nothing can be said".to_owned()
    };
    SteadyState { state: Steady::TooFew, from: None, said }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(samples: &[f64]) -> (Steady, Option<u32>) {
        let found = of(samples);
        (found.state, found.from)
    }

    #[test]
    fn few_samples() {
        assert_eq!(state(&[9.0, 4.0, 1.0, 1.0, 1.01, 1.0, 0.99, 1.0]), (Steady::Steady, Some(1)));
        assert_eq!(state(&[1.0; 6]), (Steady::Steady, Some(0)));
        assert_eq!(state(&[1.0, 1.0, 1.0, 7.0, 1.0, 1.0, 1.0]), (Steady::Steady, Some(0)));
        assert_eq!(state(&[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]).0, Steady::Slowing);
        assert_eq!(state(&[1.7, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1, 1.0]).0, Steady::Warming);
        assert_eq!(state(&[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]).0, Steady::None);
        assert_eq!(state(&[1.0, 1.0]).0, Steady::TooFew);
        assert!(of(&[1.0; 3]).said.contains("6 are needed") && of(&[0.0; 9]).said.contains("positive"));
    }

    #[test]
    fn many_samples() {
        // Flat: steady from the second sample on, the first that has averages to compare.
        assert_eq!(state(&[1.0; 100]), (Steady::Steady, Some(1)));
        // A cold first image is not a warm-up that lasts.
        let cold: Vec<f64> = std::iter::once(1.2).chain([1.0; 99]).collect();
        assert_eq!(state(&cold), (Steady::Steady, Some(1)));
        // A warm-up that the slow average needs long to forget: androidx's own behaviour.
        let warm = |length: usize| -> Vec<f64> { (0..length).map(|i| 1.0 + 9.0 * 0.5f64.powi(i as i32)).collect() };
        assert_eq!(state(&warm(100)).0, Steady::Warming);
        let (found, from) = state(&warm(1200));
        assert!(found == Steady::Steady && from.unwrap() > 500, "{from:?}");
        let slowing: Vec<f64> = (0..200).map(|i| 1.0 + 0.02 * f64::from(i)).collect();
        assert_eq!(of_many(&slowing[20..], &Averages { agreeing: 100, ..Averages::default() }).state, Steady::Slowing);
        // So slow that the averages agree at once, so long that the last image takes 1.6 times as long.
        let creeping: Vec<f64> = (0..600).map(|i| 1.0 + 0.001 * f64::from(i)).collect();
        assert_eq!(state(&creeping), (Steady::Slowing, None));
        let throttled: Vec<f64> = [1.0; 42].into_iter().chain([1.5; 58]).collect();
        assert_eq!(state(&throttled), (Steady::Slowing, None));
        let hump: Vec<f64> = [1.0; 80].into_iter().chain([1.5; 80]).chain([1.0; 80]).collect();
        assert_eq!(state(&hump), (Steady::None, None));
    }
}
