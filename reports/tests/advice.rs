//! The advice: what must hold of it for any candidates, and what it makes of records.

use std::collections::BTreeMap;

use ditbench_record::{Cell, CellKey, ForeignLoad, ImageQuality, Launch, PlacementShare, Reading, Run, Status, Steady};
use ditbench_reports::advice::choose::Order;
use ditbench_reports::advice::{
    self, Advice, Bound, Candidate, Choice, Fit, Holds, Known, Outcome, Question, Unfit, choose, faces,
};
use ditbench_reports::metric::Metric;
use proptest::collection::vec;
use proptest::prelude::*;

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, factors, key, run};

/// A candidate of these seconds of each launch, bytes and points.
fn candidate(name: &str, seconds: &[f64], bytes: f64, points: f64) -> Candidate {
    let known = BTreeMap::from([
        (Metric::IMAGE, Known::Launches(seconds.to_vec())),
        (Metric::PEAK, Known::Value(bytes.into())),
        (Metric::SSIMULACRA2, Known::Value(points.into())),
        (Metric::ENERGY, Known::Unknown("no sensor".into())),
    ]);
    let key = CellKey { backend: name.into(), ..CellKey::default() };
    let (label, ships) = (name.to_owned(), name.to_owned());
    Candidate { key, label, ships, known, unfit: None, caveats: Vec::new(), sustained: true }
}

fn question(bounds: &[Bound]) -> Question {
    Question { bounds: bounds.to_vec(), ..Question::default() }
}

fn usual() -> Question {
    question(&[
        Bound::at_most(Metric::IMAGE, 2.0),
        Bound::at_most(Metric::PEAK, 100.0),
        Bound::at_least(Metric::SSIMULACRA2, 70.0),
    ])
}

fn best(choice: &Choice) -> &str {
    &choice.best.as_ref().expect("something to advise").label
}

/// Anything from one launch to nine, around the limit and far from it; a few values only, so that there are ties.
fn any_candidate() -> impl Strategy<Value = Candidate> {
    let seconds = prop_oneof![
        vec((5u32..40).prop_map(|tenths| f64::from(tenths) / 10.0), 1..10),
        ((5u32..40), 1usize..10).prop_map(|(tenths, launches)| vec![f64::from(tenths) / 10.0; launches]),
    ];
    let unfit = prop_oneof![
        4 => Just(None),
        1 => any::<bool>().prop_map(|curable| Some(Unfit { why: "so".into(), curable })),
    ];
    (seconds, 80u32..120, 60u32..80, unfit).prop_map(|(seconds, bytes, points, unfit)| Candidate {
        unfit,
        ..candidate("", &seconds, f64::from(bytes), f64::from(points))
    })
}

/// Several, each with a name of its own.
fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    vec(any_candidate(), 0..8).prop_map(|mut all| {
        for (place, one) in all.iter_mut().enumerate() {
            one.key.backend = format!("c{place}");
            one.label = one.key.backend.clone();
        }
        all
    })
}

