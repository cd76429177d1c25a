//! A made-up run on a phone that gets hot: for tests, and to look at the report without a phone.

use std::collections::BTreeMap;

use crate::record::{
    ClockOffset, Cluster, CpusUsed, HotThreshold, Launch, PhoneFacts, Reading, Run, Sample, Status, Telemetry,
};
use crate::sample;

/// Two cells of the sample run, as a phone would have made them.
pub fn run() -> Run {
    let mut run = sample::run();
    run.run.id = "20261123T171500Z-9a1b".into();
    run.cells.retain(|cell| cell.status == Status::Ok && cell.key.model == "tiny");
    run.cells.truncate(2);
    run.machine.cpu_model = Reading::Ok("Example Phone 9 (X1)".into());
    run.machine.architecture = "aarch64".into();
    run.machine.os = Reading::Ok("Android 14".into());
    let cluster = |name: &str, cpus: &str, capacity, max_mhz| Cluster {
        name: name.into(),
        cpus: cpus.into(),
        capacity: Some(capacity),
        max_mhz: Some(max_mhz),
        core: None,
    };
    run.machine.phone = Some(PhoneFacts {
        model: Reading::Ok("Example Phone 9".into()),
        soc: Reading::Ok("X1".into()),
        android: Reading::Ok("14".into()),
        sdk: Reading::Ok(34),
        abi: Reading::Ok("arm64-v8a".into()),
        fingerprint: Reading::Ok("example/phone:14/1".into()),
        clusters: vec![
            cluster("little", "0-3", 160, 1704.0),
            cluster("mid", "4-7", 498, 2367.0),
            cluster("big", "8", 1024, 2914.0),
        ],
        asked_cpus: None,
        screen: Reading::Ok("Asleep".into()),
        battery_saver: Reading::Ok(false),
        uid: Reading::Ok(2000),
        cpuset: Reading::Ok("/".into()),
        task_profile: None,
        sustained: true,
        thresholds: vec![HotThreshold {
            sensor: "VIRTUAL-SKIN".into(),
            skin: true,
            celsius: vec![None, Some(37.0), Some(39.0), Some(43.0), Some(45.0)],
        }],
        fixed_performance: Some(false),
    });
    for peak in &mut run.machine.peaks {
        peak.cpus = "4-8".into();
    }
    for cell in &mut run.cells {
        cell.key.cpus = "4-8".into();
        cell.launches.iter_mut().for_each(heat_up);
        let discarded = Launch {
            reason: Some("it was held back: thermal status 3 (severe)".into()),
            ..cell.launches.first().cloned().unwrap_or_default()
        };
        cell.discarded.push(discarded);
    }
    run
}

/// Clocks fall and images slow down as the phone gets warm.
fn heat_up(launch: &mut Launch) {
    let mut at_s = 2.0;
    for Sample { total_s, ended_s, .. } in &mut launch.samples {
        at_s += *total_s;
        *ended_s = Some(at_s);
    }
    let ok = |name: &str, value: f64| (name.to_owned(), Reading::Ok(value));
    let every = (at_s / 60.0).max(1.0);
    let mut moment = 0.0;
    let mut during = Vec::new();
    while moment < at_s {
        let warm = moment / at_s;
        let big = 2914.0 - 900.0 * (warm - 0.4).max(0.0);
        let mut readings = BTreeMap::from([
            ok("cpu_little_mhz", 1704.0),
            ok("cpu_mid_mhz", 2367.0 - 500.0 * (warm - 0.6).max(0.0)),
            // What a clock is at some moment lies below what it may be.
            ok("cpu_big_mhz", big - 90.0 * (during.len() % 3) as f64),
            ok("cpu_big_allowed_mhz", big),
            ok("cpu_mid_allowed_mhz", 2367.0),
            ok("cpu_little_allowed_mhz", 1704.0),
            ok("battery_current_raw", -(1_650_000.0 - 500_000.0 * warm).round()),
            ok("battery_v", 3.9),
        ]);
        if during.len().is_multiple_of(5) {
            readings.extend([
                ok("skin_c", 31.0 + 9.0 * warm),
                ok("cpu_c", 45.0 + 35.0 * warm),
                ok("thermal_status", if warm > 0.7 { 2.0 } else { 0.0 }),
                ok("charging", 0.0),
                ok("battery_percent", 80.0),
                ok("battery_charge_raw", 3_600_000.0),
            ]);
        }
        during.push(Telemetry { at_s: moment, moment: "during".into(), readings });
        moment += every;
    }
    launch.telemetry.extend(during);
    launch.cpus = Some(CpusUsed { allowed: Some("4-8".into()), seen: vec![4, 5, 6, 8] });
    launch.clock = Some(ClockOffset { offset_s: -12.4, uncertainty_s: 0.0006 });
    launch.notes = vec!["sampler: 60 samples, 31 ms of processor time".into()];
}
