//! Made ready: what was named is used or refused, and a process of its own finds the same.

mod common;

use std::path::Path;

use ditbench_backend_api::{Backend, Named, PrepareOptions, Ready};
use ditbench_ort::{LIBRARY_VARIABLE, OrtBackend};

/// Prepares with a library named, all that could be fetched allowed; the cache is an empty folder.
fn prepare(library: &Path, cache: &Path) -> Result<Ready, String> {
    let named = Named { library: Some(library.to_owned()), ..Named::default() };
    let options = PrepareOptions {
        named: &named,
        cache: &|| Ok(cache.to_owned()),
        fetch: true,
        say: &|message| panic!("nothing is fetched: {message}"),
        stop: &|| false,
    };
    OrtBackend::new().prepare(&options)
}

#[test]
fn a_library_that_was_named_is_what_workers_find() {
    let (library, cache) = (common::library(), tempfile::tempdir().unwrap());
    let ready = prepare(&library, cache.path()).unwrap();
    assert_eq!(ready.environment[LIBRARY_VARIABLE], library.to_str().unwrap());
    assert_eq!(ready.found, Some(("ONNX Runtime".to_owned(), library)));
}

#[test]
fn one_that_is_not_there_is_refused_and_no_other_is_fetched_in_its_place() {
    let cache = tempfile::tempdir().unwrap();
    let error = prepare(&cache.path().join("none.so"), cache.path()).unwrap_err();
    assert!(error.contains("none.so") && error.contains("--ort-lib") && !error.contains('\n'), "{error}");
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
}

#[test]
fn without_a_cache_the_reason_is_told() {
    let options = PrepareOptions {
        named: &Named::default(),
        cache: &|| Err("no home folder".to_owned()),
        fetch: true,
        say: &|_| (),
        stop: &|| false,
    };
    let mut backend = OrtBackend::new();
    assert_eq!(backend.prepare(&options), Err("no home folder".to_owned()));
}
