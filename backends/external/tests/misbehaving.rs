//! What an engine does wrong is told in plain words, and never waited for without end. The engine is a script.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ditbench_backend_api::{Backend, BackendError, CompileOptions, Numerics, OnnxModel, Session};
use ditbench_external::{External, Row};
use ditbench_graph::onnx::{Dialect, write_cached};
use ditbench_graph::weights::{Scheme, Weights};
use ditbench_graph::{DType, Graph, GraphBuilder, Op, Tensor};
use ditbench_onnx::model::{Model, Scopes};

/// Whether there is a Python to run the scripts; said loudly if not.
fn has_python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        use std::io::Write;
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Not by the macro, whose output cargo hides for tests that pass.
        let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: no python3 here");
    }
    there
}

fn row(command: &[&str]) -> Row {
    Row {
        name: "toy".to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        environment: BTreeMap::new(),
        timeout_s: 30.0,
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"),
    }
}

fn engine(arguments: &[&str]) -> External {
    External::new(row(&[&["python3", "engine.py"], arguments].concat()))
}

fn graph() -> Graph {
    let mut b = GraphBuilder::new("toy");
    let x = b.input("x", &[2, 3], DType::F32);
    let y = b.node("twice", Op::Scale { factor: 2.0 }, &[x]);
    b.output("y", y);
    b.finish().unwrap()
}

fn compile(backend: &External, device: &str) -> Result<Box<dyn Session>, BackendError> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("external");
    let options = CompileOptions { device: device.to_owned(), ..CompileOptions::cpu("plain", 1, cache) };
    backend.compile(&graph(), &Weights::new(BTreeMap::new()), &options)
}

fn run(backend: &External) -> Result<Vec<Tensor>, BackendError> {
    compile(backend, "cpu")?.run(&[Tensor::zeros([2, 3])])
}

/// What becomes of an image when the engine does this.
fn misdeed(question: &str, what: &str) -> BackendError {
    run(&engine(&[question, what])).expect_err(what)
}

#[test]
fn an_engine_that_behaves_is_a_backend_like_any_other() {
    if !has_python() {
        return;
    }
    let backend = engine(&[]);
    assert_eq!(backend.version().runtime, "1.0");
    let pid = backend.process().expect("a process of its own");
    let names: Vec<String> = backend.devices().into_iter().map(|device| device.name).collect();
    assert_eq!(names, ["cpu", "npu"]);
    let ways: Vec<usize> = Scheme::ALL.iter().map(|&scheme| backend.variants(scheme).len()).collect();
    assert_eq!(ways, [1, 0, 1, 0, 0, 0], "f32 and q4");
    assert!(backend.variants(Scheme::Q4)[0].expands, "standard operators have no 4-bit weights");
    let mut session = compile(&backend, "cpu").unwrap();
    let outputs = session.run(&[Tensor::zeros([2, 3])]).unwrap();
    assert_eq!(outputs, [Tensor::zeros([2, 3])]);
    assert_eq!(session.took(), Some(Duration::from_micros(1)), "by the engine's own clock");
    assert_eq!(session.compile_report().load_s, 1e-6);
    assert_eq!(session.placement().share_on_asked(), Some(1.0));
    assert_eq!((session.memory().peak, session.memory().reserved), (Some(7), None));
    let error = session.run(&[Tensor::zeros([3, 2])]).unwrap_err();
    assert!(matches!(error, BackendError::Input { .. }), "{error}");
    assert_eq!(session.took(), None);
    let error = session.profile(&[Tensor::zeros([2, 3])]).unwrap_err();
    assert!(matches!(error, BackendError::Unsupported { .. }), "{error}");
    assert_eq!(session.run(&[Tensor::zeros([2, 3])]).unwrap(), outputs, "it goes on after refusing");
    drop((session, backend));
    assert!(!Path::new("/proc").join(pid.to_string()).exists(), "it ends with us");
}

