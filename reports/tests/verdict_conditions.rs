//! What identifies a result, and what must agree before two are compared: each part varied by itself, and every place that puts
//! results side by side held to it. A part that is added must be added here.

use ditbench_record::conditions::{Of, unusual};
use ditbench_record::{CellKey, Condition, CpusUsed, PhoneFacts, Reading, Run};
use ditbench_reports::history::series;
use ditbench_reports::merge::{MergeError, merge};
use ditbench_reports::verdict::{CompareError, Difference, Options, Side, Verdict, aa, compare};
use ditbench_reports::{csv, markdown, table};

#[path = "common/launches.rs"]
mod launches;
use launches::{factors, one_cell};

/// A record that says everything.
fn whole(id: &str) -> Run {
    let mut run = one_cell(id, &factors(8, 0.01, 3));
    for launch in &mut run.cells[0].launches {
        launch.cpus = Some(CpusUsed { allowed: Some("0-1".into()), seen: vec![0, 1] });
    }
    let machine = &mut run.machine;
    machine.governor = Reading::Ok("schedutil".into());
    machine.cpu_quota = Reading::absent("the control group sets no limit");
    machine.memory_limit_bytes = Reading::absent("the control group sets no limit");
    machine.cpus_allowed = Reading::Ok("0-1".into());
    machine.kernel = Reading::Ok("6.1.0".into());
    machine.hypervisor = Reading::absent("the processor flags no hypervisor");
    machine.phone = Some(PhoneFacts {
        fingerprint: Reading::Ok("a/b:14/1".into()),
        fixed_performance: Some(false),
        battery_saver: Reading::Ok(false),
        screen: Reading::Ok("Asleep".into()),
        uid: Reading::Ok(2000),
        cpuset: Reading::Ok("/".into()),
        ..PhoneFacts::default()
    });
    run.run.telemetry = Some(true);
    run.run.build.rustc = "rustc 1.95.0".into();
    run.run.build.target = "x86_64-unknown-linux-gnu".into();
    run.run.build.target_features = ["fxsr", "sse", "sse2"].map(str::to_owned).to_vec();
    run
}

/// One condition as in no other record here.
fn vary(condition: Condition, run: &mut Run) {
    let (machine, build) = (&mut run.machine, &mut run.run.build);
    match condition {
        Condition::Cpus => {
            for launch in &mut run.cells[0].launches {
                launch.cpus = Some(CpusUsed { allowed: Some("1".into()), seen: vec![1] });
            }
        }
        Condition::Duration => run.run.sustained_s = Some(600.0),
        Condition::Governor => machine.governor = Reading::Ok("performance".into()),
        Condition::CpuQuota => machine.cpu_quota = Reading::Ok(1.5),
        Condition::MemoryLimit => machine.memory_limit_bytes = Reading::Ok(300 << 20),
        Condition::FixedPerformance => machine.phone.as_mut().unwrap().fixed_performance = Some(true),
        Condition::TaskProfile => machine.phone.as_mut().unwrap().task_profile = Some("MaxPerformance".into()),
        Condition::BatterySaver => machine.phone.as_mut().unwrap().battery_saver = Reading::Ok(true),
        Condition::Telemetry => run.run.telemetry = Some(false),
        Condition::Profile => build.profile = "debug".into(),
        Condition::Target => build.target = "x86_64-unknown-linux-musl".into(),
        Condition::Flags => build.flags = "-C target-cpu=native".into(),
        Condition::Features => build.target_features.push("avx2".into()),
        Condition::Toolchain => build.rustc = "rustc 1.96.0".into(),
        Condition::Kernel => machine.kernel = Reading::Ok("6.2.0".into()),
        Condition::Hypervisor => machine.hypervisor = Reading::Ok("KVM".into()),
        Condition::SystemBuild => machine.phone.as_mut().unwrap().fingerprint = Reading::Ok("a/b:14/2".into()),
        Condition::CpuGroup => machine.phone.as_mut().unwrap().cpuset = Reading::Ok("/foreground".into()),
        Condition::Screen => machine.phone.as_mut().unwrap().screen = Reading::Ok("Awake".into()),
        Condition::User => machine.phone.as_mut().unwrap().uid = Reading::Ok(0),
    }
}