/// As good in every number, and better in one.
fn dominates(one: &Candidate, other: &Candidate) -> bool {
    let of = |candidate: &Candidate| {
        let value = |metric| candidate.value(metric).unwrap_or(f64::NAN);
        [-value(Metric::IMAGE), -value(Metric::PEAK), value(Metric::SSIMULACRA2)]
    };
    let (one, other) = (of(one), of(other));
    one.iter().zip(&other).all(|(a, b)| a >= b) && one.iter().zip(&other).any(|(a, b)| a > b)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_advised_keeps_every_bound_with_its_whole_interval(all in candidates()) {
        let choice = choose(&usual(), &all);
        if choice.outcome == Outcome::Met {
            let advised = all.iter().find(|one| one.label == best(&choice)).unwrap();
            prop_assert!(advised.unfit.is_none());
            for standing in advised.standings(&usual()) {
                let ends = standing.interval.unwrap();
                prop_assert!(standing.holds == Holds::Yes && standing.bound.keeps(ends.low) && standing.bound.keeps(ends.high));
            }
            prop_assert!(choice.best.unwrap().standings.iter().all(|standing| standing.holds == Holds::Yes));
        } else {
            prop_assert!(all.iter().all(|one| one.fit(&usual()) != Fit::Keeps));
        }
    }

    #[test]
    fn more_launches_never_make_a_violating_configuration_the_advised_one(
        all in candidates(), which in 0usize..8, added in vec(1u32..60, 1..12),
    ) {
        prop_assume!(!all.is_empty());
        let mut after = all.clone();
        let which = which % after.len();
        let Some(Known::Launches(seconds)) = after[which].known.get_mut(&Metric::IMAGE) else { unreachable!() };
        seconds.extend(added.iter().map(|tenths| f64::from(*tenths) / 10.0));
        let choice = choose(&usual(), &after);
        if choice.outcome == Outcome::Met {
            let advised = after.iter().find(|one| one.label == best(&choice)).unwrap();
            prop_assert_eq!(advised.fit(&usual()), Fit::Keeps);
        }
        // Launches beyond the limit, as many as there were before and six: whatever was thought before, it is not advised.
        let Some(Known::Launches(seconds)) = after[which].known.get_mut(&Metric::IMAGE) else { unreachable!() };
        let bad = seconds.len() + 6;
        seconds.extend(vec![9.0; bad]);
        let choice = choose(&usual(), &after);
        prop_assert!(choice.outcome != Outcome::Met || best(&choice) != after[which].label);
    }

    #[test]
    fn the_order_of_candidates_does_not_matter(all in candidates(), seed in any::<u64>()) {
        let mut shuffled = all.clone();
        ditbench_reports::stats::random::Random::new(seed).shuffle(&mut shuffled);
        prop_assert_eq!(choose(&usual(), &all), choose(&usual(), &shuffled));
    }

    #[test]
    fn what_dominates_is_never_passed_over(all in candidates()) {
        for objective in [Metric::IMAGE, Metric::PEAK, Metric::SSIMULACRA2] {
            let question = Question { objective, ..usual() };
            let choice = choose(&question, &all);
            if choice.outcome != Outcome::Met { continue }
            let advised = all.iter().find(|one| one.label == best(&choice)).unwrap();
            for other in all.iter().filter(|other| dominates(other, advised)) {
                prop_assert!(other.fit(&question) != Fit::Keeps, "{} dominates {}", other.label, advised.label);
                // And what may keep the bounds is at least named, if it is better in what was asked for.
                let better = other.known(objective).value() != advised.known(objective).value();
                let named = choice.may_be_better.iter().any(|one| one.label == other.label);
                prop_assert!(named || !better || other.fit(&question) != Fit::Unsure);
            }
        }
    }

    #[test]
    fn what_the_relaxed_bounds_let_through_is_let_through(all in candidates()) {
        let choice = choose(&usual(), &all);
        prop_assert!(choice.relax.is_empty() || choice.outcome == Outcome::NotMet);
        let mut relaxed = usual();
        for relax in &choice.relax {
            prop_assert!(relax.by > 0.0);
            relaxed.bounds.iter_mut().filter(|bound| **bound == relax.bound).for_each(|bound| bound.limit = relax.to);
        }
        if let Some(relax) = choice.relax.first() {
            let after = choose(&relaxed, &all);
            prop_assert_ne!(after.outcome, Outcome::NotMet);
            let lets = all.iter().find(|one| one.label == relax.lets).unwrap();
            prop_assert!(lets.fit(&relaxed) <= Fit::Unsure);
        }
    }

    #[test]
    fn every_candidate_is_weighed_or_named(all in candidates()) {
        for question in [usual(), Question::default()] {
            let choice = choose(&question, &all);
            prop_assert_eq!(choice.weighed.len() + choice.excluded.len(), all.len());
        }
    }
}

