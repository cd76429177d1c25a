//! What else ran on the CPUs while something was measured.

use serde::{Deserialize, Serialize};

use super::Reading;

/// The kernel counts processor time in hundredths of a second, on each CPU by itself.
const TICK_S: f64 = 0.01;

/// Processor time of the CPUs that a process was allowed, over the time in which it was measured: all of the same CPUs and the same
/// time, so that one can be taken from the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignLoad {
    /// How many CPUs it was allowed.
    pub cpus: u32,
    /// Seconds looked at.
    pub wall_s: f64,
    /// Seconds in which these CPUs were busy, all together (`/proc/stat`).
    pub busy_s: f64,
    /// Seconds of these that were the worker's, its company's ([`crate::Company`]) and ditbench's own.
    pub own_s: f64,
    /// Seconds that the hypervisor gave to other machines, all together.
    pub stolen_s: f64,
    /// Seconds in which some task of this machine waited for a CPU: pressure stall information. The worker's own threads count.
    #[serde(default)]
    pub waited_s: Reading<f64>,
}

impl ForeignLoad {
    /// Processor time that was there to be had.
    fn available_s(&self) -> f64 {
        f64::from(self.cpus) * self.wall_s
    }

    fn share_of(&self, seconds: f64) -> f64 {
        if self.available_s() > 0.0 { (seconds / self.available_s()).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The share of these CPUs, 0..1, that other programs took.
    pub fn share(&self) -> f64 {
        self.share_of(self.busy_s - self.own_s)
    }

    /// The same in CPUs.
    pub fn in_cpus(&self) -> f64 {
        f64::from(self.cpus) * self.share()
    }

    /// The share of these CPUs, 0..1, that the hypervisor gave to others.
    pub fn stolen(&self) -> f64 {
        self.share_of(self.stolen_s)
    }

    /// How exactly shares are known: two ticks on each CPU, which partly even out over many. Much of a launch of a tenth of a second.
    pub fn exact_to(&self) -> f64 {
        let ticks = 2.0 * TICK_S * f64::from(self.cpus).sqrt();
        if self.available_s() > 0.0 { (ticks / self.available_s()).min(1.0) } else { 1.0 }
    }

    /// Share of the time, 0..1, in which some task waited for a CPU, where that is known.
    pub fn waited(&self) -> Option<f64> {
        let waited = *self.waited_s.value()?;
        (self.wall_s > 0.0).then(|| (waited / self.wall_s).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_cpus_that_were_allowed() {
        let load =
            ForeignLoad { cpus: 2, wall_s: 10.0, busy_s: 15.0, own_s: 10.0, stolen_s: 2.0, waited_s: Reading::Ok(4.0) };
        assert_eq!((load.share(), load.in_cpus(), load.stolen(), load.waited()), (0.25, 0.5, 0.1, Some(0.4)));
        assert!((load.exact_to() - 0.02 * 2f64.sqrt() / 20.0).abs() < 1e-12);
        // Counted in ticks, what is busy can come out a little below what we used: nothing foreign, and no negative share.
        assert_eq!(ForeignLoad { busy_s: 9.9, ..load.clone() }.share(), 0.0);
        let nothing = ForeignLoad::default();
        assert_eq!((nothing.share(), nothing.exact_to(), nothing.waited()), (0.0, 1.0, None));
    }
}
