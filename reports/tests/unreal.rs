//! Simulators and drivers in software: they show where nodes ran and what came out, and nothing of theirs that grows with time is used.

use ditbench_record::{Cell, Device, Run};
use ditbench_reports::headline;
use ditbench_reports::metric::Metric;
use ditbench_reports::table::{Table, groups, of_runs};
use ditbench_reports::verdict::{Options, Outcome, Side, compare};

#[path = "common/launches.rs"]
mod launches;
use launches::{cell, factors, key, run};

fn on(device: &str, nature: &str, hardware: &str, by: f64) -> Cell {
    let factors: Vec<f64> = factors(8, 0.01, 3).iter().map(|factor| factor * by).collect();
    let mut key = key("ort", "f32");
    key.device = device.into();
    let mut cell = cell(key, &factors);
    for stage in &mut cell.placement {
        stage.asked = device.into();
        stage.entries[0].device = device.into();
    }
    let kind = Some(if device.starts_with("npu") { "npu" } else { "gpu" }.to_owned());
    cell.device = Some(Device { kind, hardware: Some(hardware.into()), nature: nature.into(), ..Device::default() });
    cell
}

/// The processor, a software adapter that would be the fastest of all, a GPU.
fn example(software: f64) -> Run {
    let processor = cell(key("ort", "f32"), &factors(8, 0.01, 1));
    run("a", vec![processor, on("webgpu", "software", "llvmpipe", software), on("cuda", "real", "NVIDIA H200", 0.1)])
}

fn table(run: &Run) -> Table {
    of_runs(&[run])
}

#[test]
fn a_table_is_grouped_by_device_and_shows_no_time_of_what_is_not_there() {
    let run = example(0.01);
    let table = table(&run);
    let groups = groups(&table);
    let titles: Vec<&str> = groups.iter().map(|(title, _)| title.as_str()).collect();
    let workload = "nano, 64×64, 2 steps, 16 text tokens";
    assert_eq!(
        titles,
        [
            workload.to_owned(),
            format!("{workload}, on webgpu (llvmpipe, software)"),
            format!("{workload}, on cuda (NVIDIA H200)")
        ]
    );
    let software = groups[1].1[0];
    for metric in [Metric::IMAGE, Metric::FIRST_IMAGE, Metric::DENOISER_STEP, Metric::GIGAFLOPS, Metric::PEAK_SHARE] {
        assert_eq!(software.value(metric), None, "{metric}");
        let why = software.numbers.get(metric).why().unwrap_or_default();
        assert!(why.contains("driver in software"), "{metric}: {why}");
    }
    assert!(software.image_s.value().is_none() && software.first_stages_s.is_none() && software.steps_s.is_empty());
    assert_eq!(software.value(Metric::PLACEMENT), Some(1.0));
    assert!(software.value(Metric::LATENT).is_some());
    let cautions: Vec<String> = software.cautions.iter().map(|caution| caution.short()).collect();
    assert_eq!(cautions, ["software"], "what disturbs times is of no interest");
    let gpu = groups[2].1[0];
    assert!(gpu.value(Metric::IMAGE).is_some());
    assert_eq!((gpu.threads_column().as_str(), gpu.label().as_str()), ("-", "ort stock on cuda · f32"));
}

#[test]
fn the_headline_ranks_nothing_of_them() {
    let points = headline::of_table(&table(&example(0.01)));
    let software = points.iter().find(|point| point.about.contains("webgpu")).unwrap();
    assert!(software.says.contains("driver in software"), "{}", software.says);
    assert!(software.says.contains("In 1 of 1 cells every node ran on the device"), "{}", software.says);
    assert!(software.says.contains("Latents are off by up to 6"), "{}", software.says);
    assert!(!software.says.contains("fastest") && !software.says.contains("takes"), "{}", software.says);
    let others = points.iter().filter(|point| !point.about.contains("webgpu"));
    assert!(others.clone().count() == 2 && others.into_iter().all(|point| point.says.contains("takes")), "{points:?}");
}

#[test]
fn the_gate_does_not_see_their_times_and_sees_what_comes_out() {
    let compared = |base: &Run, head: &Run| {
        compare(&Side::of_runs("base", [base]), &Side::of_runs("head", [head]), &Options::default()).unwrap()
    };
    let slower = compared(&example(1.0), &example(3.0));
    // The other devices' few launches may leave it open; what has no time is no slower.
    assert_ne!(slower.outcome, Outcome::Regressed, "{slower:#?}");
    let software = slower.cells.iter().find(|cell| cell.id.contains("webgpu")).unwrap();
    assert!(software.metric(Metric::IMAGE).is_none());
    assert!(software.metric(Metric::LATENT).is_some());
    let mut wrong = example(1.0);
    let quality = wrong.cells[1].quality.value().cloned().map(|mut quality| {
        quality.latents.iter_mut().for_each(|step| step.relative_l2 = 0.3);
        quality
    });
    wrong.cells[1].quality = ditbench_record::Reading::Ok(quality.unwrap());
    assert_eq!(compared(&example(1.0), &wrong).outcome, Outcome::Regressed);
}
