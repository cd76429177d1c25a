//! Whether a phone is as cool as it was before anything of ours ran on it.
//!
//! Contract: what a sensor does not tell is no reason to wait, and none to call a phone cool: where nothing tells how warm it is,
//! that is the answer. What was so for as long as we were willing to wait is the phone's own (a battery saver, a maker's limit),
//! and is not waited for again.

use std::collections::BTreeMap;

use ditbench_record::{HotThreshold, Reading, held};

use ditbench_worker::probe::phone::readings::Readings;
use ditbench_worker::probe::phone::{Cluster, thermal};

/// Degrees above its first temperature at which a phone counts as cool again.
const COOL_ENOUGH_C: f64 = 3.0;
/// Degrees below the first threshold of Android's at which it counts as cool, however warm it came.
const BELOW_LIGHT_C: f64 = 2.0;

/// What counts as cool on a phone.
#[derive(Clone, Debug, Default)]
pub struct Cool {
    /// Each sensor that may tell, the best first, and the degrees up to which it is cool.
    limits: Vec<(&'static str, f64)>,
    /// The hardware's highest clock of each cluster, and the share of it that counts as all.
    clocks: BTreeMap<String, (f64, f64)>,
    /// The level of what slows the processor down that counts as none.
    level: f64,
}

/// How warm a phone is, against what counts as cool there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warmth {
    /// As cool as before.
    Cool,
    /// Not, and what of it is not, in words.
    Warm(String),
    /// Nothing tells, and why not.
    NotKnown(String),
}

impl Cool {
    /// By what a phone said of itself before anything of ours ran there.
    pub fn of(readings: &Readings, clusters: &[Cluster], thresholds: &[HotThreshold]) -> Self {
        let light = thresholds.iter().filter(|threshold| threshold.skin);
        let light = light.filter_map(|threshold| *threshold.celsius.get(1)?).min_by(f64::total_cmp);
        let limit = |name: &'static str| {
            let first = value(readings, name)? + COOL_ENOUGH_C;
            let most = light.filter(|_| name == "skin_c").map_or(f64::INFINITY, |light| light - BELOW_LIGHT_C);
            Some((name, first.min(most)))
        };
        let clock = |cluster: &Cluster| Some((cluster.name.clone(), (cluster.max_mhz?, held::CAPPED)));
        Self {
            limits: ["skin_c", "battery_c"].into_iter().filter_map(limit).collect(),
            clocks: clusters.iter().filter_map(clock).collect(),
            level: 0.0,
        }
    }

    /// How warm it is now.
    pub fn look(&self, now: &Readings) -> Warmth {
        let mut words = Vec::new();
        let status = value(now, "thermal_status");
        let heat = self.limits.iter().find_map(|(name, limit)| Some((value(now, name)?, *limit)));
        let too_warm = heat.is_some_and(|(heat, limit)| heat > limit);
        if let Some(status) = status.filter(|&status| status >= 1.0) {
            words.push(format!("thermal status {}", thermal::status_name(status as u8)));
        }
        for (cluster, (hardware, least)) in &self.clocks {
            let share = value(now, &held::allowed(cluster)).map(|allowed| allowed / hardware);
            if let Some(share) = share.filter(|share| share < least) {
                words.push(format!("{cluster} cores at {:.0} % of their clock", 100.0 * share));
            }
        }
        if value(now, "cpu_cooling_level").is_some_and(|level| level > self.level) {
            words.push("its processor is throttled".to_owned());
        }
        if !words.is_empty() || too_warm {
            words.splice(..0, heat.map(|(heat, _)| format!("{heat:.0} °C")));
            return Warmth::Warm(words.join(", "));
        }
        // Clocks that are allowed say that it is not held back yet, and nothing of how warm it is.
        if status.is_some() || heat.is_some() { Warmth::Cool } else { Warmth::NotKnown(why_not(now)) }
    }

    /// Takes what the clocks are now for the phone's own: waiting did not change it.
    pub fn give_up(&mut self, now: &Readings) {
        for (cluster, (hardware, least)) in &mut self.clocks {
            let share = value(now, &held::allowed(cluster)).map(|allowed| allowed / *hardware);
            // A little less than it is, so that a step of the clock is no reason to wait again.
            *least = share.map_or(*least, |share| least.min(share - 0.02));
        }
        self.level = self.level.max(value(now, "cpu_cooling_level").unwrap_or(0.0));
    }
}

