//! One metric of one cell: from samples and a threshold to an outcome.
//!
//! Contract: first [`measure`], which knows only its own samples; then, when all p-values of the verdict are known, [`decide`].
//! Relative metrics are judged on logarithms, where a shift is a ratio; a change for the worse is positive inside this
//! module whichever way is better.

use crate::stats::{Interval, median, power, ranks, shift};

use super::gate::Rule;
use super::{Confirmation, Magnitude, MetricVerdict, Outcome, ThresholdFrom};
use crate::metric::{Basis, Better, Metric, Scale};

/// The samples of one metric.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    pub metric: Metric,
    pub base: Vec<f64>,
    pub head: Vec<f64>,
    /// Base and head of each pair, where launches were paired.
    pub pairs: Option<Vec<(f64, f64)>>,
    /// The same of the confirming block alone, where there was one.
    pub confirming: Option<Vec<(f64, f64)>>,
}

/// What all metrics of a verdict share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub level: f64,
    pub power: f64,
}

impl Terms {
    fn confidence(self) -> f64 {
        1.0 - self.level
    }
}

/// The threshold of a metric in a cell.
#[derive(Clone, Debug)]
pub(super) struct Threshold {
    pub rule: Rule,
    /// 3 × p90 of the series' own noise, and whose.
    pub noise: Option<(f64, String)>,
}

/// A metric before the verdict on it.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub verdict: MetricVerdict,
    /// Interval of the change for the worse, on the judged scale.
    worse: Option<Interval>,
    /// What the gate itself allows, on the judged scale: the whole interval must be above it.
    gate: f64,
    /// What is allowed in view of the noise: the change must be beyond it. The interval covers chance already, so it is not
    /// held against the noise a second time.
    limit: f64,
    /// The change for the worse, on the judged scale.
    shift: Option<f64>,
    /// Whether samples are paired: other counts have an interval.
    paired: bool,
    /// What but the build can have moved it.
    pub doubts: Vec<Doubt>,
}

/// Something but the build that can have moved a number.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doubt {
    /// By how much, on the judged scale, for the worse.
    pub by: f64,
    /// What, in a sentence.
    pub says: String,
}

/// A change on the judged scale as it is shown, and back.
fn shown(metric: Metric, judged: f64) -> f64 {
    let signed = if metric.better() == Better::Higher { -judged } else { judged };
    if metric.scale() == Scale::Relative { shift::ratio(signed) } else { signed }
}

/// What the gate itself allows, what is allowed in view of the noise, and where the latter is from; as they are shown.
fn limit(metric: Metric, threshold: &Threshold, base: f64) -> (f64, f64, ThresholdFrom) {
    let rule = &threshold.rule;
    let mut limit = rule.max_change;
    let mut from = ThresholdFrom::MaxChange;
    let floor = match metric.scale() {
        Scale::Relative => rule.floor / base,
        Scale::Absolute => rule.floor,
    };
    if floor > limit && floor.is_finite() {
        limit = floor;
        from = ThresholdFrom::Floor { floor: rule.floor };
    }
    let gate = limit;
    if let Some((noise, whose)) = threshold.noise.as_ref().filter(|(noise, _)| *noise > limit) {
        limit = *noise;
        from = ThresholdFrom::Noise { of: whose.clone() };
    }
    (gate, limit, from)
}

/// Everything but the outcome.
pub(super) fn measure(samples: &Samples, threshold: &Threshold, terms: Terms) -> Measured {
    let metric = samples.metric;
    let (base, head) = (median(&samples.base), median(&samples.head));
    let (gate_shown, limit_shown, threshold_from) = limit(metric, threshold, base.unwrap_or(f64::NAN));
    let verdict = MetricVerdict {
        metric,
        outcome: Outcome::Inconclusive,
        improved: false,
        enforce: threshold.rule.enforce,
        basis: metric.basis(),
        base,
        head,
        base_samples: samples.base.len(),
        head_samples: samples.head.len(),
        change: None,
        low: None,
        high: None,
        p: None,
        q: None,
        cliffs_delta: None,
        gate_threshold: gate_shown,
        threshold: limit_shown,
        threshold_from,
        reason: threshold.rule.reason.clone(),
        magnitude: Magnitude::Negligible,
        detectable: None,
        enough: None,
        confirmed: None,
        why: String::new(),
    };
    let judged = |shown: f64| if metric.scale() == Scale::Relative { shown.ln_1p() } else { shown };
    let (gate, limit) = (judged(gate_shown), judged(limit_shown));
    let paired = samples.pairs.is_some();
    let mut measured = Measured { verdict, worse: None, gate, limit, shift: None, paired, doubts: Vec::new() };
    if metric.basis().is_by_value() {
        by_value(&mut measured, threshold);
    } else {
        by_ranks(&mut measured, samples, terms);
    }
    measured
}