#[test]
fn enough_launches_far_from_the_limit_are_sure() {
    let all = [
        candidate("fast", &[1.0; 6], 90.0, 75.0),
        candidate("small", &[1.5; 6], 50.0, 75.0),
        candidate("big", &[0.5; 6], 200.0, 75.0),
    ];
    let choice = choose(&usual(), &all);
    assert_eq!((choice.outcome, best(&choice), choice.keep), (Outcome::Met, "fast", 2));
    let next = choice.runner_up.unwrap();
    assert_eq!(next.configuration.label, "small");
    let change = |metric| next.costs.iter().find(|cost| cost.metric == metric).map(|cost| (cost.change, cost.worse));
    assert_eq!(change(Metric::IMAGE), Some((0.5, true)));
    assert_eq!(change(Metric::SSIMULACRA2), None, "what does not change is no cost");
    assert!(next.order == Order::Sure && change(Metric::PEAK).is_some_and(|(change, worse)| change < 0.0 && !worse));
    let by_memory = choose(&Question { objective: Metric::PEAK, ..usual() }, &all);
    assert_eq!(best(&by_memory), "small");
}

#[test]
fn too_few_launches_say_how_many_more() {
    let choice = choose(&usual(), &[candidate("fast", &[1.0; 2], 90.0, 75.0)]);
    let open = choice.best.unwrap();
    assert_eq!((choice.outcome, open.more), (Outcome::NotSure, Some(4)));
    // A better one that is not sure is named beside the one that is.
    let all = [candidate("sure", &[1.0; 6], 90.0, 75.0), candidate("maybe", &[0.5; 2], 90.0, 75.0)];
    let choice = choose(&usual(), &all);
    assert_eq!((choice.outcome, best(&choice)), (Outcome::Met, "sure"));
    assert_eq!(
        choice.may_be_better.iter().map(|one| (one.label.as_str(), one.more)).collect::<Vec<_>>(),
        [("maybe", Some(4))]
    );
}

#[test]
fn what_nothing_keeps_says_how_far_and_which_bound_to_relax() {
    let all = [candidate("slow", &[3.0; 6], 90.0, 75.0), candidate("big", &[1.0; 6], 110.0, 75.0)];
    let choice = choose(&usual(), &all);
    assert_eq!((choice.outcome, best(&choice)), (Outcome::NotMet, "big"));
    let [relax] = &choice.relax[..] else { panic!("{:?}", choice.relax) };
    assert_eq!((relax.bound.metric, relax.to, relax.lets.as_str()), (Metric::PEAK, 110.0, "big"));
    assert!((relax.by - 0.1).abs() < 1e-12);
    // Where no bound alone does it, all that the nearest misses.
    let both = choose(&usual(), &[candidate("both", &[3.0; 6], 110.0, 75.0)]);
    assert_eq!(both.relax.iter().map(|relax| relax.bound.metric).collect::<Vec<_>>(), [Metric::IMAGE, Metric::PEAK]);
}

#[test]
fn what_was_spoiled_may_yet_do_and_what_is_wrong_never() {
    let unfit = |curable, bytes| Candidate {
        unfit: Some(Unfit { why: "so".into(), curable }),
        ..candidate("unfit", &[1.0; 6], bytes, 75.0)
    };
    let missed = candidate("slow", &[3.0; 6], 90.0, 75.0);
    let outcome = |one| choose(&usual(), &[missed.clone(), one]).outcome;
    assert_eq!(outcome(unfit(true, 90.0)), Outcome::NotSure);
    assert_eq!(outcome(unfit(true, 200.0)), Outcome::NotMet, "its memory is known however busy the machine was");
    assert_eq!(outcome(unfit(false, 90.0)), Outcome::NotMet);
    assert_eq!(choose(&usual(), &[]).outcome, Outcome::NotMet);
}

