//! The search against a simulator: on plans small enough to be run whole its answer is that of the whole plan, at a part of the
//! launches. Every landscape is made from its seed, so the same ones are searched on every machine.

use std::collections::BTreeMap;

use ditbench_record::CellKey;
use ditbench_reports::advice::search::{self, Arm, Terms};
use ditbench_reports::advice::{Bound, Candidate, Choice, Known, Outcome, Question, Unfit, choose};
use ditbench_reports::metric::Metric;
use ditbench_reports::stats::random::Random;

/// The most launches of a cell: what the whole plan makes of each.
const MOST: usize = 10;
/// The part of the whole plan's launches that the search may make.
const PART: f64 = 0.4;

/// A cell as it truly is, and what each of its launches will show.
struct Truth {
    seconds: f64,
    bytes: f64,
    points: f64,
    launches: Vec<f64>,
    unfit: Option<Unfit>,
}

impl Truth {
    /// What is known after so many launches.
    fn known(&self, place: usize, launches: usize) -> Candidate {
        let known = BTreeMap::from([
            (Metric::IMAGE, Known::Launches(self.launches[..launches].to_vec())),
            (Metric::PEAK, Known::Value(self.bytes.into())),
            (Metric::SSIMULACRA2, Known::Value(self.points.into())),
            (Metric::ENERGY, Known::Unknown("no sensor".into())),
        ]);
        let label = format!("cell {place}");
        let key = CellKey { backend: format!("c{place:03}"), ..CellKey::default() };
        let (ships, unfit) = (label.clone(), self.unfit.clone());
        Candidate { key, label, ships, known, unfit, caveats: Vec::new(), sustained: false }
    }
}

/// A plan of 16 to 40 cells, near each other or far apart, each with noise of its own (0.3 to 4 %), one launch in twenty slowed down
/// by something; with bounds that leave much, little or nothing.
fn landscape(seed: u64) -> (Question, Vec<Truth>) {
    let mut random = Random::new(seed);
    let cells = 16 + random.below(25);
    let base = 10f64.powf(2.0 * random.uniform() - 1.0);
    let spread = [0.15, 0.4, 0.8][random.below(3)];
    let cell = |random: &mut Random| {
        let seconds = base * (spread * random.normal()).exp();
        let noise = 0.003 * (4.0f64 / 0.3).powf(random.uniform());
        let mut launch = || {
            let slowed = if random.uniform() < 0.05 { 0.03 + 0.27 * random.uniform() } else { 0.0 };
            seconds * (noise * random.normal() + slowed).exp()
        };
        let launches = (0..MOST).map(|_| launch()).collect();
        let bytes = 1e9 * (0.5 * random.normal()).exp();
        let points = 60.0 + 20.0 * random.uniform() + 20.0 * random.uniform();
        let unfit = (random.uniform() < 0.05).then(|| Unfit { why: "it computed wrong".into(), curable: false });
        Truth { seconds, bytes, points, launches, unfit }
    };
    let truths: Vec<Truth> = (0..cells).map(|_| cell(&mut random)).collect();
    let mut at = |of: fn(&Truth) -> f64, low: f64, high: f64| {
        let mut values: Vec<f64> = truths.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let share = low + (high - low) * random.uniform();
        (values[(share * cells as f64) as usize], random.uniform())
    };
    let mut bounds = Vec::new();
    let (seconds, dice) = at(|truth| truth.seconds, 0.0, 0.8);
    if dice < 0.6 {
        bounds.push(Bound::at_most(Metric::IMAGE, seconds * (0.9 + dice / 1.5)));
    }
    let (bytes, dice) = at(|truth| truth.bytes, 0.2, 0.9);
    if dice < 0.5 {
        bounds.push(Bound::at_most(Metric::PEAK, bytes));
    }
    let (points, dice) = at(|truth| truth.points, 0.1, 0.8);
    if dice < 0.5 {
        bounds.push(Bound::at_least(Metric::SSIMULACRA2, points));
    }
    (Question { bounds, ..Question::default() }, truths)
}