/// Deterministic numbers: the difference itself.
fn by_value(measured: &mut Measured, threshold: &Threshold) {
    let verdict = &mut measured.verdict;
    let Some((base, head)) = verdict.base.zip(verdict.head) else { return };
    let metric = verdict.metric;
    let difference = head - base;
    let worse = if metric.better() == Better::Higher { -difference } else { difference };
    if metric.scale() == Scale::Relative {
        // In the metric's unit, so that a base of zero has a threshold too.
        measured.limit = (threshold.rule.max_change * base.abs()).max(threshold.rule.floor);
        verdict.change = (base != 0.0).then(|| difference / base);
    } else {
        verdict.change = Some(difference);
    }
    measured.shift = Some(worse);
    verdict.magnitude = magnitude(worse, measured.limit);
}

/// Noisy numbers: shift, interval, test.
fn by_ranks(measured: &mut Measured, samples: &Samples, terms: Terms) {
    let verdict = &mut measured.verdict;
    let metric = verdict.metric;
    let Some((base, head)) = judged(metric, &samples.base).zip(judged(metric, &samples.head)) else {
        verdict.why = "a sample is zero or negative, so there is no ratio to it".into();
        return;
    };
    verdict.cliffs_delta = ranks::cliffs_delta(&samples.base, &samples.head);
    let (found, test) = match &samples.pairs {
        Some(pairs) => {
            let differences = differences(metric, pairs);
            (shift::paired(&differences, terms.confidence()), ranks::signed_rank(&differences))
        }
        None => (shift::independent(&base, &head, terms.confidence()), ranks::mann_whitney(&base, &head)),
    };
    verdict.p = test.map(|test| test.p);
    let Some(found) = found else { return };
    measured.shift = Some(found.estimate);
    measured.worse = found.interval;
    verdict.magnitude = magnitude(found.estimate, measured.limit);
    verdict.change = Some(shown(metric, found.estimate));
    if let Some(interval) = found.interval {
        let (low, high) = (shown(metric, interval.low), shown(metric, interval.high));
        (verdict.low, verdict.high) = (Some(low.min(high)), Some(low.max(high)));
        let half = interval.half_width();
        let by_interval = power::detectable_from_interval(half, measured.gate, terms.confidence(), terms.power);
        // The change itself, rather than its interval, must be beyond the noise.
        let by_noise = power::detectable_from_interval(half, measured.limit, terms.confidence(), terms.power) - half;
        let seen = by_interval.max(by_noise);
        verdict.detectable = Some(shown(metric, seen));
    }
    verdict.confirmed = samples.confirming.as_ref().map(|pairs| {
        let differences = differences(metric, pairs);
        let own = shift::paired(&differences, terms.confidence()).map(|own| own.estimate);
        let worse = differences.iter().filter(|difference| **difference > 0.0).count();
        Confirmation {
            change: own.map(|own| shown(metric, own)),
            launches: pairs.len(),
            agrees: own.is_some_and(|own| own > measured.gate) && 3 * worse >= 2 * pairs.len(),
        }
    });
}

/// Samples on the judged scale, for the worse.
fn judged(metric: Metric, values: &[f64]) -> Option<Vec<f64>> {
    let mut values = if metric.scale() == Scale::Relative { shift::logs(values)? } else { values.to_vec() };
    if metric.better() == Better::Higher {
        values.iter_mut().for_each(|value| *value = -*value);
    }
    Some(values)
}

fn differences(metric: Metric, pairs: &[(f64, f64)]) -> Vec<f64> {
    let of_pair = |&(base, head): &(f64, f64)| {
        let values = judged(metric, &[base, head])?;
        Some(values[1] - values[0])
    };
    pairs.iter().filter_map(of_pair).collect()
}

fn magnitude(worse: f64, limit: f64) -> Magnitude {
    if limit > 0.0 {
        Magnitude::of(worse / limit)
    } else if worse == 0.0 {
        Magnitude::Negligible
    } else {
        Magnitude::VeryLarge
    }
}

