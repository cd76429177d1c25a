//! Whose results they are, where a report is of several runs: a name for each run that no other of them has.
//!
//! Contract: made from records alone. A machine's own name where that is enough; else what sets it apart, in this order: a
//! phone's serial (as far as the record has it), what is unusual in how it was measured, the run's id.

use crate::record::{Run, conditions};

/// A name for each run, in their order.
pub fn names(runs: &[&Run]) -> Vec<String> {
    let mut names = machines(runs);
    for more in [conditions::unusual_in_all as fn(&Run) -> String, |run: &Run| run.run.id.clone()] {
        let known = names.clone();
        for (place, (name, run)) in names.iter_mut().zip(runs).enumerate() {
            let more = more(run);
            let alike = known.iter().enumerate().any(|(other, known)| other != place && *known == *name);
            if alike && !more.is_empty() {
                *name = format!("{name}, {more}");
            }
        }
    }
    names
}

/// What each run's machine is called: phones of one model by their serials too, as far as the record has them.
pub fn machines(runs: &[&Run]) -> Vec<String> {
    let model = |run: &Run| {
        let phone = run.machine.phone.as_ref().and_then(|phone| phone.model.value());
        phone.or(run.machine.cpu_model.value()).map_or("a machine without a name", String::as_str).to_owned()
    };
    let name = |run: &&Run| {
        let name = model(run);
        let alike = runs.iter().filter(|other| other.machine.phone.is_some() && model(other) == name).count();
        let serial = run.run.on.as_deref().and_then(|on| on.strip_prefix("adb:"));
        match serial.filter(|_| alike > 1 && run.machine.phone.is_some()) {
            Some(serial) => format!("{name} ({serial})"),
            None => name,
        }
    };
    runs.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Reading;
    use crate::{sample, sample_phone};

    fn phone(id: &str, serial: &str, cpus: &str) -> Run {
        let mut run = sample_phone::run();
        run.run.id = id.into();
        run.run.on = Some(format!("adb:{serial}"));
        run.machine.phone.as_mut().unwrap().asked_cpus = Some(cpus.into());
        // As older programs wrote it, whose keys do not say it.
        for cell in &mut run.cells {
            cell.key.cpus.clear();
            cell.launches.iter_mut().for_each(|launch| launch.cpus = None);
        }
        run
    }

    #[test]
    fn a_name_is_as_long_as_it_must_be_and_nobody_elses() {
        let (a, b) = (phone("r1", "A1", "0-3"), phone("r2", "B2", "0-3"));
        assert_eq!(names(&[&a]), ["Example Phone 9"], "alone it needs no serial");
        assert_eq!(names(&[&a, &b]), ["Example Phone 9 (A1)", "Example Phone 9 (B2)"]);
        let big = phone("r3", "A1", "4-7");
        let found = names(&[&a, &big]);
        assert!(found[0].contains("A1") && found[0].contains("CPUs 0-3"), "{found:?}");
        assert!(found[1].contains("CPUs 4-7") && !found[1].contains("r3"), "{found:?}");
        let found = names(&[&a, &phone("r4", "A1", "0-3")]);
        assert!(found[0].ends_with(", r1") && found[1].ends_with(", r4"), "{found:?}");
        let mut other = sample::run();
        other.machine.cpu_model = Reading::Ok("Another processor".into());
        assert_eq!(names(&[&sample::run(), &other])[1], "Another processor");
    }
}
