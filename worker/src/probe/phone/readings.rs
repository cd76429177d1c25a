//! Named values out of the sources: what a record and a timeline hold.
//!
//! Contract: names carry their unit; every name is there, with a value or with the reason why there is none.

use std::collections::BTreeMap;

use ditbench_record::Reading;

use super::battery::{self, Battery};
use super::thermal::{self, Kind};
use super::{Cluster, Files, Sources, gpu};

/// Values by name.
pub type Readings = BTreeMap<String, Reading<f64>>;

/// What every sample reads: files only, some tens of microseconds each.
pub fn quick(files: &Files, clusters: &[Cluster]) -> Readings {
    let mut readings = Readings::new();
    for cluster in clusters {
        readings.insert(format!("cpu_{}_mhz", cluster.name), cluster.mhz(files));
        readings.insert(format!("cpu_{}_allowed_mhz", cluster.name), cluster.allowed_mhz(files));
    }
    let supply = battery::supply(files);
    readings.insert("battery_current_raw".into(), supply.current);
    readings.insert("battery_charge_raw".into(), supply.charge);
    readings.insert("battery_v".into(), supply.volts);
    readings.insert("gpu_mhz".into(), gpu::mhz(files));
    readings.insert("gpu_load_percent".into(), gpu::load(files));
    readings
}

/// What needs Android's services, which take some tens of milliseconds each: asked every few samples.
pub fn slow(sources: &Sources) -> Readings {
    let mut readings = Readings::new();
    let text = sources.thermal.as_deref().unwrap_or_default();
    let thermal = thermal::parse(text);
    let unsaid = || or_why(None, text, "dumpsys thermalservice gives no status");
    readings.insert("thermal_status".to_owned(), thermal.status.reading(unsaid));
    let level =
        or_why(thermal.cpu_cooling(), text, "dumpsys thermalservice lists nothing that throttles the processor");
    readings.insert("cpu_cooling_level".to_owned(), level);
    let chip = thermal.hottest(Kind::Cpu).or(thermal.hottest(Kind::Soc));
    let zone = thermal::hottest_cpu_zone(&sources.files);
    for (what, degrees, now) in [
        ("skin", thermal.hottest(Kind::Skin), None),
        ("gpu", thermal.hottest(Kind::Gpu), None),
        ("npu", thermal.hottest(Kind::Npu), None),
        ("cpu", chip, zone),
    ] {
        let now = degrees.filter(|_| thermal.from_hal).or(now);
        let remembered = degrees.filter(|_| !thermal.from_hal);
        let why = match remembered {
            // As old as the last change of a status: it was seen to be 14 degrees off.
            Some(_) => format!("only cached by Android, see {what}_cached_c"),
            None => format!("neither Android nor a thermal zone of the kernel reports the temperature of the {what}"),
        };
        readings.insert(format!("{what}_c"), or_why(now, text, &why));
        if let (Some(degrees), None) = (remembered, now) {
            readings.insert(format!("{what}_cached_c"), Reading::Ok(degrees));
        }
    }
    let text = sources.battery.as_deref().unwrap_or_default();
    let Battery { level, celsius, volts, current, charge, charger, known, none } = battery::parse(text);
    let of_hal = thermal.hottest(Kind::Battery).filter(|_| thermal.from_hal && !none);
    let charging = known.then_some(if charger.is_some() { 1.0 } else { 0.0 });
    for (name, value, what) in [
        ("battery_c", celsius.or(of_hal), "dumpsys battery gives no temperature"),
        ("battery_percent", level, "dumpsys battery gives no level"),
        ("battery_v", volts, "dumpsys battery gives no voltage"),
        ("battery_current_service_raw", current, "dumpsys battery gives no current"),
        ("battery_charge_raw", charge, "dumpsys battery gives no charge"),
        ("charging", charging, "dumpsys battery does not say whether a charger is plugged in"),
    ] {
        let reading = if none { Reading::absent("this device has no battery") } else { or_why(value, text, what) };
        readings.insert(name.to_owned(), reading);
    }
    if let Some(said) = &sources.battery_command {
        readings.insert("battery_current_cmd_raw".to_owned(), battery::command_current(said));
    }
    readings
}

/// Both; of what both tell, the files have it finer.
pub fn all(sources: &Sources, clusters: &[Cluster]) -> Readings {
    let mut readings = quick(&sources.files, clusters);
    for (name, reading) in slow(sources) {
        if readings.get(&name).is_none_or(|known| known.value().is_none()) {
            readings.insert(name, reading);
        }
    }
    readings
}

/// A value; or denied, in the service's words; or absent.
fn or_why(value: Option<f64>, text: &str, what: &str) -> Reading<f64> {
    let complaint = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match value {
        Some(value) => Reading::Ok(value),
        None if complaint.contains("ermission") => Reading::denied(complaint),
        None if text.lines().count() <= 2 && !complaint.is_empty() => Reading::absent(complaint),
        None => Reading::absent(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_value_or_a_reason() {
        let sources = Sources {
            thermal: Some("Permission Denial: can't dump thermalservice from pid 1, uid 2000".into()),
            battery: Some("Can't find service: battery".into()),
            ..Sources::default()
        };
        let readings = all(&sources, &[]);
        assert!(matches!(readings["thermal_status"], Reading::Denied { .. }));
        assert_eq!(readings["battery_percent"].why(), Some("Can't find service: battery"));
        assert!(matches!(readings["charging"], Reading::Absent { .. }), "unknown is not \"no\"");
        assert!(readings.values().all(|r| r.why().is_some_and(|why| !why.is_empty())));
    }

    #[test]
    fn values_are_there_under_their_units() {
        let sources = Sources {
            thermal: Some("Thermal Status: 0\nCurrent temperatures from HAL:\nTemperature{mValue=35.5, mType=3, mName=s, mStatus=0}\n".into()),
            battery: Some("  USB powered: true\n  level: 80\n  voltage: 4000\n  temperature: 300\n".into()),
            files: Files::parse("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq:1800000\n"),
            ..Sources::default()
        };
        let cluster = Cluster { name: "all".into(), cpus: vec![0], ..Cluster::default() };
        let readings = all(&sources, &[cluster]);
        let value = |name: &str| readings[name].value().copied();
        assert_eq!((value("cpu_all_mhz"), value("skin_c"), value("charging")), (Some(1800.0), Some(35.5), Some(1.0)));
        assert_eq!(
            (value("battery_c"), value("battery_percent"), value("thermal_status")),
            (Some(30.0), Some(80.0), Some(0.0))
        );
    }
}