/// The outcome, q being known and `tests` the number of tests that it was adjusted for.
pub(super) fn decide(measured: Measured, q: Option<f64>, tests: usize, terms: Terms) -> MetricVerdict {
    let Measured { mut verdict, worse, gate, limit, shift, paired, doubts } = measured;
    verdict.q = q;
    if verdict.base.is_none() || verdict.head.is_none() {
        if verdict.why.is_empty() {
            let side = if verdict.base.is_none() { "base" } else { "head" };
            verdict.why = format!("{side} has no {}", verdict.metric.title());
        }
        return verdict;
    }
    if verdict.basis.is_by_value() {
        let worse = shift.unwrap_or(0.0);
        // Past the rounding of a sum or a quotient, so that a threshold of 0 is not tripped by it.
        let slack = 1e-12 * verdict.base.unwrap_or(0.0).abs();
        verdict.outcome = if worse > limit + slack { Outcome::Regressed } else { Outcome::Ok };
        verdict.improved = -worse > limit + slack;
        let how = if verdict.basis == Basis::Counted { "counted" } else { "by value" };
        verdict.why = match verdict.outcome {
            Outcome::Regressed => format!("worse by more than the threshold, {how}"),
            _ => format!("within the threshold, {how}"),
        };
        return verdict;
    }
    let samples = verdict.base_samples.min(verdict.head_samples);
    let fewest = |level: f64| {
        if paired { power::fewest_paired(1.0 - level) } else { power::fewest_independent(1.0 - level) }
    };
    // One real change among all tests must be able to reach q ≤ level by itself.
    let to_be_heard = fewest(terms.level / tests.max(1) as f64);
    let (Some(interval), Some(estimate)) = (worse, shift) else {
        if verdict.why.is_empty() {
            let needed = fewest(terms.level);
            verdict.enough = Some(needed.max(to_be_heard));
            verdict.why = format!(
                "{samples} on each side are too few for an interval, which needs {needed}: no change, however large, \
                 could have been detected"
            );
        }
        return verdict;
    };
    let beyond_chance = q.is_some_and(|q| q <= terms.level);
    verdict.enough = Some(samples);
    if interval.low > gate && estimate > limit && beyond_chance {
        verdict.outcome = Outcome::Regressed;
        verdict.why = "the whole interval is above the threshold".into();
    } else if interval.high < limit {
        verdict.outcome = Outcome::Ok;
        verdict.improved = interval.high < -gate && estimate < -limit && beyond_chance;
        verdict.why = if verdict.improved {
            "better by more than the threshold".into()
        } else {
            "the whole interval is below the threshold".into()
        };
    } else if interval.low > gate && estimate > limit {
        verdict.enough = Some(to_be_heard.max(samples + 1));
        verdict.why = format!("above the threshold, but not significant among {tests} tests");
    } else {
        let missing = if estimate > limit { estimate - gate } else { limit - estimate };
        verdict.enough = power::launches_to_shrink(interval.half_width(), samples, missing).map(|n| n.max(samples + 1));
        verdict.why = match verdict.enough {
            Some(_) if interval.low > gate => {
                "above what the gate allows, but within three times the machine's noise".into()
            }
            Some(_) => "the threshold lies within the interval".into(),
            None => "the change is so close to the threshold that no number of launches would decide".into(),
        };
    }
    if verdict.outcome == Outcome::Regressed && verdict.confirmed.is_some_and(|confirmed| !confirmed.agrees) {
        verdict.outcome = Outcome::Inconclusive;
        verdict.enough = Some(2 * samples);
        verdict.why = "a confirming block of launches did not confirm it".into();
    }
    for doubt in doubts {
        let explained = match verdict.outcome {
            // Taken off, what is left of a regression is none; added to what seemed to be well, it is not known to be.
            Outcome::Regressed => doubt.by > 0.0 && (interval.low - doubt.by <= gate || estimate - doubt.by <= limit),
            Outcome::Ok => doubt.by < 0.0 && interval.high - doubt.by >= limit,
            Outcome::Inconclusive => false,
        };
        if explained {
            verdict.outcome = Outcome::Inconclusive;
            verdict.enough = None;
            verdict.why = format!("{}: measure both sides again, interleaved (`ditbench ab`)", doubt.says);
        }
        verdict.improved &= verdict.outcome == Outcome::Ok && (doubt.by >= 0.0 || interval.high - doubt.by < -gate);
    }
    verdict
}
