//! Sensors: frequency, temperature, pressure, stolen time, energy. Read before and after a launch and, once a second, beside it: by the
//! parent on its own thread, never by the process that is timed.
//!
//! Contract: a name with the unit in it, and a value or the reason why there is none. What is counted by CPU is of those that this
//! process may use. Each name has a line in docs/METHODOLOGY.md: who judges it, or why nobody does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ditbench_record::Reading;

use super::read::field;
use super::{cpus, load, nvidia};

/// All sensors now.
pub fn read() -> BTreeMap<String, Reading<f64>> {
    let mut readings = of_system();
    readings.extend(nvidia::read());
    readings
}

/// Those that the system's files tell, now.
pub fn of_system() -> BTreeMap<String, Reading<f64>> {
    let root = super::root();
    read_of(root, &cpus::allowed(root))
}

/// All sensors of the machine whose files are below `root`, for a process that may use these CPUs.
fn read_of(root: &Path, cpus: &[u32]) -> BTreeMap<String, Reading<f64>> {
    let mut readings = BTreeMap::new();
    let mut put = |name: &str, reading| readings.insert(name.to_owned(), reading);
    let file = |name: &str| root.join(name);
    put("cpu_mhz", cpus::mhz(root, cpus));
    put("cpu_temperature_c", temperature(&file("sys")));
    put("load_1min", field(file("proc/loadavg"), |text| text.split_whitespace().next()?.parse().ok()));
    put("cpu_pressure_percent", field(file("proc/pressure/cpu"), pressure));
    put("memory_pressure_percent", field(file("proc/pressure/memory"), pressure));
    put("steal_s", field(file("proc/stat"), |stat| load::stolen_s(stat, cpus)));
    put("io_pressure_percent", field(file("proc/pressure/io"), pressure));
    put("package_energy_j", package_energy(&file("sys/class/powercap")));
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

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;
    use crate::probe::phone::{Cluster, Sources, readings};

    #[test]
    fn files_of_the_system_are_read_by_their_form() {
        assert_eq!(pressure("some avg10=1.50 avg60=0.10 avg300=0.00 total=1\nfull avg10=0.00"), Some(1.5));
        assert_eq!(pressure("nonsense"), None);
    }

    #[test]
    fn stolen_time_is_of_the_cpus_that_may_be_used() {
        let dir = tree(&[(
            "proc/stat",
            "cpu  0 0 0 0 0 0 0 640000 0 0\ncpu0 0 0 0 0 0 0 0 300 0 0\ncpu1 0 0 0 0 0 0 0 639700 0 0\n",
        )]);
        assert_eq!(read_of(dir.path(), &[0])["steal_s"], Reading::Ok(3.0));
        assert!(read_of(dir.path(), &[])["steal_s"].why().is_some());
    }

    /// The names of METHODOLOGY's table of readings.
    fn judged() -> Vec<&'static str> {
        let page = include_str!("../../../docs/METHODOLOGY.md");
        let section = page.split("## Who judges a reading").nth(1).expect("the section");
        let section = section.split("\n## ").next().unwrap_or(section);
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        rows.flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2)).collect()
    }

    #[test]
    fn every_reading_has_a_judge_or_a_reason_why_not() {
        let judged = judged();
        let clusters = [Cluster { name: "CLUSTER".to_owned(), ..Cluster::default() }];
        // Of several GPUs each is called after its number.
        let of_any_gpu = |name: String| match name.split_once('_') {
            Some((gpu, rest)) if gpu.trim_end_matches(|c: char| c.is_ascii_digit()) == "gpu" => format!("gpu_{rest}"),
            _ => name,
        };
        let mut names: Vec<String> = read().into_keys().map(of_any_gpu).collect();
        names.extend(readings::all(&Sources::default(), &clusters).into_keys());
        // What only some phones have: temperatures that Android remembers, a current that must be asked for by name.
        let remembered = |kind: u8| format!("\tTemperature{{mValue=40.0, mType={kind}, mName=x, mStatus=0}}\n");
        let remembered: String = [0, 1, 3, 9].map(remembered).concat();
        let some = Sources {
            thermal: Some(format!("Thermal Status: 0\nCached temperatures:\n{remembered}")),
            battery_command: Some(String::new()),
            ..Sources::default()
        };
        names.extend(
            readings::all(&some, &clusters).into_keys().filter(|name| !names.contains(name)).collect::<Vec<_>>(),
        );
        assert!(names.iter().any(|name| name == "skin_cached_c"), "{names:?}");
        // What is read of the machine as a whole.
        let machine = serde_json::to_value(crate::probe::machine::probe()).unwrap();
        let is_reading = |value: &serde_json::Value| {
            value
                .as_object()
                .is_some_and(|fields| ["ok", "denied", "absent"].iter().any(|kind| fields.contains_key(*kind)))
        };
        names.extend(machine.as_object().unwrap().iter().filter(|(_, v)| is_reading(v)).map(|(name, _)| name.clone()));
        names.extend(["calibration", "foreign", "peaks"].map(str::to_owned));
        let missing: Vec<&String> = names.iter().filter(|name| !judged.contains(&name.as_str())).collect();
        assert!(names.len() > 20 && missing.is_empty(), "docs/METHODOLOGY.md says nothing of {missing:?}");
        let unknown: Vec<&&str> = judged.iter().filter(|name| !names.iter().any(|known| known == **name)).collect();
        assert!(unknown.is_empty(), "docs/METHODOLOGY.md judges what nobody reads: {unknown:?}");
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