/// A run of this machine: cells by backend, each with factors on two seconds.
fn measured(id: &str, cells: &[(&str, Vec<f64>)]) -> Run {
    run(id, cells.iter().map(|(backend, factors)| cell(key(backend, "f32"), factors)).collect())
}

fn latency(limit: f64) -> Question {
    question(&[Bound::at_most(Metric::IMAGE, limit)])
}

fn ask(runs: &[&Run], question: &Question) -> Advice {
    advice::of_runs(runs, &[], question)
}

fn of_first(advice: &Advice) -> &Choice {
    &advice.decisions[0].devices[0].choice
}

#[test]
fn records_are_weighed_and_the_faces_say_it() {
    let run = measured("r1", &[("ort", factors(8, 0.01, 1)), ("candle", vec![1.5; 8])]);
    let advice = ask(&[&run], &latency(2.5));
    assert_eq!((advice.outcome, best(of_first(&advice))), (Outcome::Met, "ort stock · f32 · 2\u{a0}threads"));
    let text = faces::text::of_advice(&advice);
    for words in [
        "MET: Under steady image at most 2.50 s",
        "Ship ort stock",
        "It is the only one of 2",
        "misses",
        "run --sustained",
    ] {
        assert!(text.contains(words), "no \"{words}\" in {text}");
    }
    let markdown = faces::markdown::of_advice(&advice);
    assert!(markdown.contains("ditbench advises: met") && markdown.contains("| candle stock"), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&faces::json(&advice)).unwrap();
    assert_eq!(json["outcome"], "met");
    assert_eq!(json["question"]["bounds"][0]["metric"], "image_s");
    assert_eq!(json["decisions"][0]["devices"][0]["choice"]["best"]["cell"], run.cells[0].key.id());
    let free = ask(&[&run], &Question::default());
    assert!(faces::text::of_advice(&free).contains("is the fastest"), "{}", faces::text::of_advice(&free));
    let none = ask(&[&run], &latency(1.0));
    let text = faces::text::of_advice(&none);
    assert!(text.starts_with("NOT MET") && text.contains("relax steady image from 1.00 s"), "{text}");
}

#[test]
fn runs_of_one_machine_are_put_together_and_their_order_does_not_matter() {
    let (a, mut b) = (measured("a", &[("ort", vec![1.0; 3])]), measured("b", &[("ort", vec![1.01; 3])]));
    b.run.created = "2026-11-24T20:00:00Z".into();
    assert_eq!(ask(&[&a], &latency(2.5)).outcome, Outcome::NotSure);
    let both = ask(&[&a, &b], &latency(2.5));
    assert_eq!((both.outcome, of_first(&both).best.as_ref().unwrap().standings[0].launches), (Outcome::Met, Some(6)));
    assert_eq!(both, ask(&[&b, &a], &latency(2.5)));
    assert_eq!(both, ask(&[&b, &a, &b], &latency(2.5)), "the same run twice is one");
    // Another build is no further launch of the same: the newest counts, and that is said.
    b.run.build.profile = "debug".into();
    let other = ask(&[&a, &b], &latency(2.5));
    assert_eq!(of_first(&other).best.as_ref().unwrap().standings[0].launches, Some(3));
    let notes = &other.decisions[0].devices[0].notes;
    assert!(notes.iter().any(|note| note.contains("of run a is left out")), "{notes:?}");
}

/// Other programs took nearly half of the CPUs.
fn busy(launch: &mut Launch) {
    let waited_s = Reading::absent("");
    let (wall_s, busy_s, own_s) = (10.0, 19.0, 10.0);
    launch.foreign = Reading::Ok(ForeignLoad { cpus: 2, wall_s, busy_s, own_s, stolen_s: 0.0, waited_s });
}