/// The same condition as if nobody had recorded it; `false` where a record always says it.
fn forget(condition: Condition, run: &mut Run) -> bool {
    let (machine, build) = (&mut run.machine, &mut run.run.build);
    match condition {
        Condition::Cpus => {
            run.cells[0].launches.iter_mut().for_each(|launch| launch.cpus = None);
            machine.cpus_allowed = Reading::default();
        }
        Condition::Governor => machine.governor = Reading::default(),
        Condition::CpuQuota => machine.cpu_quota = Reading::default(),
        Condition::MemoryLimit => machine.memory_limit_bytes = Reading::default(),
        Condition::FixedPerformance => machine.phone.as_mut().unwrap().fixed_performance = None,
        Condition::Telemetry => run.run.telemetry = None,
        Condition::Profile => build.profile.clear(),
        Condition::Target => build.target.clear(),
        Condition::Flags | Condition::Features | Condition::Toolchain => build.rustc.clear(),
        Condition::Kernel => machine.kernel = Reading::default(),
        Condition::Hypervisor => machine.hypervisor = Reading::default(),
        Condition::SystemBuild => machine.phone.as_mut().unwrap().fingerprint = Reading::default(),
        Condition::BatterySaver => machine.phone.as_mut().unwrap().battery_saver = Reading::default(),
        Condition::CpuGroup => machine.phone.as_mut().unwrap().cpuset = Reading::default(),
        Condition::Screen => machine.phone.as_mut().unwrap().screen = Reading::default(),
        Condition::User => machine.phone.as_mut().unwrap().uid = Reading::default(),
        Condition::Duration | Condition::TaskProfile => return false,
    }
    true
}

fn judge(base: &Run, head: &Run, allow: &[Difference]) -> Result<Verdict, CompareError> {
    let options = Options { allow: allow.iter().copied().collect(), ..Options::default() };
    compare(&Side::of_runs("base", [base]), &Side::of_runs("head", [head]), &options)
}

fn series_of(run: &Run) -> Vec<String> {
    series::extract(run).unwrap().points.keys().map(ToString::to_string).collect()
}

#[test]
fn equal_conditions_are_compared_without_a_word() {
    let (base, head) = (whole("a"), whole("b"));
    let verdict = judge(&base, &head, &[]).unwrap();
    assert_eq!((verdict.exit_code(), &verdict.cautions, &verdict.allowed), (0, &vec![], &vec![]));
    assert_eq!(unusual(&base, base.cells.first()), "governor schedutil");
    assert_eq!(series_of(&base), series_of(&head));
}

#[test]
fn each_condition_that_differs_is_refused_or_named_in_a_verdict() {
    for condition in Condition::ALL {
        let (base, mut head) = (whole("a"), whole("b"));
        vary(condition, &mut head);
        let [one, other] = [&base, &head].map(|run| condition.value(run, run.cells.first()).unwrap());
        assert_ne!(one, other, "{condition:?}");
        let says = format!("{}: {one} in a, {other} in b", condition.name());
        let kind = match condition.of() {
            Of::Treatment => Difference::Conditions,
            Of::Build => Difference::Build,
            Of::Platform => {
                let verdict = judge(&base, &head, &[]).unwrap();
                assert!(verdict.cautions.contains(&says), "{condition:?}: {:?}", verdict.cautions);
                let merged = merge(&[&base, &head], "c", &Default::default()).unwrap();
                let told: Vec<String> = merged.warnings.iter().map(ToString::to_string).collect();
                assert!(told.iter().any(|warning| warning.contains(&says)), "{condition:?}: {told:?}");
                continue;
            }
        };
        let Err(CompareError::Differ { found }) = judge(&base, &head, &[]) else {
            panic!("{condition:?} was compared")
        };
        assert_eq!(found, [(kind, says.clone())], "{condition:?}");
        let verdict = judge(&base, &head, &[kind]).unwrap();
        assert_eq!(verdict.allowed, [says], "{condition:?}");
        // Parts of one run agree in them too.
        assert!(
            matches!(merge(&[&base, &head], "c", &Default::default()), Err(MergeError::Differ(_))),
            "{condition:?}"
        );
    }
}