/// What is advised after so many launches of each.
fn advised(question: &Question, truths: &[Truth], made: &[usize]) -> Choice {
    let known = |(place, (truth, made)): (usize, (&Truth, &usize))| (*made > 0).then(|| truth.known(place, *made));
    choose(question, &truths.iter().zip(made).enumerate().filter_map(known).collect::<Vec<_>>())
}

/// Searches with at most so many launches in all; gives those of each cell.
fn searched(question: &Question, truths: &[Truth], cap: usize) -> Vec<usize> {
    let mut made = vec![0; truths.len()];
    while made.iter().sum::<usize>() < cap {
        let known: Vec<Option<Candidate>> = truths
            .iter()
            .zip(&made)
            .enumerate()
            .map(|(place, (truth, made))| (*made > 0).then(|| truth.known(place, *made)))
            .collect();
        let arms: Vec<Arm> = known
            .iter()
            .zip(&made)
            .map(|(known, made)| Arm { candidate: known.as_ref(), launches: *made, launch_s: 1.0, closed: None })
            .collect();
        let Some(next) = search::next(question, &arms, Terms { most: MOST, left_s: f64::INFINITY }) else { break };
        made[next] += 1;
    }
    made
}

/// Whether the answer after these launches is as good as that of the whole plan: the configuration's true time within 2 % of that
/// of the whole plan's choice; and where the whole plan finds nothing, nothing.
fn is_as_good(question: &Question, truths: &[Truth], made: &[usize]) -> bool {
    let whole = advised(question, truths, &vec![MOST; truths.len()]);
    let found = advised(question, truths, made);
    let seconds = |choice: &Choice| {
        let cell = choice.best.as_ref().map(|best| best.key.backend.clone());
        let place: Option<usize> = cell.and_then(|cell| cell[1..].parse().ok());
        place.map_or(f64::INFINITY, |place| truths[place].seconds)
    };
    match whole.outcome {
        Outcome::Met => found.outcome == Outcome::Met && seconds(&found) <= 1.02 * seconds(&whole),
        Outcome::NotMet => found.outcome != Outcome::Met,
        Outcome::NotSure => found.outcome != Outcome::NotMet,
    }
}

#[test]
fn the_answer_is_that_of_the_whole_plan_at_two_fifths_of_the_launches() {
    let (mut good, mut first_round, mut share, mut met) = (0, 0, 0.0, 0);
    for seed in 0..200 {
        let (question, truths) = landscape(seed);
        let whole = MOST * truths.len();
        let made = searched(&question, &truths, (PART * whole as f64) as usize);
        let launches: usize = made.iter().sum();
        assert!(launches as f64 <= PART * whole as f64, "seed {seed}: {launches} of {whole}");
        share += launches as f64 / whole as f64 / 200.0;
        good += usize::from(is_as_good(&question, &truths, &made));
        first_round += usize::from(is_as_good(&question, &truths, &vec![1; truths.len()]));
        let all = advised(&question, &truths, &vec![MOST; truths.len()]);
        met += usize::from(all.outcome == Outcome::Met);
    }
    assert!(good >= 190, "as good as the whole plan in {good} of 200");
    assert!(share < 0.3, "{share} of the launches on average");
    // What the test could not tell apart it would not test.
    assert!(first_round < 150, "one launch of each would do in {first_round} of 200");
    assert!((100..200).contains(&met), "{met} landscapes have an answer");
}

#[test]
fn the_same_knowledge_gives_the_same_launches() {
    let (question, truths) = landscape(3);
    assert_eq!(searched(&question, &truths, 60), searched(&question, &truths, 60));
}

/// A cell of these launches.
fn truth(seconds: f64, launches: &[f64]) -> Truth {
    Truth { seconds, bytes: 1e9, points: 80.0, launches: launches.to_vec(), unfit: None }
}