#[test]
fn a_spoiled_launch_does_not_count_and_is_said() {
    let mut run = measured("r", &[("ort", vec![1.0; 7])]);
    run.cells[0].launches[2] = Launch { samples: launches::launch(2, 5.0).samples, ..run.cells[0].launches[2].clone() };
    busy(&mut run.cells[0].launches[2]);
    let advice = ask(&[&run], &latency(2.5));
    let best = of_first(&advice).best.as_ref().unwrap();
    assert_eq!((advice.outcome, best.standings[0].launches), (Outcome::Met, Some(6)));
    assert!(best.caveats.iter().any(|caveat| caveat.starts_with("1 of 7 launches were spoiled")), "{:?}", best.caveats);
    // With one more spoiled, too few are left.
    busy(&mut run.cells[0].launches[3]);
    assert_eq!(ask(&[&run], &latency(2.5)).outcome, Outcome::NotSure);
}

/// Why the only configuration of a run is not advised.
fn why_not(change: impl Fn(&mut Cell)) -> (String, Outcome) {
    let mut run = measured("r", &[("ort", vec![1.0; 6])]);
    change(&mut run.cells[0]);
    let advice = ask(&[&run], &latency(9.0));
    let choice = of_first(&advice);
    assert!(choice.weighed.is_empty() && choice.best.is_none(), "{choice:?}");
    (choice.excluded[0].why.clone(), advice.outcome)
}

#[test]
fn what_failed_fell_back_was_spoiled_or_computed_wrong_is_named_and_never_advised() {
    let each = |change: fn(&mut Launch)| move |cell: &mut Cell| cell.launches.iter_mut().for_each(change);
    let (why, outcome) =
        why_not(|cell| (cell.launches[2].status, cell.launches[2].reason) = (Status::Oom, Some("killed".into())));
    assert_eq!((why.as_str(), outcome), ("oom: 1 of 6 launches failed: killed", Outcome::NotMet));
    let (why, outcome) = why_not(|cell| {
        cell.placement[0].entries.push(PlacementShare { device: "elsewhere".into(), nodes: 50, time_share: None });
    });
    assert!(why.starts_with("it fell back: ") && outcome == Outcome::NotMet, "{why}");
    let (why, outcome) = why_not(|cell| {
        let Reading::Ok(quality) = &mut cell.quality else { panic!() };
        quality.latents[1].relative_l2 = f64::NAN;
    });
    assert!(why.starts_with("it computed wrong: ") && outcome == Outcome::NotMet, "{why}");
    let (why, outcome) = why_not(each(busy));
    assert!(why.starts_with("it was spoiled in every launch: other programs") && outcome == Outcome::NotSure, "{why}");
    let (why, outcome) = why_not(each(|launch| launch.steady.state = Steady::Slowing));
    assert!(why.starts_with("it was never steady: slowing down") && outcome == Outcome::NotSure, "{why}");
    let (why, _) = why_not(|cell| cell.numerics = Reading::Ok("f64".into()));
    assert!(why.contains("yardstick"), "{why}");
    let (why, outcome) = why_not(|cell| *cell = Cell::failed(cell.key.clone(), Status::Unsupported, "no way"));
    assert_eq!((why.as_str(), outcome), ("unsupported: no way", Outcome::NotMet));
    let (why, outcome) = why_not(|cell| *cell = Cell::failed(cell.key.clone(), Status::Interrupted, "Ctrl-C"));
    assert_eq!((why.as_str(), outcome), ("Ctrl-C", Outcome::NotSure));
}

#[test]
fn memory_alone_can_be_asked_of_what_never_became_steady() {
    let mut run = measured("r", &[("ort", vec![1.0; 6])]);
    run.cells[0].launches.iter_mut().for_each(|launch| launch.steady.state = Steady::Slowing);
    let bounds = vec![Bound::at_most(Metric::PEAK, 2e9)];
    let advice = ask(&[&run], &Question { bounds, objective: Metric::PEAK, across_workloads: false });
    assert_eq!(advice.outcome, Outcome::Met);
    // And a single launch is enough for what is the same whenever it is measured.
    run.cells[0].launches.truncate(1);
    let bounds = vec![Bound::at_least(Metric::PSNR, 80.0)];
    let advice = ask(&[&run], &Question { bounds, objective: Metric::PEAK, across_workloads: false });
    assert_eq!(advice.outcome, Outcome::Met);
}

