//! The conformance suite on ONNX Runtime: every scheme, every variant.

mod common;

use ditbench_conformance::{Suite, assert_passed};
use ditbench_graph::weights::Scheme;

fn passes(scheme: Scheme) {
    let cache = tempfile::tempdir().unwrap();
    let outcomes = Suite::new(cache.path()).schemes(&[scheme]).run(&common::backend());
    assert_passed(&outcomes);
}

#[test]
fn f32_passes() {
    passes(Scheme::F32);
}

#[test]
fn f16_passes() {
    passes(Scheme::F16);
}

#[test]
fn q4_passes() {
    passes(Scheme::Q4);
}

#[test]
fn q8_passes() {
    passes(Scheme::Q8);
}

#[test]
fn mixed_passes() {
    passes(Scheme::Mixed);
}

#[test]
fn palette4_passes() {
    passes(Scheme::Palette4);
}

#[test]
fn small_memory_and_more_threads_pass() {
    let cache = tempfile::tempdir().unwrap();
    let suite = Suite::new(cache.path()).schemes(&[Scheme::F32, Scheme::Q4]).threads(2);
    assert_passed(&suite.memory(ditbench_backend_api::MemoryMode::Small).run(&common::backend()));
}
