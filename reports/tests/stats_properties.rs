//! What must hold of the statistics for any input, and the chances that they claim.

use ditbench_reports::stats::random::Random;
use ditbench_reports::stats::{changepoints, fdr, interval, modes, power, ranks, sequence, shift};
use proptest::collection::vec;
use proptest::prelude::*;

/// Values with many ties, and values without.
fn samples() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![vec((0u8..6).prop_map(f64::from), 1..14), vec(-5.0f64..5.0, 1..14)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn swapping_sides_changes_only_the_sign(base in samples(), head in samples()) {
        let there = ranks::mann_whitney(&base, &head).unwrap();
        let back = ranks::mann_whitney(&head, &base).unwrap();
        prop_assert!((there.p - back.p).abs() < 1e-12 && (0.0..=1.0).contains(&there.p));
        prop_assert_eq!(there.statistic + back.statistic, (base.len() * head.len()) as f64);
        let delta = ranks::cliffs_delta(&base, &head).unwrap();
        prop_assert!((delta + ranks::cliffs_delta(&head, &base).unwrap()).abs() < 1e-12 && delta.abs() <= 1.0);
        let (there, back) = (shift::independent(&base, &head, 0.95).unwrap(), shift::independent(&head, &base, 0.95).unwrap());
        prop_assert!((there.estimate + back.estimate).abs() < 1e-12);
        prop_assert_eq!(there.interval.is_some(), back.interval.is_some());
    }

    #[test]
    fn only_order_matters_to_ranks(base in samples(), head in samples()) {
        let cube = |values: &[f64]| values.iter().map(|value| value.powi(3)).collect::<Vec<_>>();
        prop_assert_eq!(ranks::mann_whitney(&base, &head), ranks::mann_whitney(&cube(&base), &cube(&head)));
    }

    #[test]
    fn an_interval_holds_its_estimate_and_moves_with_the_samples(base in samples(), head in samples(), by in -3.0f64..3.0) {
        let found = shift::independent(&base, &head, 0.9).unwrap();
        let moved: Vec<f64> = head.iter().map(|value| value + by).collect();
        let after = shift::independent(&base, &moved, 0.9).unwrap();
        prop_assert!((after.estimate - found.estimate - by).abs() < 1e-9);
        if let Some(interval) = found.interval {
            prop_assert!(interval.holds(found.estimate));
            prop_assert!((after.interval.unwrap().low - interval.low - by).abs() < 1e-9);
        }
        let paired = shift::paired(&base, 0.9).unwrap();
        if let Some(interval) = paired.interval {
            prop_assert!(interval.holds(paired.estimate));
        }
    }

    #[test]
    fn more_confidence_is_never_narrower(values in vec(0.0f64..9.0, 1..40)) {
        let mut last: Option<interval::Interval> = None;
        for confidence in [0.5, 0.8, 0.9, 0.95, 0.99] {
            let found = interval::median_interval(&values, confidence);
            if let (Some(last), Some(found)) = (last, found) {
                prop_assert!(found.low <= last.low && found.high >= last.high);
            }
            last = found;
            if let Some(found) = found {
                prop_assert!(found.holds(interval::median(&values).unwrap()));
            }
        }
    }

    #[test]
    fn adjusted_p_keeps_the_order(p in vec(0.0f64..=1.0, 0..30)) {
        let q = fdr::benjamini_hochberg(&p);
        for i in 0..p.len() {
            prop_assert!(q[i] >= p[i] && q[i] <= 1.0);
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || q[i] <= q[j]);
            }
        }
    }

    #[test]
    fn changes_are_positions_with_room(values in vec(0.0f64..9.0, 0..40)) {
        let options = changepoints::Options { permutations: 19, significance: 0.1, ..Default::default() };
        let found = changepoints::changes(&values, &options);
        let bounds: Vec<usize> = [0].into_iter().chain(found).chain([values.len()]).collect();
        prop_assert!(bounds.len() == 2 || bounds.windows(2).all(|pair| pair[1] >= pair[0] + options.least));
    }

    #[test]
    fn two_modes_have_a_gap_between_them(values in vec(0.1f64..9.0, 0..30)) {
        if let Some(found) = modes::two(&values) {
            prop_assert!(found.low < found.high && found.low_count + found.high_count == values.len());
        }
    }
}

/// Draws of samples of which some are heavy-tailed and some of two modes: no interval or test may lean on a normal shape.
fn draw(random: &mut Random, count: usize, shape: usize) -> Vec<f64> {
    let one = |random: &mut Random| match shape {
        0 => random.normal(),
        1 => random.normal() / random.uniform().max(1e-3),
        _ => random.normal() * 0.1 + if random.uniform() < 0.3 { 5.0 } else { 0.0 },
    };
    (0..count).map(|_| one(random)).collect()
}