#[test]
fn sustained_times_decide_where_there_are_any_and_else_it_is_said() {
    let cool = measured("cool", &[("ort", vec![1.0; 6])]);
    let mut hot = measured("hot", &[("ort", vec![1.5; 6])]);
    hot.run.sustained_s = Some(600.0);
    // A sustained run has no memory pass of its own here: what it lacks is of the other.
    hot.cells[0].quality = Reading::absent("brief");
    let advice = ask(&[&cool, &hot], &latency(2.5));
    assert_eq!(advice.outcome, Outcome::NotMet, "3 s when hot, 2 s when cool");
    let best = of_first(&advice).best.as_ref().unwrap();
    assert!(best.sustained && best.value(Metric::PEAK).is_some());
    let psnr = Question { bounds: vec![Bound::at_least(Metric::PSNR, 80.0)], ..Question::default() };
    assert_eq!(ask(&[&cool, &hot], &psnr).outcome, Outcome::Met, "pictures do not depend on heat");
    let notes = |advice: &Advice| advice.decisions[0].devices[0].notes.join(" ");
    assert!(!notes(&advice).contains("short launches"));
    assert!(notes(&ask(&[&cool], &latency(2.5))).contains("short launches"));
}

#[test]
fn a_sustained_run_is_judged_by_what_it_settled_at() {
    let mut hot = measured("hot", &[("ort", vec![1.0; 6])]);
    hot.run.sustained_s = Some(600.0);
    let heat_up = |launch: &mut Launch, seconds: fn(u32) -> f64| {
        let first = launch.samples[0].clone();
        launch.samples =
            (0..31).map(|image| ditbench_record::Sample { image, total_s: seconds(image), ..first.clone() }).collect();
        launch.steady.state = Steady::Slowing;
    };
    let heat = |run: &mut Run, seconds| run.cells[0].launches.iter_mut().for_each(|launch| heat_up(launch, seconds));
    heat(&mut hot, |image| if image < 12 { 1.0 } else { 3.0 });
    let advice = ask(&[&hot], &latency(2.5));
    let best = of_first(&advice).best.as_ref().unwrap();
    assert_eq!((advice.outcome, best.value(Metric::IMAGE)), (Outcome::NotMet, Some(3.0)), "it settled at 3 s");
    assert_eq!(ask(&[&hot], &latency(3.5)).outcome, Outcome::Met, "though no launch was steady");
    let notes = &advice.decisions[0].devices[0].notes;
    assert!(notes.iter().any(|note| note.contains("settled images")), "{notes:?}");
    // What still becomes slower at the end has not settled.
    heat(&mut hot, |image| 1.0 + 0.1 * f64::from(image));
    let advice = ask(&[&hot], &latency(9.0));
    assert!(of_first(&advice).excluded[0].why.starts_with("it never settled"), "{:?}", of_first(&advice).excluded);
}

#[test]
fn the_reference_of_others_is_as_near_to_itself_as_can_be() {
    let mut run = measured("r", &[("ort", vec![1.0; 6]), ("candle", vec![0.8; 6])]);
    run.cells[0].quality = Reading::absent("this is the reference cell");
    run.cells[0].is_reference = true;
    let Reading::Ok(quality) = &mut run.cells[1].quality else { panic!() };
    quality.image = Reading::Ok(ImageQuality { ssimulacra2: Reading::Ok(65.0), ..ImageQuality::default() });
    let bounds = vec![Bound::at_least(Metric::SSIMULACRA2, 70.0)];
    let advice = ask(&[&run], &Question { bounds, ..Question::default() });
    assert_eq!((advice.outcome, best(of_first(&advice))), (Outcome::Met, "ort stock · f32 · 2\u{a0}threads"));
}

