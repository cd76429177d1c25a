//! The shared suite, over every precision and every way of running.

use ditbench_candle::Candle;
use ditbench_conformance::{Suite, assert_passed};
use ditbench_graph::weights::Scheme;

fn suite(schemes: &[Scheme]) {
    let cache = tempfile::tempdir().unwrap();
    // candle's pool is the process's: the suite asks for the threads that there are.
    let outcomes = Suite::new(cache.path()).threads(rayon::current_num_threads()).schemes(schemes).run(&Candle);
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
    use ditbench_backend_api::{Backend, CompileOptions};
    let case = &ditbench_conformance::cases()[0];
    let weights = ditbench_conformance::weights(&case.graph, Scheme::F32, 1);
    let options = CompileOptions {
        device: "cpu".to_owned(),
        threads: rayon::current_num_threads() + 1,
        variant: "stock".to_owned(),
        memory: ditbench_backend_api::MemoryMode::Fast,
        cache: std::env::temp_dir(),
        allow_fallback: false,
    };
    let error = Candle.compile(&case.graph, &weights, &options).err().unwrap().to_string();
    assert!(error.contains("RAYON_NUM_THREADS"), "{error}");
}