/// Why no sensor tells how warm a phone is.
fn why_not(now: &Readings) -> String {
    let why = |name: &str| {
        let why = now.get(name).and_then(Reading::why).unwrap_or("nothing to hold it against");
        format!("{name}: {why}")
    };
    if now.is_empty() {
        return "its sensors could not be read".to_owned();
    }
    ["thermal_status", "skin_c", "battery_c"].map(why).join("; ")
}

fn value(readings: &Readings, name: &str) -> Option<f64> {
    readings.get(name).and_then(Reading::value).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(values: &[(&str, f64)]) -> Readings {
        values.iter().map(|(name, value)| ((*name).to_owned(), Reading::Ok(*value))).collect()
    }

    fn big() -> [Cluster; 1] {
        [Cluster { name: "big".into(), max_mhz: Some(3200.0), ..Cluster::default() }]
    }

    fn cool(first: &[(&str, f64)]) -> Cool {
        let skin = HotThreshold { sensor: "SKIN".into(), skin: true, celsius: vec![None, Some(39.0), Some(43.0)] };
        let battery = HotThreshold { celsius: vec![None, Some(30.0)], ..HotThreshold::default() };
        Cool::of(&readings(first), &big(), &[battery, skin])
    }

    fn warm(cool: &Cool, now: &[(&str, f64)]) -> Option<String> {
        match cool.look(&readings(now)) {
            Warmth::Warm(what) => Some(what),
            Warmth::Cool => None,
            Warmth::NotKnown(why) => panic!("{now:?}: {why}"),
        }
    }

    #[test]
    fn three_degrees_above_the_first_reading_is_warm() {
        let cool = cool(&[("skin_c", 31.0), ("battery_c", 29.0)]);
        assert_eq!(warm(&cool, &[("skin_c", 34.0), ("battery_c", 60.0)]), None);
        assert_eq!(warm(&cool, &[("skin_c", 34.6)]).as_deref(), Some("35 °C"));
        assert_eq!(warm(&cool, &[("battery_c", 33.0)]).as_deref(), Some("33 °C"));
    }

    #[test]
    fn a_phone_that_tells_nothing_is_not_waited_for_and_not_called_cool() {
        let known = cool(&[("skin_c", 31.0)]);
        let why = |cool: &Cool, now: &Readings| match cool.look(now) {
            Warmth::NotKnown(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(why(&known, &readings(&[])), "its sensors could not be read");
        // A sensor that told at first and no longer does; clocks say nothing of heat.
        let mut silent = readings(&[("cpu_big_allowed_mhz", 3200.0)]);
        silent.insert("thermal_status".into(), Reading::denied("Permission Denial"));
        silent.insert("skin_c".into(), Reading::absent("no such sensor"));
        let said = why(&known, &silent);
        assert!(said.contains("thermal_status: Permission Denial; skin_c: no such sensor; battery_c: "), "{said}");
        // A temperature with nothing to hold it against: no first reading.
        let said = why(&cool(&[]), &readings(&[("skin_c", 31.0)]));
        assert!(said.contains("skin_c: nothing to hold it against"), "{said}");
        // Capped clocks are a reason to wait whatever else is silent.
        assert!(matches!(known.look(&readings(&[("cpu_big_allowed_mhz", 1600.0)])), Warmth::Warm(_)));
    }

    #[test]
    fn a_phone_that_came_warm_has_to_cool_below_androids_first_threshold() {
        let cool = cool(&[("skin_c", 42.0)]);
        assert!(warm(&cool, &[("skin_c", 38.0)]).is_some());
        assert_eq!(warm(&cool, &[("skin_c", 37.0)]), None);
    }

    #[test]
    fn a_capped_clock_is_waited_for_once() {
        let mut cool = cool(&[]);
        let capped = [("cpu_big_allowed_mhz", 1600.0), ("cpu_cooling_level", 3.0), ("thermal_status", 0.0)];
        let said = warm(&cool, &capped).unwrap();
        assert_eq!(said, "big cores at 50 % of their clock, its processor is throttled");
        cool.give_up(&readings(&capped));
        assert_eq!(warm(&cool, &capped), None, "it is the phone's own");
        assert!(warm(&cool, &[("cpu_big_allowed_mhz", 1300.0)]).is_some(), "and this is not");
        assert!(warm(&cool, &[("thermal_status", 1.0)]).is_some());
    }
}
