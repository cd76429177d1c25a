//! What a sustained run settled at is judged and followed, whatever the median of the whole launch says.

use ditbench_record::Run;
use ditbench_reports::history::series::{self, SeriesKey};
use ditbench_reports::metric::Metric;
use ditbench_reports::verdict::{CompareError, Options, Outcome, Side, Verdict, compare};

#[path = "common/launches.rs"]
mod launches;
use launches::{factors, one_cell};

/// A sustained run of twelve launches of thirty images after the first; the last third takes `settled` times as long.
fn sustained(id: &str, seed: u64, settled: f64) -> Run {
    let mut run = one_cell(id, &factors(12, 0.005, seed));
    run.run.sustained_s = Some(600.0);
    for launch in &mut run.cells[0].launches {
        let cool = launch.samples[1].clone();
        launch.samples.truncate(1);
        let image = |image: u32| {
            let mut sample = cool.clone();
            sample.image = image;
            sample.total_s *= if image > 20 { settled } else { 1.0 };
            sample
        };
        launch.samples.extend((1..=30).map(image));
    }
    run
}

fn judge(base: &Run, head: &Run) -> Result<Verdict, CompareError> {
    compare(&Side::of_runs("base", [base]), &Side::of_runs("head", [head]), &Options::default())
}

#[test]
fn a_settled_image_that_regressed_is_found_where_the_median_did_not() {
    let base = sustained("a", 1, 1.0);
    let same = judge(&base, &sustained("b", 2, 1.0)).unwrap();
    assert_eq!(same.outcome, Outcome::Ok, "{:?}", same.cells[0].metrics);
    let hotter = judge(&base, &sustained("b", 2, 1.15)).unwrap();
    let of = |metric: Metric| hotter.cells[0].metric(metric).unwrap();
    assert_eq!(of(Metric::IMAGE).outcome, Outcome::Ok, "half of the images are as they were");
    assert_eq!(of(Metric::AT_FIRST).outcome, Outcome::Ok);
    let settled = of(Metric::SETTLED);
    assert_eq!((settled.outcome, hotter.outcome, hotter.exit_code()), (Outcome::Regressed, Outcome::Regressed, 1));
    assert!((settled.change.unwrap() - 0.15).abs() < 0.01, "{settled:?}");
    assert!(hotter.cells[0].metric(Metric::FIRST_CAP).is_none(), "what may be absent for the better is not judged");
}

#[test]
fn settled_images_have_series_of_their_own_conditions() {
    let (run, mut burst) = (sustained("a", 1, 1.2), sustained("b", 1, 1.2));
    burst.run.sustained_s = None;
    let keys = |run: &Run, metric: Metric| -> Vec<SeriesKey> {
        series::extract(run).unwrap().points.into_keys().filter(|key| key.metric == metric).collect()
    };
    let [settled] = &keys(&run, Metric::SETTLED)[..] else { panic!("one series") };
    assert_eq!(settled.conditions, "sustained for 600 s");
    let point = &series::extract(&run).unwrap().points[settled];
    assert!((2.3..2.5).contains(&point.value), "{point:?}");
    assert_eq!(keys(&run, Metric::AT_FIRST).len(), 1);
    // A burst run has none, and its whole-launch median is another series than the sustained run's.
    assert!(keys(&burst, Metric::SETTLED).is_empty());
    assert_ne!(keys(&run, Metric::IMAGE), keys(&burst, Metric::IMAGE));
    assert!(matches!(judge(&run, &burst), Err(CompareError::Differ { .. })), "{:?}", judge(&run, &burst).err());
}
