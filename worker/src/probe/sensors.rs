//! Sensors: frequency, temperature, pressure, stolen time, energy. Read between launches, never while timing.
//!
//! Contract: a name with the unit in it, and a value or the reason why there is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ditbench_record::Reading;

/// All sensors now.
pub fn read() -> BTreeMap<String, Reading<f64>> {
    let mut readings = BTreeMap::new();
    let mut put = |name: &str, reading| readings.insert(name.to_owned(), reading);
    put("cpu_mhz", cpu_mhz());
    put("cpu_temperature_c", temperature(Path::new("/sys")));
    put("load_1min", field("/proc/loadavg", |text| text.split_whitespace().next()?.parse().ok()));
    put("cpu_pressure_percent", field("/proc/pressure/cpu", pressure));
    put("memory_pressure_percent", field("/proc/pressure/memory", pressure));
    put("steal_s", field("/proc/stat", steal_seconds));
    put("io_pressure_percent", field("/proc/pressure/io", pressure));
    put("package_energy_j", package_energy(Path::new("/sys/class/powercap")));
    readings
}

/// Joules that all processor packages have used, by RAPL's counters (Intel and AMD), which start again at zero now and then.
/// Since 2020 kernels let only root read them.
fn package_energy(powercap: &Path) -> Reading<f64> {
    let packages: Vec<PathBuf> = names(powercap)
        // `intel-rapl:0` is a package, `intel-rapl:0:1` a part of one.
        .filter(|name| name.strip_prefix("intel-rapl:").is_some_and(|number| !number.contains(':')))
        .map(|name| powercap.join(name).join("energy_uj"))
        .collect();
    if packages.is_empty() {
        return Reading::absent(format!("{} has no intel-rapl package", powercap.display()));
    }
    let mut joules = 0.0;
    for package in packages {
        match field(&package, |text| text.trim().parse::<f64>().ok()) {
            Reading::Ok(microjoules) => joules += microjoules * 1e-6,
            other => return other,
        }
    }
    Reading::Ok(joules)
}

/// The names in a folder, sorted; none where there is no folder.
fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names.into_iter()
}

/// A number out of a file of the system's.
fn field(path: impl AsRef<Path>, parse: impl Fn(&str) -> Option<f64>) -> Reading<f64> {
    let path = path.as_ref();
    let text = fs::read_to_string(path);
    let path = path.display();
    match text {
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

/// Drivers of hwmon whose sensors are in the processor: Intel, AMD, Arm.
const OF_PROCESSORS: [&str; 5] = ["coretemp", "k10temp", "zenpower", "cpu_thermal", "scpi_sensors"];

/// The hottest of the processor's own sensors, else of the thermal zones (on some machines those are only the board's).
fn temperature(sys: &Path) -> Reading<f64> {
    let hwmon = sys.join("class/hwmon");
    let of_processor = names(&hwmon)
        .map(|name| hwmon.join(name))
        .filter(|chip| fs::read_to_string(chip.join("name")).is_ok_and(|name| OF_PROCESSORS.contains(&name.trim())));
    let cores = of_processor.flat_map(|chip| {
        let inputs = names(&chip).filter(|name| name.starts_with("temp") && name.ends_with("_input"));
        inputs.map(|name| chip.join(name)).collect::<Vec<_>>()
    });
    let thermal = sys.join("class/thermal");
    let zones =
        names(&thermal).filter(|name| name.starts_with("thermal_zone")).map(|name| thermal.join(name).join("temp"));
    let mut refused = None;
    for group in [cores.collect::<Vec<_>>(), zones.collect()] {
        let mut hottest: Option<f64> = None;
        for file in group {
            match field(&file, |text| text.trim().parse().ok()) {
                Reading::Ok(millidegrees) => {
                    hottest = Some(hottest.unwrap_or(f64::NEG_INFINITY).max(millidegrees / 1000.0))
                }
                other => refused = Some(other),
            }
        }
        if let Some(hottest) = hottest {
            return Reading::Ok(hottest);
        }
    }
    refused.unwrap_or_else(|| {
        Reading::absent(format!(
            "{} has no sensor of the processor, and {} no zone",
            hwmon.display(),
            thermal.display()
        ))
    })
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

    /// Files as the kernel has them, in a folder of their own.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        dir
    }

    #[test]
    fn energy_is_of_all_packages_and_of_no_part_twice() {
        let dir = tree(&[
            ("intel-rapl:0/energy_uj", "2500000\n"),
            ("intel-rapl:0:0/energy_uj", "900000\n"),
            ("intel-rapl:1/energy_uj", "500000\n"),
        ]);
        assert_eq!(package_energy(dir.path()), Reading::Ok(3.0));
        fs::write(dir.path().join("intel-rapl:1/energy_uj"), "?").unwrap();
        assert!(package_energy(dir.path()).why().unwrap().contains("intel-rapl:1"));
        let none = package_energy(&dir.path().join("nowhere"));
        assert!(none.why().unwrap().contains("no intel-rapl package"), "{none:?}");
    }

    #[test]
    fn the_processors_own_sensors_come_before_the_boards() {
        let dir =
            tree(&[("class/thermal/thermal_zone0/temp", "21000\n"), ("class/thermal/cooling_device0/temp", "99000\n")]);
        assert_eq!(temperature(dir.path()), Reading::Ok(21.0));
        for (name, text) in [
            ("class/hwmon/hwmon0/name", "nvme\n"),
            ("class/hwmon/hwmon0/temp1_input", "88000\n"),
            ("class/hwmon/hwmon1/name", "k10temp\n"),
            ("class/hwmon/hwmon1/temp1_input", "54500\n"),
            ("class/hwmon/hwmon1/temp3_input", "57250\n"),
        ] {
            let file = dir.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        assert_eq!(temperature(dir.path()), Reading::Ok(57.25));
        assert!(temperature(&dir.path().join("nowhere")).why().unwrap().contains("no sensor"));
    }

    #[test]
    fn every_sensor_answers_or_says_why_not() {
        for (name, reading) in read() {
            assert!(reading.value().is_some() || reading.why().is_some_and(|why| !why.is_empty()), "{name}");
        }
    }
}