#[test]
fn a_condition_that_one_side_does_not_record_is_named() {
    for condition in Condition::ALL {
        let (base, mut head) = (whole("a"), whole("b"));
        if !forget(condition, &mut head) {
            continue;
        }
        assert_eq!(condition.value(&head, head.cells.first()), None, "{condition:?}");
        let verdict = judge(&base, &head, &[]).unwrap();
        let named = |says: &String| says.starts_with("b does not record") && says.contains(condition.name());
        assert!(verdict.cautions.iter().any(named), "{condition:?}: {:?}", verdict.cautions);
    }
}

#[test]
fn each_condition_that_differs_begins_a_series_or_is_known_of_a_point() {
    for condition in Condition::ALL {
        let (base, mut head) = (whole("a"), whole("b"));
        vary(condition, &mut head);
        let shared = series_of(&base).iter().any(|key| series_of(&head).contains(key));
        match condition {
            Condition::Toolchain => {
                let toolchain =
                    |run: &Run| series::extract(run).unwrap().points.into_values().next().unwrap().toolchain;
                assert!(shared && toolchain(&base) != toolchain(&head));
            }
            _ if condition.of() == Of::Platform => assert!(shared, "{condition:?}"),
            _ => assert!(!shared, "{condition:?}: {:?}", series_of(&head)),
        }
        // The noise of one is not the other's.
        let options = Options::default();
        let (noise, _) = aa::of_aa(&[&base], &[&whole("c")], &options, 2, 1).unwrap();
        assert!(noise.is_of(&base) && noise.is_of(&head) == shared, "{condition:?}");
    }
}

#[test]
fn rows_of_two_runs_say_whose_they_are_in_every_table() {
    for condition in Condition::ALL {
        let (base, mut head) = (whole("run-a"), whole("run-b"));
        vary(condition, &mut head);
        let table = table::of_runs(&[&base, &head]);
        let names = [&table.rows[0].machine, &table.rows[1].machine];
        assert_ne!(names[0], names[1], "{condition:?}");
        let mut text = Vec::new();
        csv::write_table(&table, &mut text).unwrap();
        let faces =
            [markdown::of_table(&table), String::from_utf8(text).unwrap(), serde_json::to_string(&table).unwrap()];
        for face in faces {
            // Markdown escapes what could start markup.
            let face = face.replace('\\', "");
            assert!(names.iter().all(|name| face.contains(name.as_str())), "{condition:?}: {names:?} in {face}");
        }
    }
}

#[test]
fn each_part_of_a_key_makes_another_result() {
    let base = whole("a");
    let serde_json::Value::Object(mut fields) = serde_json::to_value(&base.cells[0].key).unwrap() else { panic!() };
    // Left out where it is the usual one.
    fields.insert("cpus".into(), "".into());
    assert_eq!(fields.len(), 13, "{fields:?}");
    for (name, value) in &fields {
        let mut other = fields.clone();
        other.insert(
            name.clone(),
            match value {
                serde_json::Value::String(text) => format!("{text}2").into(),
                serde_json::Value::Object(own) => {
                    let longer =
                        own.iter().map(|(axis, value)| (axis.clone(), format!("{}2", value.as_str().unwrap()).into()));
                    serde_json::Value::Object(longer.collect())
                }
                number => (number.as_u64().unwrap() + 1).into(),
            },
        );
        let mut head = whole("b");
        head.cells[0].key = serde_json::from_value::<CellKey>(other.into()).unwrap();
        let error = judge(&base, &head, &[]).unwrap_err();
        assert!(matches!(error, CompareError::NothingInCommon { .. }), "{name}: {error}");
        assert!(series_of(&base).iter().all(|key| !series_of(&head).contains(key)), "{name}");
        let rows = table::of_runs(&[&base, &head]).rows;
        assert_ne!(rows[0].key, rows[1].key, "{name}");
        assert_ne!(rows[0].key.id(), rows[1].key.id(), "{name}");
    }
}

#[test]
fn other_libraries_beneath_one_program_are_named_at_the_cell() {
    let version = |run: &mut Run, version: &str| {
        run.cells[0].versions =
            vec![ditbench_record::Version { name: "ort".into(), version: version.into(), details: vec![] }];
    };
    let (mut base, mut head) = (whole("a"), whole("b"));
    version(&mut base, "1.30.0");
    version(&mut head, "1.31.1");
    let notes = &judge(&base, &head, &[]).unwrap().cells[0].notes;
    assert!(notes.contains(&"base ran on ort 1.30.0, head on ort 1.31.1".to_owned()), "{notes:?}");
}
