//! The suite on the reference itself, and proof that it can fail.

use ditbench_conformance::{Suite, assert_passed};
use ditbench_reference::Reference;

#[test]
fn the_reference_passes() {
    let cache = tempfile::tempdir().unwrap();
    assert_passed(&Suite::new(cache.path()).run(&Reference));
}
