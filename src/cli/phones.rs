//! The phones that adb sees, for `ditbench devices`.

use std::sync::Arc;

use ditbench_record::Reading;

use crate::host::adb::{Adb, AdbError, Device, Listed, Program, read_sources};
use crate::text::{self, left_table};
use ditbench_worker::probe::memory;
use ditbench_worker::probe::phone::readings::{self, Readings};
use ditbench_worker::probe::phone::{Cluster, Identity, Sources, clusters, props, thermal};

/// Prints what each phone says of itself. A machine without adb is told how to get it, in a line.
pub fn list() {
    let adb: Arc<dyn Adb> = Arc::new(Program::find());
    text::show("\nPhones that adb sees:\n");
    let listed = match crate::host::adb::list(adb.as_ref()) {
        Ok(listed) => listed,
        Err(error) => {
            text::show(&format!("  {error}\n"));
            return;
        }
    };
    if listed.is_empty() {
        text::show(&format!("  {}\n", AdbError::NoDevice));
        return;
    }
    let mut rows = Vec::new();
    let mut told = Vec::new();
    for one in &listed {
        match look(&adb, one) {
            Ok((sources, readings)) => {
                rows.push(row(one, &sources, &readings));
                told.push((one, readings));
            }
            Err(error) => {
                let mut row = vec![format!("adb:{}", one.serial), error.to_string()];
                row.resize(HEADER.len(), String::new());
                rows.push(row);
            }
        }
    }
    text::show(&left_table(&HEADER, rows));
    for (one, readings) in told {
        let answered = by_answer(&readings, |reading| reading.value().is_some());
        text::show(&format!("\n  can be read from adb:{}: {answered}\n", one.serial));
        let denied = by_answer(&readings, |reading| matches!(reading, Reading::Denied { .. }));
        let absent = by_answer(&readings, |reading| matches!(reading, Reading::Absent { .. }));
        let not = [("", absent), ("denied: ", denied)].into_iter().filter(|(_, names)| !names.is_empty());
        let not: Vec<String> = not.map(|(how, names)| format!("{how}{names}")).collect();
        if !not.is_empty() {
            text::show(&format!("  and not: {}\n", not.join("; ")));
        }
    }
    text::show("\n  Measure one with: ditbench run --on adb:SERIAL. Is it ready? ditbench doctor --on adb:SERIAL\n");
}

const HEADER: [&str; 9] = ["phone", "model", "SoC", "Android", "ABI", "clusters", "memory", "battery", "heat"];

fn look(adb: &Arc<dyn Adb>, one: &Listed) -> Result<(Sources, Readings), AdbError> {
    let device = Device::new(Arc::clone(adb), &one.serial);
    device.state()?;
    let sources = read_sources(&device)?;
    let groups = clusters::group(&sources);
    let readings = readings::all(&sources, &groups);
    Ok((sources, readings))
}

fn row(one: &Listed, sources: &Sources, readings: &Readings) -> Vec<String> {
    let identity = Identity::of(&props::parse(&sources.props));
    let said = |reading: &Reading<String>| reading.value().cloned().unwrap_or_else(|| "?".to_owned());
    let value = |name: &str| readings.get(name).and_then(Reading::value).copied();
    let groups = clusters::group(sources);
    let memory = memory::kib_field(&sources.meminfo, "MemTotal");
    let battery = value("battery_percent").map_or_else(
        || "?".to_owned(),
        |percent| {
            let charging = if value("charging") == Some(1.0) { ", charging" } else { "" };
            format!("{percent:.0} %{charging}")
        },
    );
    let status = value("thermal_status").map_or("?", |status| thermal::status_name(status as u8));
    let heat = value("skin_c").or(value("battery_c")).map_or_else(String::new, |c| format!(", {c:.0} °C"));
    vec![
        format!("adb:{}", one.serial),
        identity.name(),
        said(&identity.soc),
        said(&identity.android),
        said(&identity.abi),
        groups.iter().map(Cluster::said).collect::<Vec<_>>().join(", "),
        memory.map_or_else(|| "?".to_owned(), text::bytes),
        battery,
        format!("{status}{heat}"),
    ]
}

/// Names of readings that answer in one way.
pub fn by_answer(readings: &Readings, wanted: impl Fn(&Reading<f64>) -> bool) -> String {
    let names = readings.iter().filter(|(_, reading)| wanted(reading)).map(|(name, _)| name.as_str());
    names.collect::<Vec<_>>().join(", ")
}
