//! The suite that every backend passes: all schemes, all variants, on one thread and on several.

use ditbench_conformance::{Suite, assert_passed};
use ditbench_graph::weights::Scheme;
use ditbench_tract::Tract;

#[test]
fn tract_passes_in_every_scheme_and_variant() {
    let cache = tempfile::tempdir().unwrap();
    assert_passed(&Suite::new(cache.path()).run(&Tract));
}

#[test]
fn tract_passes_on_three_threads() {
    let cache = tempfile::tempdir().unwrap();
    assert_passed(&Suite::new(cache.path()).threads(3).schemes(&[Scheme::F32, Scheme::Q4]).run(&Tract));
}
