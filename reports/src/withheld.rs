//! Numbers that a cell has and that nobody may be shown: times of what is not the device that the cell names; energy that is not the
//! image's alone.
//!
//! Contract: a simulator of a device, and a driver that computes on the processor, show where nodes ran and what came out. What grows
//! with their time, or counts the processor's instructions, is left out of every face: table, ranking, headline, gate, history and
//! advice take it for absent.

use crate::metric::{Metric, Unit};
use crate::record::{Cell, Device};

/// Why a number of a cell is withheld; `None` if it is not.
pub fn why(metric: Metric, cell: &Cell) -> Option<String> {
    of_company(metric, cell).or_else(|| of_device(metric, cell))
}

/// Sensors of energy are of the whole processor, or the whole phone: what the company takes cannot be told from what the image takes.
fn of_company(metric: Metric, cell: &Cell) -> Option<String> {
    let is_energy = [Metric::ENERGY, Metric::ENERGY_SAMPLES, Metric::BATTERY].contains(&metric);
    let company = cell.key.in_company().filter(|_| is_energy)?;
    Some(format!("{company} the energy is that of both: what the image takes of it is not known"))
}

fn of_device(metric: Metric, cell: &Cell) -> Option<String> {
    let device = cell.device.as_ref().filter(|device| !device.shows_speed())?;
    let is_rate = [Unit::Gigaflops, Unit::Events].contains(&metric.unit())
        || [Metric::PEAK_SHARE, Metric::BATTERY].contains(&metric);
    let of_speed = metric.unit().is_of_time() || is_rate;
    of_speed.then(|| reason(&cell.key.device, device))
}

/// The reason in words.
pub fn reason(name: &str, device: &Device) -> String {
    let what = if device.nature == "simulator" { "a simulator of the device" } else { "a driver in software" };
    format!("{name} is {what} here: its times are this machine's processor's")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CellKey;

    #[test]
    fn in_company_only_the_energy_is_withheld() {
        let cell = Cell { key: CellKey { company: 1, ..CellKey::default() }, ..Cell::default() };
        let withheld: Vec<Metric> = Metric::all().filter(|metric| why(*metric, &cell).is_some()).collect();
        assert_eq!(withheld, [Metric::ENERGY, Metric::ENERGY_SAMPLES, Metric::BATTERY]);
        assert!(why(Metric::ENERGY, &cell).unwrap().starts_with("in company of 1"));
    }

    #[test]
    fn what_grows_with_the_time_of_a_simulator_is_withheld_and_nothing_else() {
        let device = |nature: &str| Device { nature: nature.to_owned(), ..Device::default() };
        let cell = |nature| Cell { device: Some(device(nature)), ..Cell::default() };
        let withheld =
            |cell: &Cell| -> Vec<Metric> { Metric::all().filter(|metric| why(*metric, cell).is_some()).collect() };
        assert!(withheld(&cell("real")).is_empty() && withheld(&Cell::default()).is_empty());
        for nature in ["simulator", "software"] {
            let withheld = withheld(&cell(nature));
            for metric in [
                Metric::IMAGE,
                Metric::DENOISER_STEP,
                Metric::GIGAFLOPS,
                Metric::PEAK_SHARE,
                Metric::ENERGY,
                Metric::BATTERY,
                Metric::INSTRUCTIONS,
                Metric::COUNTED,
            ] {
                assert!(withheld.contains(&metric), "{nature}: {metric}");
            }
            for metric in [Metric::LATENT, Metric::PSNR, Metric::PLACEMENT, Metric::PEAK, Metric::WEIGHTS_DISK] {
                assert!(!withheld.contains(&metric), "{nature}: {metric}");
            }
        }
    }
}