#[test]
fn of_the_file_and_the_engine_the_coarser_numerics_count() {
    if !has_python() {
        return;
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("external");
    let mut b = GraphBuilder::new("toy");
    let x = b.input("x", &[1, 2, 32], DType::F32);
    let y = b.linear("project", x, 4);
    b.output("y", y);
    // What a file computes in is read from its weights.
    let graph = b.finish().unwrap();
    let weights = ditbench_conformance::weights(&graph, Scheme::F32, 1);
    let model = |half| {
        let dialect = Dialect { half, ..Dialect::standard() };
        let file = write_cached(&graph, &weights, &dialect, &cache).unwrap().exported.model;
        OnnxModel {
            name: "toy".to_owned(),
            inputs: Vec::new(),
            model: Model::open(&file).unwrap(),
            scopes: Scopes::open(&file).unwrap(),
            file,
            prepare_s: 0.0,
            found: true,
        }
    };
    let (in_f32, in_f16) = (engine(&[]), engine(&["compile", "halves"]));
    for (backend, model, numerics) in [
        (&in_f32, model(false), Numerics::F32),
        (&in_f16, model(false), Numerics::F16),
        (&in_f32, model(true), Numerics::F16),
    ] {
        let session = backend.compile_onnx(&model, &CompileOptions::cpu("plain", 1, &cache)).unwrap();
        assert_eq!(session.numerics(), numerics);
    }
}

#[test]
fn whatever_an_engine_does_wrong_is_said() {
    if !has_python() {
        return;
    }
    for (question, what, wanted) in [
        ("run", "garbage", "its answer \"{ this is no JSON\" is not of the protocol"),
        ("compile", "garbage", "loading toy on cpu"),
        ("run", "crash", "the engine ended (exit status: 3) before it answered"),
        ("run", "crash", "Traceback: the roof fell in"),
        ("describe", "crash", "describing itself"),
        ("run", "hang up", "the engine closed the descriptor for its answers"),
        ("run", "stale", "it answered question 2 when asked question 3"),
        ("run", "shape", "its output \"y\" is F32 [3, 4], but F32 [2, 3] was expected"),
        ("run", "dtype", "its output \"y\" is I64 [2, 3]"),
        ("run", "name", "it gave no output \"y\", but \"other\""),
        ("run", "cut", "its results cannot be read"),
        ("run", "nothing", "it left no results"),
        ("run", "clock", "it reported 99 seconds"),
        ("run", "negative", "times must be in seconds"),
        ("compile", "clock", "it reported 99 seconds"),
        ("compile", "numerics", "unknown variant `f31`"),
        ("describe", "newer", "it speaks engine protocol 99, and this ditbench speaks up to 1"),
        ("describe", "silent", "it does not say which protocol it speaks"),
        ("describe", "twice", "the way of running \"plain\" twice"),
    ] {
        let error = misdeed(question, what);
        assert!(matches!(error, BackendError::Runtime { backend: "toy", .. }), "{question} {what}: {error:?}");
        let said = error.to_string();
        assert!(said.contains(wanted) && !said.contains('\n'), "{question} {what}: {said}");
    }
}

#[test]
fn a_refusal_is_what_the_engine_calls_it() {
    if !has_python() {
        return;
    }
    for question in ["describe", "compile", "run"] {
        let error = misdeed(question, "refuse");
        assert!(matches!(&error, BackendError::Unsupported { why, .. } if why == "no such thing here"), "{error:?}");
        let error = misdeed(question, "lack");
        assert!(matches!(&error, BackendError::Unavailable { cure, .. } if cure == "Load it"), "{error:?}");
    }
    let Err(error) = compile(&engine(&[]), "npu") else { panic!("there is no such device") };
    assert!(error.to_string().contains("npu: none is built in. Buy one"), "{error}");
}

#[test]
fn an_engine_that_does_not_answer_is_given_up_at_its_deadline() {
    if !has_python() {
        return;
    }
    // As much as a Python may need to start on a machine with other work to do.
    let row = Row { timeout_s: 10.0, ..row(&["python3", "engine.py", "run", "stall"]) };
    let backend = External::new(row);
    let mut session = compile(&backend, "cpu").unwrap();
    let pid = backend.process().unwrap();
    let begun = Instant::now();
    let error = session.run(&[Tensor::zeros([2, 3])]).unwrap_err().to_string();
    assert!(error.contains("no answer within 10 s") && begun.elapsed() >= Duration::from_secs(10), "{error}");
    let again = session.run(&[Tensor::zeros([2, 3])]).unwrap_err().to_string();
    assert!(again.contains("the engine is gone: no answer within"), "{again}");
    drop((session, backend));
    assert!(!Path::new("/proc").join(pid.to_string()).exists(), "it is killed, and not left behind");
}

#[test]
fn a_program_that_is_not_there_is_told_with_the_cure() {
    for (command, wanted) in [
        (["no-such-program-anywhere"], "its program \"no-such-program-anywhere\" is not there"),
        (["./no-such-file"], "its program \"./no-such-file\" is not there"),
        (["./engine.py"], "may not be run"),
    ] {
        let error = External::new(row(&command)).check().unwrap_err();
        assert!(matches!(error, BackendError::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains(wanted) && error.to_string().contains("engine"), "{error}");
    }
    // It ends at once, and without a word.
    let error = External::new(row(&["true"])).check().unwrap_err().to_string();
    assert!(error.contains("the engine ended (exit status: 0) before it answered"), "{error}");
}