#[test]
fn intervals_hold_the_truth_as_often_as_they_say() {
    let mut random = Random::new(2);
    for shape in 0..3 {
        let rounds = 1500;
        let (mut independent, mut paired, mut rejected) = (0, 0, 0);
        for _ in 0..rounds {
            let (base, head) = (draw(&mut random, 8, shape), draw(&mut random, 9, shape));
            independent += usize::from(shift::independent(&base, &head, 0.95).unwrap().interval.unwrap().holds(0.0));
            rejected += usize::from(ranks::mann_whitney(&base, &head).unwrap().p <= 0.05);
            let differences: Vec<f64> = base.iter().zip(&head).map(|(base, head)| head - base).collect();
            paired += usize::from(shift::paired(&differences, 0.95).unwrap().interval.unwrap().holds(0.0));
        }
        let least = (0.94 * f64::from(rounds)) as usize;
        assert!(independent >= least && paired >= least, "shape {shape}: {independent}, {paired} of {rounds}");
        assert!(rejected <= rounds as usize - least, "shape {shape}: {rejected} of {rounds}");
    }
}

#[test]
fn the_smallest_detectable_change_is_seen_as_often_as_it_says() {
    let mut random = Random::new(4);
    let (noise, threshold, confidence) = (0.02, 0.02, 0.99);
    for n in [8, 20] {
        let change = power::smallest_detectable(noise, n, n, threshold, confidence, power::USUAL_POWER).unwrap();
        let rounds = 600;
        let seen = (0..rounds)
            .filter(|_| {
                let base: Vec<f64> = (0..n).map(|_| noise * random.normal()).collect();
                let head: Vec<f64> = (0..n).map(|_| change + noise * random.normal()).collect();
                shift::independent(&base, &head, confidence).unwrap().interval.unwrap().low > threshold
            })
            .count();
        let share = seen as f64 / f64::from(rounds);
        assert!((0.72..0.88).contains(&share), "{n} launches: {share}");
        let planned = power::launches_for(noise, change, threshold, confidence, power::USUAL_POWER).unwrap();
        assert_eq!(planned, n);
    }
    assert_eq!(power::smallest_detectable(noise, 4, 4, threshold, confidence, 0.8), None);
    assert_eq!(power::launches_for(0.02, 0.01, 0.02, 0.99, 0.8), None);
    assert_eq!(power::launches_for(0.02, 0.020001, 0.02, 0.99, 0.8), None);
    assert_eq!(power::launches_for(1e-9, 0.03, 0.02, 0.99, 0.8), Some(5));
    assert_eq!(power::launches_to_shrink(0.02, 10, 0.01), Some(40));
    assert_eq!(power::launches_to_shrink(0.02, 10, 1e-6), None);
}

#[test]
fn looking_often_spends_no_more_than_once() {
    let mut random = Random::new(8);
    let (alpha, looks, per_look) = (0.05, 5, 6);
    let rounds = 400;
    let (mut careful, mut careless) = (0, 0);
    for _ in 0..rounds {
        let base = draw(&mut random, looks * per_look, 0);
        let head = draw(&mut random, looks * per_look, 0);
        let p = |look: usize| ranks::mann_whitney(&base[..look * per_look], &head[..look * per_look]).unwrap().p;
        let share = |look: usize| look as f64 / looks as f64;
        careful += usize::from((1..=looks).any(|look| p(look) <= sequence::level(alpha, share(look - 1), share(look))));
        careless += usize::from((1..=looks).any(|look| p(look) <= alpha));
    }
    assert!(careful <= 24, "{careful} of {rounds} at 5 %");
    assert!(careless > 30, "without care the same data give {careless} of {rounds}: else this test shows nothing");
}

#[test]
fn values_that_are_no_numbers_give_no_answer() {
    let (good, bad) = ([1.0, 2.0, 3.0], [1.0, f64::NAN, 2.0]);
    assert_eq!(ranks::mann_whitney(&good, &bad), None);
    assert_eq!(ranks::signed_rank(&bad), None);
    assert_eq!(ranks::cliffs_delta(&bad, &good), None);
    assert_eq!(shift::independent(&good, &bad, 0.9), None);
    assert_eq!(shift::paired(&bad, 0.9), None);
    assert_eq!(shift::logs(&[1.0, 0.0]), None);
    assert_eq!(shift::independent(&[], &good, 0.9), None);
    assert_eq!(ranks::signed_rank(&[0.0, 0.0]).unwrap().p, 1.0);
}
