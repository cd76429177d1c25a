//! The shared suite, over every precision and every way of running; and what a session says of itself.

use ditbench_backend_api::{Backend, CompileOptions};
use ditbench_candle::{Candle, threads};
use ditbench_conformance::{Suite, assert_passed};
use ditbench_graph::weights::Scheme;
use ditbench_graph::{DType, GraphBuilder};

fn options(variant: &str, threads: usize) -> CompileOptions {
    CompileOptions::cpu(variant, threads, std::env::temp_dir())
}

fn suite(schemes: &[Scheme]) {
    let cache = tempfile::tempdir().unwrap();
    // candle's pool is the process's: the suite asks for the threads that there are.
    let outcomes = Suite::new(cache.path()).threads(threads()).schemes(schemes).run(&Candle);
    assert_passed(&outcomes);
}

#[test]
fn f32_and_unpacked() {
    suite(&[Scheme::F32, Scheme::F16, Scheme::Palette4]);
}

#[test]
fn few_bits() {
    suite(&[Scheme::Q4, Scheme::Q8, Scheme::Mixed]);
}

#[test]
fn another_thread_count_than_the_pools_is_refused() {
    let case = &ditbench_conformance::cases()[0];
    let weights = ditbench_conformance::weights(&case.graph, Scheme::F32, 1);
    let error = Candle.compile(&case.graph, &weights, &options("stock", threads() + 1)).err().unwrap().to_string();
    assert!(error.contains("RAYON_NUM_THREADS"), "{error}");
}

#[test]
fn weights_take_the_bytes_of_the_form_that_they_are_held_in() {
    let mut b = GraphBuilder::new("toy");
    let x = b.input("x", &[1, 2, 64], DType::F32);
    let y = b.linear("project", x, 32);
    b.output("y", y);
    let graph = b.finish().unwrap();
    for (scheme, variant, bits) in [
        (Scheme::F32, "tuned", 32.0),
        (Scheme::F32, "stock", 32.0),
        (Scheme::F16, "tuned", 32.0),
        (Scheme::Q4, "tuned-int8", 4.5),
        (Scheme::Q4, "tuned-exact", 4.5),
        (Scheme::Q4, "stock", 4.5),
        (Scheme::Q4, "stock-q8", 8.5),
        (Scheme::Q8, "tuned-int8", 8.5),
        (Scheme::Q8, "stock", 8.5),
    ] {
        let weights = ditbench_conformance::weights(&graph, scheme, 1);
        let session = Candle.compile(&graph, &weights, &options(variant, threads())).unwrap();
        let bias = 4 * 32;
        let wanted = (32.0 * 64.0 * bits / 8.0) as u64 + bias;
        assert_eq!(session.compile_report().weight_resident_bytes, Some(wanted), "{scheme:?} {variant}");
    }
}
