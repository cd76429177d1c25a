//! The search for the configuration to ship: which launch to make next, given what is known, so that launches go where the decision is close.
//!
//! Contract: a pure policy. It makes no launch and knows no clock: a run drives it with real ones, a simulator with made-up ones,
//! and the same knowledge always gives the same next launch. One launch of every cell first, the cheap ones before the dear ones;
//! then the best and whoever may yet beat it, in turn, until nobody may by more than [`INDIFFERENT`] and the best is sure of its
//! bounds. This is upper and lower confidence bounds as Kalyanakrishnan et al. use them ("PAC subset selection in stochastic
//! multi-armed bandits", ICML 2012), with bounds to keep besides.
//!
//! What drops a cell here is a band from the noise of all cells together, which one launch has too; what is advised in the end is
//! judged by [`super::choose()`] alone, whose intervals assume nothing.

use super::candidate::{Candidate, Fit};
use super::known::{CONFIDENCE, Known};
use super::question::{Bound, Question};
use crate::metric::{Better, Metric, Scale};
use crate::record::disturbed::several;
use crate::stats::{all_finite, interval, median};

/// A better one by less than this share is not searched for.
pub const INDIFFERENT: f64 = 0.01;
/// How many standard errors a band reaches to either side: wide enough to be wrong in about 1 % of cells.
const REACH: f64 = 2.5;
/// The noise from launch to launch that is taken for granted before any is seen, as a share; and the launches that this is worth.
const USUAL_NOISE: f64 = 0.05;
const WORTH: f64 = 4.0;
/// Launches after which a cell of which each was spoiled is given up.
const AGAIN: usize = 3;
/// Standard error of a median in those of a mean (π/2, of normal noise).
const OF_MEDIAN: f64 = 1.253;

/// A cell of the plan, as far as it is known.
#[derive(Clone, Debug)]
pub struct Arm<'a> {
    /// What its launches have shown; `None` before the first.
    pub candidate: Option<&'a Candidate>,
    /// Launches made.
    pub launches: usize,
    /// Seconds that its next launch takes: an estimate, or those of its longest so far.
    pub launch_s: f64,
    /// Why no further launch can be made of it; `None` if one can.
    pub closed: Option<String>,
}

/// What launches may be made.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The most of one cell.
    pub most: usize,
    /// Seconds that are left for all.
    pub left_s: f64,
}

/// Where a number may lie, lower always better: the logarithm of what launches give, the value of what they do not move.
#[derive(Clone, Copy, Debug)]
struct Band {
    low: f64,
    middle: f64,
    high: f64,
}

/// The next launch: the place of its cell; `None` when the decision is made, or nothing that is left fits into the time.
pub fn next(question: &Question, arms: &[Arm], terms: Terms) -> Option<usize> {
    let fits = |place: &usize| arms[*place].launch_s <= terms.left_s && arms[*place].closed.is_none();
    let unknown = (0..arms.len()).filter(|place| arms[*place].candidate.is_none() && arms[*place].launches == 0);
    let cheapest = |a: &usize, b: &usize| arms[*a].launch_s.total_cmp(&arms[*b].launch_s).then(a.cmp(b));
    if let Some(first) = unknown.filter(fits).min_by(cheapest) {
        return Some(first);
    }
    let open = |place: &usize| fits(place) && arms[*place].launches < terms.most;
    // What was spoiled says nothing of the cell: once more, and not for ever.
    let spoiled = |place: &usize| {
        let unfit = arms[*place].candidate.and_then(|candidate| candidate.unfit.as_ref());
        unfit.is_some_and(|unfit| unfit.curable) && arms[*place].launches < AGAIN
    };
    if let Some(again) = (0..arms.len()).filter(open).find(spoiled) {
        return Some(again);
    }
    let noise = Noise::of(question, arms);
    let runners: Vec<Runner> = race(question, arms, &noise)
        .into_iter()
        .filter_map(Result::ok)
        // One that is at its end and still not sure is none to advise.
        .filter(|runner| runner.fit == Fit::Keeps || open(&runner.place))
        .collect();
    let by = |of: fn(&Band) -> f64| {
        move |a: &&Runner, b: &&Runner| of(&a.band).total_cmp(&of(&b.band)).then(a.place.cmp(&b.place))
    };
    let Some(best) = runners.iter().min_by(by(|band| band.middle)) else {
        return nearest(question, arms).filter(|place| open(place) && arms[*place].launches < fewest());
    };
    let others = runners.iter().filter(|runner| runner.place != best.place && open(&runner.place));
    let challenger = others.min_by(by(|band| band.low));
    // By how much less a logarithm must be to matter; values that launches do not move are known.
    let matters = if question.objective.scale() == Scale::Relative { (1.0 - INDIFFERENT).ln() } else { 0.0 };
    if let Some(challenger) = challenger.filter(|challenger| challenger.band.low < best.band.high + matters) {
        let turn = arms[best.place].launches <= arms[challenger.place].launches;
        return Some(if turn && open(&best.place) { best.place } else { challenger.place });
    }
    let by_launches = |metric: Metric| {
        arms[best.place].candidate.is_some_and(|candidate| matches!(candidate.known(metric), Known::Launches(_)))
    };
    let noisy = by_launches(question.objective) || question.bounds.iter().any(|bound| by_launches(bound.metric));
    let wanting = best.fit == Fit::Unsure || (noisy && arms[best.place].launches < fewest());
    wanting.then_some(best.place).filter(open)
}

