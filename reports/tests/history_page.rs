//! The page of a history: every series drawn, changes marked, nothing unescaped, nothing fetched.

use ditbench_reports::history::{self, HistoryStore, Metric, Missing, page};

mod common;
use common::numbered;

fn store(dir: &std::path::Path, runs: usize) -> Box<dyn HistoryStore> {
    let path = dir.join("a <b> & \"c\".db");
    let mut store = history::open(path.to_str().unwrap(), Missing::Create).unwrap();
    for number in 0..runs {
        store.import(&numbered(number)).unwrap();
    }
    store
}

#[test]
fn every_series_is_drawn_and_its_changes_are_marked() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), 40);
    // The numbered runs step up by a tenth at 20; only in the seconds of an image.
    let detect = |values: &[f64]| {
        assert_eq!(values.len(), 40);
        if values[39] > values[0] * 1.05 { vec![20] } else { Vec::new() }
    };
    let contents = page::collect(&mut *store, &|_| true, Some(&detect)).unwrap();
    let changed: Vec<_> = contents.series.iter().filter(|series| !series.changes.is_empty()).collect();
    assert!(!changed.is_empty() && changed.len() < contents.series.len());
    for series in &changed {
        let change = series.changes[0];
        assert!(matches!(series.summary.key.metric, Metric::IMAGE | Metric::FIRST_IMAGE));
        assert!((change.after / change.before - 1.1).abs() < 0.01, "{change:?}");
        let says = change.says(series);
        assert!(says.contains("at run-00020 of") && says.contains(" (+"), "{says}");
    }
    let html = page::html(&contents).unwrap();
    assert_eq!(html.matches("<svg").count(), contents.series.len());
    assert_eq!(html.matches("<li><b class=\"b-backend").count(), changed.len());
    assert!(html.contains("a &lt;b&gt; &amp; &quot;c&quot;.db"));
    for never in ["<script", "http-equiv=\"refresh", "src=\"http", "NaN", "inf", "<b> &"] {
        assert!(!html.replace("http://www.w3.org/2000/svg", "").contains(never), "{never}");
    }
    // Colours are the page's classes, so that they follow light and dark.
    assert!(!html.contains("fill=\"#") && !html.contains("stroke=\"#"));
    for run in [0, 20, 39] {
        assert!(html.contains(&format!("run-{run:05}")));
    }
    if let Some(out) = std::env::var_os("DITBENCH_TEST_HISTORY_PAGE") {
        std::fs::write(out, &html).unwrap();
    }
}

#[test]
fn it_says_what_was_not_looked_for_and_what_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut few = store(dir.path(), 1);
    let contents = page::collect(&mut *few, &|_| true, None).unwrap();
    let html = page::html(&contents).unwrap();
    assert!(html.contains("Level changes were not searched for."));
    assert!(html.contains("Measured once so far") && !html.contains("<svg"));
    let contents = page::collect(&mut *few, &|_| false, Some(&|_| Vec::new())).unwrap();
    let html = page::html(&contents).unwrap();
    assert!(html.contains("No level change was found in any series.") && html.contains("run-00000"));
    drop(few);
    let empty = page::Contents { location: "nowhere".into(), runs: vec![], series: vec![], changes_sought: true };
    assert!(page::html(&empty).unwrap().contains("It is empty."));
}

#[test]
fn a_detector_that_answers_nonsense_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = store(dir.path(), 5);
    let contents = page::collect(&mut *store, &|_| true, Some(&|_| vec![0, 2, 2, 5, 99])).unwrap();
    assert!(contents.series.iter().all(|series| series.changes.len() == 1 && series.changes[0].at == 2));
    page::html(&contents).unwrap();
}