#[test]
fn cheap_cells_come_first_and_what_does_not_fit_is_left_out() {
    let arm = |launch_s: f64| Arm { candidate: None, launches: 0, launch_s, closed: None };
    let arms = [arm(9.0), arm(1.0), arm(3.0)];
    let next = |arms: &[Arm], left_s| search::next(&Question::default(), arms, Terms { most: 10, left_s });
    assert_eq!(next(&arms, 100.0), Some(1));
    assert_eq!(next(&[arm(9.0), Arm { closed: Some("no library".into()), ..arm(1.0) }, arm(3.0)], 100.0), Some(2));
    assert_eq!(next(&arms, 0.5), None, "nothing fits into half a second");
    assert_eq!(next(&[], 100.0), None);
}

#[test]
fn what_is_dropped_says_why() {
    let truths = [
        truth(1.0, &[1.0; MOST]),
        truth(5.0, &[5.0; MOST]),
        Truth { bytes: 9e9, ..truth(0.5, &[0.5; MOST]) },
        Truth { unfit: Some(Unfit { why: "it fell back".into(), curable: false }), ..truth(0.1, &[0.1; MOST]) },
        truth(1.6, &[1.6; MOST]),
    ];
    let bounds = vec![Bound::at_most(Metric::IMAGE, 2.0), Bound::at_most(Metric::PEAK, 2e9)];
    let question = Question { bounds, ..Question::default() };
    let made = searched(&question, &truths, 50);
    assert!(made[0] >= 6, "the best is made sure: {made:?}");
    assert_eq!(&made[1..], [1, 1, 1, 1], "what cannot win gets no second launch");
    let known: Vec<Candidate> = truths.iter().zip(&made).enumerate().map(|(p, (t, m))| t.known(p, *m)).collect();
    let arms: Vec<Arm> = known
        .iter()
        .zip(&made)
        .map(|(known, made)| Arm { candidate: Some(known), launches: *made, launch_s: 1.0, closed: None })
        .collect();
    let dropped: Vec<(usize, String)> =
        search::dropped(&question, &arms).into_iter().map(|(p, why)| (p, why.replace('\u{a0}', " "))).collect();
    let why = |place| dropped.iter().find(|(other, _)| *other == place).map(|(_, why)| why.as_str());
    assert!(why(1).unwrap().starts_with("misses steady image at most 2.00 s: 4."), "{dropped:?}");
    assert_eq!(why(2), Some("misses peak memory at most 1.86 GiB: 8.38 GiB"));
    assert_eq!(why(3), Some("it fell back"));
    assert!(why(4).unwrap().contains("behind cell 0"), "{dropped:?}");
    assert_eq!(why(0), None);
}

#[test]
fn where_nothing_keeps_the_bounds_the_nearest_is_made_sure() {
    let truths = [truth(3.0, &[3.0; MOST]), truth(4.0, &[4.0; MOST])];
    let question = Question { bounds: vec![Bound::at_most(Metric::IMAGE, 1.0)], ..Question::default() };
    assert_eq!(searched(&question, &truths, 20), [6, 1]);
}

#[test]
fn what_was_spoiled_is_tried_again_and_not_for_ever() {
    let spoiled = Some(Unfit { why: "it was spoiled".into(), curable: true });
    let truths = [Truth { unfit: spoiled, ..truth(0.5, &[0.5; MOST]) }, truth(1.0, &[1.0; MOST])];
    assert_eq!(searched(&Question::default(), &truths, 20), [3, 6]);
}

#[test]
fn numbers_that_launches_do_not_move_take_one_launch() {
    let truths = [truth(3.0, &[3.0; MOST]), Truth { bytes: 5e8, ..truth(4.0, &[4.0; MOST]) }];
    let question = Question { objective: Metric::PEAK, ..Question::default() };
    assert_eq!(searched(&question, &truths, 20), [1, 1]);
}
