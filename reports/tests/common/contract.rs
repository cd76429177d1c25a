//! What every store must do, whatever database it is in.

use ditbench_reports::history::{HistoryError, HistoryStore, Imported, Metric};

use crate::common::{GOLDEN, numbered};

/// Everything that a store promises to one user at a time. `open` gives a new connection to one store, which is empty at first.
pub fn contract(open: &mut dyn FnMut() -> Box<dyn HistoryStore>) {
    let mut store = open();
    assert!(store.runs().unwrap().is_empty() && store.series().unwrap().is_empty());
    assert!(store.integrity().unwrap().is_sound());
    assert!(matches!(store.export("run-00000"), Err(HistoryError::NoRun { .. })));

    // Byte for byte, layout and all.
    assert_eq!(store.import_text(GOLDEN).unwrap(), Imported::New);
    let golden = ditbench_record::parse(GOLDEN).unwrap();
    assert_eq!(open().export_text(&golden.run.id).unwrap(), GOLDEN);
    assert_eq!(open().export(&golden.run.id).unwrap(), golden);

    // Latest first, to see that they come back in order; each twice.
    for number in (0..30).rev() {
        assert_eq!(store.import(&numbered(number)).unwrap(), Imported::New);
        assert_eq!(open().import(&numbered(number)).unwrap(), Imported::Already);
    }
    let runs = store.runs().unwrap();
    let ids: Vec<&str> = runs.iter().map(|run| run.id.as_str()).collect();
    let want: Vec<String> = (0..30).map(|number| format!("run-{number:05}")).collect();
    assert_eq!(ids[..30], want);
    assert_eq!(ids[30], golden.run.id);
    assert_eq!((runs[3].cells_ok, runs[3].cells_failed), (2, 1));
    assert!(runs[3].description.contains("Xeon"), "{}", runs[3].description);
    for number in [0, 7, 29] {
        assert_eq!(store.export(&format!("run-{number:05}")).unwrap(), numbered(number));
    }

    // Two cells of the row are in the golden record too, on the same machine.
    let series = store.series().unwrap();
    let image: Vec<_> =
        series.iter().filter(|series| series.key.metric == Metric::IMAGE && series.points == 31).collect();
    assert_eq!(image.len(), 2, "{series:#?}");
    let points = store.points(&image[0].key).unwrap();
    assert_eq!(points.iter().map(|point| point.run.as_str()).collect::<Vec<_>>(), ids);
    for (number, point) in points[..30].iter().enumerate() {
        let run = numbered(number);
        let row = &ditbench_reports::table::of_runs(&[&run]).rows;
        let row = row.iter().find(|row| row.key == image[0].key.cell).unwrap();
        assert_eq!(Some(point.value), row.p50_s(), "not the table's value");
        assert_eq!(point.low, row.image_s.value().unwrap().low);
        assert_eq!(point.revision.as_deref(), runs[number].revision.as_deref());
        assert_eq!(point.created, run.run.created);
    }
    let mut unknown = image[0].key.clone();
    unknown.cell.threads += 1;
    assert!(store.points(&unknown).unwrap().is_empty());

    // Refused, with nothing of them in the store.
    let before = (store.runs().unwrap(), store.series().unwrap());
    let mut edited = numbered(5);
    edited.warnings.push("edited".into());
    assert!(matches!(store.import(&edited), Err(HistoryError::Conflict { .. })));
    let mut twice = numbered(31);
    twice.cells.push(twice.cells[0].clone());
    assert!(matches!(store.import(&twice), Err(HistoryError::Unfit { .. })));
    for text in [&GOLDEN[..GOLDEN.len() / 2], "{}", ""] {
        assert!(matches!(store.import_text(text), Err(HistoryError::Record { .. })));
    }
    assert!((store.runs().unwrap(), store.series().unwrap()) == before);

    // A run that goes on takes the place of its earlier state, points and all.
    let whole = numbered(40);
    let mut part = whole.clone();
    part.run.finished = None;
    part.cells[0].key.threads = 7;
    part.cells.truncate(1);
    assert_eq!(store.import(&part).unwrap(), Imported::New);
    let gone = store.series().unwrap().into_iter().find(|series| series.key.cell.threads == 7).unwrap();
    assert_eq!(store.import(&whole).unwrap(), Imported::Continued);
    assert!(matches!(store.import(&part), Err(HistoryError::Conflict { .. })));
    assert_eq!(store.export("run-00040").unwrap(), whole);
    assert!(store.points(&gone.key).unwrap().is_empty());
    assert!(store.series().unwrap().iter().all(|series| series.key != gone.key));
    assert_eq!(store.points(&image[0].key).unwrap().len(), 32);

    let found = store.integrity().unwrap();
    assert_eq!((found.runs, &found.problems), (32, &Vec::new()));
    let total: u64 = store.series().unwrap().iter().map(|series| series.points).sum();
    assert_eq!(found.points, total);
}