/// Launches below which nothing is sure.
fn fewest() -> usize {
    interval::fewest_for_median(CONFIDENCE)
}

/// The cells that are out of the race, and why: their places, and reasons in words.
pub fn dropped(question: &Question, arms: &[Arm]) -> Vec<(usize, String)> {
    let noise = Noise::of(question, arms);
    let race = race(question, arms, &noise);
    let runners: Vec<&Runner> = race.iter().filter_map(|runner| runner.as_ref().ok()).collect();
    let kept = runners.iter().filter(|runner| runner.fit == Fit::Keeps);
    let best = kept.min_by(|a, b| a.band.middle.total_cmp(&b.band.middle).then(a.place.cmp(&b.place)));
    let mut found: Vec<(usize, String)> = Vec::new();
    for one in &race {
        match one {
            Err((place, why)) => found.push((*place, why.clone())),
            Ok(runner) => {
                let (Some(best), Some(objective)) = (best, shown(question, arms, runner)) else { continue };
                if runner.band.low > best.band.high {
                    let label = arms[best.place].candidate.map_or("", |candidate| candidate.label.as_str());
                    let title = question.objective.title();
                    found.push((runner.place, format!("{title} is {objective} at best, behind {label}")));
                }
            }
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found
}

/// The best end of a runner's band, with its unit.
fn shown(question: &Question, arms: &[Arm], runner: &Runner) -> Option<String> {
    let candidate = arms[runner.place].candidate?;
    Some(question.objective.show(unfolded(question.objective, candidate.known(question.objective), runner.band.low)))
}

/// A cell that may be the answer.
struct Runner {
    place: usize,
    fit: Fit,
    /// Of the objective.
    band: Band,
}

/// Every launched cell: in the race, or out of it and why.
fn race(question: &Question, arms: &[Arm], noise: &Noise) -> Vec<Result<Runner, (usize, String)>> {
    let of = |(place, arm): (usize, &Arm)| {
        let candidate = arm.candidate?;
        Some(
            runner(question, candidate, noise)
                .map(|(fit, band)| Runner { place, fit, band })
                .map_err(|why| (place, why)),
        )
    };
    arms.iter().enumerate().filter_map(of).collect()
}

fn runner(question: &Question, candidate: &Candidate, noise: &Noise) -> Result<(Fit, Band), String> {
    if let Some(unfit) = &candidate.unfit {
        return Err(unfit.why.clone());
    }
    for bound in &question.bounds {
        let known = candidate.known(bound.metric);
        if let Known::Unknown(why) = known {
            return Err(format!("{}: {why}", bound.words()));
        }
        let Some(band) = noise.band(bound.metric, known) else { continue };
        let ends = [band.low, band.high].map(|end| unfolded(bound.metric, known, end));
        if ends.iter().all(|end| !bound.keeps(*end)) {
            return Err(misses(bound, known, ends));
        }
    }
    let known = candidate.known(question.objective);
    let Some(band) = noise.band(question.objective, known) else {
        let why = if let Known::Unknown(why) = known { why.as_str() } else { "no launch gave it" };
        return Err(format!("{} is not known: {why}", question.objective.title()));
    };
    Ok((candidate.fit(question), band))
}

/// By how little a bound is missed.
fn misses(bound: &Bound, known: &Known, ends: [f64; 2]) -> String {
    let nearest = ends.into_iter().min_by(|a, b| bound.excess(*a).total_cmp(&bound.excess(*b)));
    let nearest = nearest.map_or_else(String::new, |nearest| bound.metric.show(nearest));
    match known {
        Known::Launches(values) => {
            let launches = several(values.len(), "launch");
            format!("misses {}: {nearest} at best, by {launches}", bound.words())
        }
        Known::Value(_) | Known::Unknown(_) => format!("misses {}: {nearest}", bound.words()),
    }
}

/// What is nearest to the bounds where nothing keeps them: worth knowing well.
fn nearest(question: &Question, arms: &[Arm]) -> Option<usize> {
    let excess = |candidate: &Candidate| {
        let of = |bound: &Bound| candidate.value(bound.metric).map_or(f64::INFINITY, |value| bound.excess(value));
        question.bounds.iter().map(of).fold(0.0, f64::max)
    };
    let fit = arms.iter().enumerate().filter_map(|(place, arm)| Some((place, arm.candidate?)));
    let fit = fit.filter(|(_, candidate)| candidate.unfit.is_none());
    let best = fit.min_by(|a, b| excess(a.1).total_cmp(&excess(b.1)).then(a.0.cmp(&b.0)));
    best.map(|(place, _)| place)
}

/// How much launches of one cell differ, by number: the variance of their logarithms, over all cells together.
struct Noise(Vec<(Metric, f64)>);

impl Noise {
    fn of(question: &Question, arms: &[Arm]) -> Self {
        let pooled = |metric: Metric| {
            let lists = arms.iter().filter_map(|arm| logs(arm.candidate?.known(metric)));
            let (mut squares, mut free) = (WORTH * USUAL_NOISE.powi(2), WORTH);
            for logs in lists.filter(|logs| logs.len() > 1) {
                squares += sum_of_squares(&logs);
                free += logs.len() as f64 - 1.0;
            }
            (metric, squares / free)
        };
        Self(question.asked().map(pooled).collect())
    }

    /// Where a number may lie; `None` if it is not known.
    fn band(&self, metric: Metric, known: &Known) -> Option<Band> {
        let sign = if metric.better() == Better::Higher { -1.0 } else { 1.0 };
        if let Known::Value(figure) = known {
            let ends = [figure.low, figure.high].map(|end| sign * end.unwrap_or(figure.value));
            let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            return (!figure.value.is_nan()).then_some(Band { low, middle: sign * figure.value, high });
        }
        let logs = logs(known)?;
        let middle = sign * median(&logs)?;
        let pooled = self.0.iter().find(|(known, _)| *known == metric).map_or(USUAL_NOISE.powi(2), |(_, of)| *of);
        // Of four launches on a cell's own noise says more, unless it is too good to be true.
        let own = (logs.len() >= 4).then(|| (sum_of_squares(&logs) / (logs.len() as f64 - 1.0)).max(pooled / 4.0));
        let reach = REACH * OF_MEDIAN * (own.unwrap_or(pooled) / logs.len() as f64).sqrt();
        Some(Band { low: middle - reach, middle, high: middle + reach })
    }
}

/// The logarithms of what launches gave.
fn logs(known: &Known) -> Option<Vec<f64>> {
    let Known::Launches(values) = known else { return None };
    let logs: Vec<f64> = values.iter().map(|value| value.ln()).collect();
    (!logs.is_empty() && all_finite(&logs)).then_some(logs)
}

fn sum_of_squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// A place of a band as a value of the number.
fn unfolded(metric: Metric, known: &Known, place: f64) -> f64 {
    let signed = if metric.better() == Better::Higher { -place } else { place };
    match known {
        Known::Launches(_) => signed.exp(),
        Known::Value(_) | Known::Unknown(_) => signed,
    }
}
