//! The static build for phones, run under qemu: does it compute what this machine computes, and does a whole run over adb go
//! through with it? Never how fast.
//!
//! Needs `scripts/android/build.sh musl` to have run, and `qemu-aarch64`; the run over adb needs adbd besides, and a kernel whose
//! table of foreign programs can be a namespace's own (6.7 or later). Without these a test is counted as ignored, with the reason;
//! with `DITBENCH_NEED_AARCH64` set that is a failure. `DITBENCH_AARCH64=FILE` names another build.

mod common;
#[path = "common/lab.rs"]
mod lab;
#[path = "common/on_phone.rs"]
mod on_phone;
#[path = "common/optional.rs"]
mod optional;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use common::{Bench, text};
use ditbench_workloads::trace::load_latents;
use lab::Lab;
use optional::Test;

const TESTS: [Test<(PathBuf, PathBuf)>; 2] = [
    ("the_static_build_computes_what_this_machine_computes", |(program, qemu)| compare(program, qemu)),
    ("a_whole_run_on_a_phone_of_64_bit_arm", |(program, qemu)| on_a_phone(program, qemu)),
];

fn main() -> ExitCode {
    optional::main(&TESTS, "DITBENCH_NEED_AARCH64", what_is_needed)
}

/// The build and qemu, or which of the two there is not.
fn what_is_needed() -> Result<(PathBuf, PathBuf), String> {
    let program =
        program().ok_or("it is not built; scripts/android/build.sh musl builds it, or says what is missing")?;
    let qemu = qemu().ok_or("no qemu-aarch64; on Debian: apt install qemu-user-static")?;
    Ok((program, qemu))
}

fn program() -> Option<PathBuf> {
    let named = std::env::var_os("DITBENCH_AARCH64").map(PathBuf::from);
    let built = Path::new(env!("CARGO_BIN_EXE_ditbench")).parent()?.parent()?;
    named.or(Some(built.join("aarch64-unknown-linux-musl/release/ditbench-worker"))).filter(|path| path.is_file())
}

fn qemu() -> Option<PathBuf> {
    let works =
        |name: &PathBuf| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    // By its whole path: the kernel's table of foreign programs takes no other.
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = |name: &str| std::env::split_paths(&folders).map(|folder| folder.join(name)).find(works);
    // The static one first: it also starts where its libraries are not to be had.
    ["qemu-aarch64-static", "qemu-aarch64"].into_iter().find_map(found)
}

/// From `devices` to the record, through adb: what the host sends, starts, follows and fetches is the phone's own build. In f64, so
/// that the phone's latents are this machine's to the rounding.
fn on_a_phone(program: &Path, qemu: &Path) -> Result<(), String> {
    let mut lab = Lab::of_arm64(qemu)?;
    lab.phone();
    let bench = Bench::new();
    let binary = program.display().to_string();
    let with = ["--phone-binary", binary.as_str(), "--patience", "5"];
    let well = on_phone::run(&lab, &bench, &[&["doctor", "--on", "adb"], &with]);
    assert!(well.status.success(), "{}", on_phone::said(&well));
    let cells = ["--model", "nano", "--backend", "reference", "--precision", "f32", "--threads", "1"];
    let short = ["--launches", "1", "--images", "1", "--brief"];
    on_phone::ok(&on_phone::run(&lab, &bench, &[&["run", "--on", "adb", "--out", "phone"], &cells, &short, &with]));
    bench.ok(&[&["run", "--out", "here"][..], &cells, &short].concat());
    let (phone, here) = (bench.record("phone"), bench.record("here"));
    assert_eq!(phone["machine"]["architecture"], "aarch64", "{}", phone["machine"]);
    assert_eq!(phone["machine"]["phone"]["abi"]["ok"], "arm64-v8a");
    let last = |run: &str, record: &serde_json::Value| {
        let cell = &record["cells"][0];
        assert_eq!(cell["status"], "ok", "{}", cell["reason"]);
        let id = Path::new(cell["image"].as_str().unwrap()).file_stem().unwrap().to_string_lossy().into_owned();
        let latents = bench.path(&format!("{run}/latents/{id}.safetensors"));
        load_latents(&latents).unwrap().pop().unwrap()
    };
    let error = relative_l2(&last("phone", &phone), &last("here", &here));
    assert!(error < 1e-5, "the last latent is {error} from this machine's");
    on_phone::clean(&lab, 15555);
    Ok(())
}

/// ‖theirs − ours‖ ÷ ‖ours‖.
fn relative_l2(theirs: &[f32], ours: &[f32]) -> f64 {
    assert_eq!(theirs.len(), ours.len());
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = length(&mut theirs.iter().zip(ours).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / length(&mut ours.iter().map(|v| f64::from(*v)))
}

/// Panics, and so fails, where the two differ.
fn compare(program: &Path, qemu: &Path) -> Result<(), String> {
    let bench = Bench::new();
    let cells = ["--backend", "candle:tuned,tract:tuned", "--precision", "f32,q4", "--threads", "1"];
    bench.ok(&[&["run", "--model", "nano", "--launches", "1", "--images", "1", "--out", "run"][..], &cells].concat());
    let record = bench.record("run");
    for cell in record["cells"].as_array().unwrap() {
        assert_eq!(cell["status"], "ok", "{cell}");
        let id = Path::new(cell["image"].as_str().unwrap()).file_stem().unwrap().to_string_lossy().into_owned();
        let model = &record["models"][0];
        let weights =
            model["weights"].as_array().unwrap().iter().find(|w| w["scheme"] == cell["key"]["precision"]).unwrap();
        let inputs = std::fs::read_dir(bench.path("run/inputs")).unwrap().next().unwrap().unwrap().path();
        let latents = bench.path(&format!("{id}-aarch64.safetensors"));
        let choice = serde_json::json!({
            "workload": "snapgenpp", "model": "nano", "size": {"height": 64, "width": 64}, "steps": 4,
        });
        let spec = serde_json::json!({
            "choice": choice, "backend": cell["key"]["backend"], "variant": cell["key"]["variant"], "device": "cpu",
            "threads": 1, "memory": "fast", "weights": find(weights["file"].as_str().unwrap()), "inputs": inputs,
            "cache": bench.path("cache-aarch64"),
            "outputs": {"image": bench.path("aarch64.png"), "latents": latents},
            "stop": {"images": 1, "seconds": 1.0, "relative_half_width": 0.0}, "profile": false,
        });
        let mut worker = Command::new(qemu)
            .arg(program)
            .arg("worker")
            .env("RAYON_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        worker.stdin.take().unwrap().write_all(spec.to_string().as_bytes()).unwrap();
        let output = worker.wait_with_output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{id}: {said}");
        let (theirs, ours) = (
            load_latents(&latents).unwrap(),
            load_latents(&bench.path(&format!("run/latents/{id}.safetensors"))).unwrap(),
        );
        assert_eq!(theirs.len(), ours.len());
        let error = relative_l2(theirs.last().unwrap(), ours.last().unwrap());
        // Of q4 the activations become 8 bits, where a last bit decides between two neighbouring integers.
        let bound = if cell["key"]["precision"] == "f32" { 1e-4 } else { 1e-2 };
        println!("{id}: {error:.1e}");
        assert!(error < bound, "{id}: the last latent is {error} from this machine's");
    }
    Ok(())
}

/// A file of the cache's, wherever in it.
fn find(name: &str) -> PathBuf {
    let mut folders = vec![common::cache()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if entry.file_name() == name => return path,
                _ => {}
            }
        }
    }
    panic!("{name} is not in the cache")
}
