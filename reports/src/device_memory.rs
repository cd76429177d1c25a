//! How much of its device's memory a cell takes: what the device's driver says is in use while a launch runs, beyond what was in use before.
//!
//! Contract: the driver speaks of the whole device, whoever uses it, once a second. Which of several devices a cell ran on is known where
//! its name has a number, as `cuda:1` has.

use crate::record::{Cell, Launch, Reading};
use crate::stats;

/// The median over launches of the most in one, in bytes.
pub(crate) fn of_cell(cell: &Cell) -> Reading<f64> {
    if cell.key.device == "cpu" {
        return Reading::absent("it ran on the processor");
    }
    let readings: Vec<Reading<f64>> = cell.good_launches().map(|launch| of_launch(launch, &cell.key.device)).collect();
    let found: Vec<f64> = readings.iter().filter_map(|reading| reading.value().copied()).collect();
    match stats::median(&found) {
        Some(median) => Reading::Ok(median),
        None => readings.into_iter().next().unwrap_or_else(|| Reading::absent("no launch was good")),
    }
}

fn of_launch(launch: &Launch, device: &str) -> Reading<f64> {
    let at = |moment: &'static str| launch.telemetry.iter().filter(move |one| one.moment == moment);
    let number = device.rsplit_once(':').and_then(|(_, number)| number.parse::<u32>().ok());
    let several = at("before").any(|moment| moment.readings.contains_key(&reading(1)));
    let name = match number {
        None if several => return Reading::absent("there are several GPUs, and which one it ran on is not known"),
        number => reading(number.unwrap_or_default()),
    };
    let Some(before) = at("before").find_map(|moment| moment.readings.get(&name)) else {
        return Reading::absent("nothing tells how much of the device's memory is in use");
    };
    before.and_then(|before| {
        let during = at("during").filter_map(|moment| moment.readings.get(&name)?.value().copied());
        let most = during.reduce(f64::max).map(|most| (most - before).max(0.0));
        Reading::or_absent(most, "nothing was read while the launch ran: it was too short, or --telemetry off")
    })
}

fn reading(gpu: u32) -> String {
    if gpu == 0 { "gpu_memory_bytes".to_owned() } else { format!("gpu{gpu}_memory_bytes") }
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
    fn of_several_gpus_the_number_says_which() {
        let two = [
            ("before", &[("gpu_memory_bytes", 1.0), ("gpu1_memory_bytes", 10.0)][..]),
            ("during", &[("gpu_memory_bytes", 2.0), ("gpu1_memory_bytes", 50.0)]),
        ];
        assert_eq!(of_cell(&cell("cuda:1", &two)), Reading::Ok(40.0));
        assert_eq!(of_cell(&cell("cuda:0", &two)), Reading::Ok(1.0));
        assert!(of_cell(&cell("webgpu", &two)).why().unwrap().contains("several GPUs"));
    }
}
