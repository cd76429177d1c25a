//! How much of its device's memory a cell takes: what the device's driver says is in use while a launch runs, beyond what was in use before.
//!
//! Contract: NVIDIA's driver speaks of the whole device, whoever uses it, once a second. Only of a cell on CUDA is it known that it ran on a
//! device of NVIDIA's, and only where there is one is it known which: CUDA numbers several in another order than their driver does.

use crate::record::{Cell, Launch, Reading};
use crate::stats;

/// The reading of the first GPU, and of the one after it.
const ONLY: &str = "gpu_memory_bytes";
const SECOND: &str = "gpu1_memory_bytes";

/// The median over launches of the most in one, in bytes.
pub(crate) fn of_cell(cell: &Cell) -> Reading<f64> {
    match cell.key.device.split(':').next() {
        Some("cpu") => return Reading::absent("it ran on the processor"),
        Some("cuda") => {}
        _ => return Reading::absent("only CUDA devices report it"),
    }
    let readings: Vec<Reading<f64>> = cell.good_launches().map(of_launch).collect();
    let found: Vec<f64> = readings.iter().filter_map(|reading| reading.value().copied()).collect();
    match stats::median(&found) {
        Some(median) => Reading::Ok(median),
        None => readings.into_iter().next().unwrap_or_else(|| Reading::absent("no launch was good")),
    }
}

fn of_launch(launch: &Launch) -> Reading<f64> {
    let at = |moment: &'static str| launch.telemetry.iter().filter(move |one| one.moment == moment);
    if at("before").any(|moment| moment.readings.contains_key(SECOND)) {
        return Reading::absent("there are several GPUs, and which one it ran on is not known");
    }
    let Some(before) = at("before").find_map(|moment| moment.readings.get(ONLY)) else {
        return Reading::absent("nothing tells how much of the device's memory is in use");
    };
    before.and_then(|before| {
        let during = at("during").filter_map(|moment| moment.readings.get(ONLY)?.value().copied());
        let most = during.reduce(f64::max).map(|most| (most - before).max(0.0));
        Reading::or_absent(most, "nothing was read while the launch ran: it was too short, or --telemetry off")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CellKey, Status, Telemetry};

    fn cell(device: &str, moments: &[(&str, &[(&str, f64)])]) -> Cell {
        let telemetry = moments.iter().map(|(moment, readings)| Telemetry {
            moment: (*moment).to_owned(),
            readings: readings.iter().map(|(name, value)| ((*name).to_owned(), Reading::Ok(*value))).collect(),
            ..Telemetry::default()
        });
        let launch = Launch { status: Status::Ok, telemetry: telemetry.collect(), ..Launch::default() };
        let key = CellKey { device: device.to_owned(), ..CellKey::default() };
        Cell { key, status: Status::Ok, launches: vec![launch], ..Cell::default() }
    }

    #[test]
    fn it_is_what_came_on_top_while_the_launch_ran() {
        let one = [
            ("before", &[("gpu_memory_bytes", 100.0)][..]),
            ("during", &[("gpu_memory_bytes", 900.0)]),
            ("during", &[("gpu_memory_bytes", 700.0)]),
            ("after", &[("gpu_memory_bytes", 5000.0)]),
        ];
        assert_eq!(of_cell(&cell("cuda", &one)), Reading::Ok(800.0));
        assert!(of_cell(&cell("cpu", &one)).why().is_some());
        assert!(of_cell(&cell("cuda", &one[..1])).why().unwrap().contains("too short"));
        assert!(of_cell(&cell("cuda", &[])).why().unwrap().contains("nothing tells"));
    }

    #[test]
    fn which_gpu_a_provider_of_several_makes_took_is_not_guessed() {
        let one = [("before", &[("gpu_memory_bytes", 100.0)][..]), ("during", &[("gpu_memory_bytes", 100.0)])];
        for device in ["webgpu", "webgpu:0", "gpu:openvino", "npu:qnn", "coreml"] {
            assert!(of_cell(&cell(device, &one)).why().unwrap().contains("CUDA"), "{device}");
        }
        assert!(of_cell(&cell("cpu:openvino", &one)).why().unwrap().contains("processor"));
    }

    #[test]
    fn of_several_gpus_none_is_taken_for_the_one() {
        let two = [
            ("before", &[("gpu_memory_bytes", 1.0), ("gpu1_memory_bytes", 10.0)][..]),
            ("during", &[("gpu_memory_bytes", 2.0), ("gpu1_memory_bytes", 50.0)]),
        ];
        for device in ["cuda", "cuda:0", "cuda:1"] {
            assert!(of_cell(&cell(device, &two)).why().unwrap().contains("several GPUs"), "{device}");
        }
    }
}