#[test]
fn workloads_have_answers_of_their_own_unless_they_are_to_compete() {
    let other = cell(CellKey { model: "tiny".into(), ..key("ort", "f32") }, &[5.0; 6]);
    let mut run = measured("r", &[("ort", vec![1.0; 6])]);
    run.cells.push(other);
    let advice = ask(&[&run], &latency(2.5));
    assert_eq!(
        advice.decisions.iter().map(|decision| decision.outcome).collect::<Vec<_>>(),
        [Outcome::Met, Outcome::NotMet]
    );
    assert_eq!(advice.outcome, Outcome::NotMet);
    let together = ask(&[&run], &Question { across_workloads: true, ..latency(2.5) });
    assert_eq!((together.decisions.len(), together.outcome), (1, Outcome::Met));
    assert!(best(of_first(&together)).starts_with("nano, 64×64"), "{}", best(of_first(&together)));
}

#[test]
fn what_no_launch_gives_by_itself_is_not_sure() {
    let run = measured("r", &[("ort", vec![1.0; 6])]);
    let ask = |metric, limit| ask(&[&run], &question(&[Bound::no_worse_than(metric, limit)]));
    // No sensor here: what is not known is not sure, and no launch settles it.
    let energy = ask(Metric::ENERGY, 5.0);
    let open = of_first(&energy).best.as_ref().unwrap();
    assert_eq!((energy.outcome, open.more), (Outcome::NotSure, None));
    assert!(open.standings[0].why.is_some());
    // 24 images are no 64, let alone in each launch.
    let p90 = Metric::named("p90_s").unwrap();
    assert_eq!(ask(p90, 9.0).outcome, Outcome::NotSure);
    assert_eq!(ask(Metric::FIRST_IMAGE, 3.0).outcome, Outcome::Met);
    assert_eq!(ask(Metric::DENOISER_STEP.step(1), 1.3).outcome, Outcome::Met);
}

/// Alone and in company are two decisions; that of the cell alone says what company costs, or that this is not known.
#[test]
fn company_is_a_decision_of_its_own() {
    let alone = cell(key("ort", "f32"), &factors(8, 0.01, 1));
    let mut beside = cell(CellKey { company: 1, ..key("ort", "f32") }, &[3.0; 8]);
    beside.launches.iter_mut().for_each(|launch| launch.calibration = Default::default());
    let notes = |cells: Vec<Cell>| -> Vec<(String, String)> {
        let advice = advice::of_runs(&[&run("a", cells)], &[], &Question::default());
        let of = |decision: &advice::Decision| (decision.workload.clone(), decision.devices[0].notes.join(" "));
        advice.decisions.iter().map(of).collect()
    };
    let [(_, only)] = &notes(vec![alone.clone()])[..] else { panic!("one decision") };
    assert!(only.contains("Times are of the worker alone") && only.contains("--company 0,1"), "{only}");
    let [(_, of_alone), (workload, in_company)] = &notes(vec![alone, beside])[..] else { panic!("two decisions") };
    assert!(workload.ends_with("in company of 1"), "{workload}");
    let plain = of_alone.replace('\u{a0}', " ");
    assert!(
        plain.contains("in company of 1 its image takes 3.0") && plain.contains("times as long (6.00 s)"),
        "{plain}"
    );
    assert!(
        in_company.contains("Times are in company of 1") && in_company.contains("kept 1 thread busy"),
        "{in_company}"
    );
    // Where workloads compete, those two still do not.
    let question = Question { across_workloads: true, ..Question::default() };
    let record = run(
        "a",
        vec![cell(key("ort", "f32"), &[1.0; 8]), cell(CellKey { company: 1, ..key("ort", "f32") }, &[0.5; 8])],
    );
    assert_eq!(advice::of_runs(&[&record], &[], &question).decisions.len(), 2);
}
