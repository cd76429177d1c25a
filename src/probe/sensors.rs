//! Sensors: frequency, temperature, pressure, stolen time, energy. Read between launches, never while timing.
//!
//! Contract: a name with the unit in it, and a value or the reason why there is none.

use std::collections::BTreeMap;
use std::fs;

use ditbench_reports::record::Reading;

/// All sensors now.
pub fn read() -> BTreeMap<String, Reading<f64>> {
    let mut readings = BTreeMap::new();
    let mut put = |name: &str, reading| readings.insert(name.to_owned(), reading);
    put("cpu_mhz", cpu_mhz());
    put("cpu_temperature_c", temperature());
    put("load_1min", field("/proc/loadavg", |text| text.split_whitespace().next()?.parse().ok()));
    put("cpu_pressure_percent", field("/proc/pressure/cpu", pressure));
    put("memory_pressure_percent", field("/proc/pressure/memory", pressure));
    put("steal_s", field("/proc/stat", steal_seconds));
    put(
        "package_energy_j",
        field("/sys/class/powercap/intel-rapl:0/energy_uj", |text| text.trim().parse::<f64>().ok().map(|uj| uj * 1e-6)),
    );
    readings
}

/// A number out of a file of the system's.
fn field(path: &str, parse: impl Fn(&str) -> Option<f64>) -> Reading<f64> {
    match fs::read_to_string(path) {
        Ok(text) => Reading::or_absent(parse(&text), format!("{path} is not of the form that we know")),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Reading::denied(format!("{path}: {error}"))
        }
        Err(error) => Reading::absent(format!("{path}: {error}")),
    }
}

/// Mean frequency over the cores.
fn cpu_mhz() -> Reading<f64> {
    let sysfs: Vec<f64> = (0..super::machine::cores())
        .map_while(|core| {
            fs::read_to_string(format!("/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq")).ok()
        })
        .filter_map(|text| text.trim().parse::<f64>().ok())
        .collect();
    if !sysfs.is_empty() {
        return Reading::Ok(sysfs.iter().sum::<f64>() / sysfs.len() as f64 / 1000.0);
    }
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Reading::or_absent(mean_mhz(&cpuinfo), "neither cpufreq nor /proc/cpuinfo gives a frequency")
}

fn mean_mhz(cpuinfo: &str) -> Option<f64> {
    let values: Vec<f64> = cpuinfo
        .lines()
        .filter(|line| line.starts_with("cpu MHz"))
        .filter_map(|line| line.split(':').nth(1)?.trim().parse().ok())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The hottest thermal zone.
fn temperature() -> Reading<f64> {
    let zones = fs::read_dir("/sys/class/thermal").into_iter().flatten().flatten();
    let hottest = zones
        .filter(|zone| zone.file_name().to_string_lossy().starts_with("thermal_zone"))
        .filter_map(|zone| fs::read_to_string(zone.path().join("temp")).ok()?.trim().parse::<f64>().ok())
        .map(|millidegrees| millidegrees / 1000.0)
        .max_by(f64::total_cmp);
    Reading::or_absent(hottest, "no thermal zone in /sys/class/thermal can be read")
}

/// `some avg10=0.12 …`: share of the last ten seconds in which some task waited.
fn pressure(text: &str) -> Option<f64> {
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

/// Seconds that the hypervisor gave to others, over all cores, since start-up.
fn steal_seconds(text: &str) -> Option<f64> {
    let ticks: f64 = text.lines().find(|line| line.starts_with("cpu "))?.split_whitespace().nth(8)?.parse().ok()?;
    // SAFETY: sysconf has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    (per_second > 0).then(|| ticks / per_second as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read_by_their_form() {
        assert_eq!(pressure("some avg10=1.50 avg60=0.10 avg300=0.00 total=1\nfull avg10=0.00"), Some(1.5));
        assert_eq!(pressure("nonsense"), None);
        assert_eq!(mean_mhz("cpu MHz\t\t: 2000.0\ncpu MHz : 3000.0"), Some(2500.0));
        assert_eq!(mean_mhz(""), None);
        assert!(steal_seconds("cpu  1 2 3 4 5 6 7 100 0 0").is_some_and(|s| s > 0.0));
        assert_eq!(steal_seconds("cpu 1 2"), None);
    }

    #[test]
    fn every_sensor_answers_or_says_why_not() {
        for (name, reading) in read() {
            assert!(reading.value().is_some() || reading.why().is_some_and(|why| !why.is_empty()), "{name}");
        }
    }
}
