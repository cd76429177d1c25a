//! The directory of a run: written, read, resumed, and what is none.

use std::fs;
use std::path::Path;

use ditbench_record::store::{RECORD_FILE, RunStore, StoreError, read};
use ditbench_record::{Cell, Status};
use ditbench_reports::sample;

#[test]
fn a_run_is_written_read_and_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = sample::run();
    let cells = std::mem::take(&mut run.cells);
    let mut store = RunStore::create(dir.path(), run).unwrap();
    store.put_cell(cells[0].clone()).unwrap();
    store.put_cell(Cell::failed(cells[1].key.clone(), Status::Interrupted, "Ctrl-C")).unwrap();
    assert!(store.is_done(&cells[0].key) && !store.is_done(&cells[1].key) && !store.is_done(&cells[2].key));
    assert!(matches!(RunStore::resume(dir.path()), Err(StoreError::Busy { .. })));
    drop(store);

    let mut store = RunStore::resume(&dir.path().join(RECORD_FILE)).unwrap();
    store.put_cell(cells[1].clone()).unwrap();
    assert!(store.run().cells == cells[..2], "as put, to the last digit");
    assert_eq!(store.run().run.resumed, 1);
    let on_disk = read(dir.path()).unwrap();
    assert!(&on_disk.run == store.run());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "only the record, the samples and the lock: {names:?}");
    let error = store.update(|run| run.cells[0].launches[0].samples[0].total_s = f64::NAN).unwrap_err();
    assert!(error.to_string().contains("last good record is kept"), "{error}");
    assert!(read(dir.path()).unwrap() == on_disk);
    drop(store);
    let error = RunStore::create(dir.path(), sample::run()).unwrap_err();
    assert!(error.to_string().contains("--resume"), "{error}");
}

#[test]
fn what_is_no_run_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let said = |path: &Path| read(path).unwrap_err().to_string();
    assert!(said(dir.path()).contains("holds no record.json"));
    let path = dir.path().join("record.json");
    for (bytes, want) in [
        (&b"{\"schema_version\": 1, \"run\": {\"id\""[..], "cut off"),
        (b"\xff\xfe\x00", "cut off or damaged"),
        (b"{}", "no schema_version"),
        (b"{\"schema_version\": 1}", "missing field"),
        (b"{\"schema_version\": 99, \"run\": {\"tool_version\": \"7.1\"}}", "ditbench 7.1"),
    ] {
        fs::write(&path, bytes).unwrap();
        let said = said(&path);
        assert!(said.contains(want) && !said.contains('\n'), "{said}");
    }
    // A place where no directory can be: under a file.
    let error = RunStore::create(&path.join("run"), sample::run()).unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");
}
