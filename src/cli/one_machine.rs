//! What `tune` and `scale` have in common: a plan that is measured on one machine, and something that follows from it.

use anyhow::{Result, bail};

use crate::host::adb::{PhoneOptions, Program, choose};
use crate::plan::{PlanFile, Seconds, Target};
use crate::run::{Settings, Usual};

/// Flags of a measurement on one machine.
#[derive(Debug, clap::Args)]
pub struct OneMachine {
    /// Where to measure: local, adb (the one phone) or adb:SERIAL [default: local]
    #[arg(long, value_name = "MACHINE")]
    pub on: Option<Target>,
    #[command(flatten)]
    phone: PhoneOptions,
    /// Time limit per launch
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: Seconds,
    /// Show the plan with estimated times and memory, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Start even if a cell does not seem to fit in memory
    #[arg(long)]
    pub force: bool,
}

impl OneMachine {
    /// A run of a plan on that machine; `otherwise` says what to do with several.
    ///
    /// # Errors
    /// Several machines, or one that is not there.
    pub fn settings(&self, plan: PlanFile, usual: Usual, otherwise: &str) -> Result<Settings> {
        let wanted = self.on.clone().map(|on| vec![on]).or_else(|| plan.on.clone()).unwrap_or_default();
        let chosen = choose(&wanted, &Program::find())?;
        if chosen.len() > 1 {
            bail!("{otherwise}");
        }
        let on = chosen.into_iter().next();
        Ok(Settings { on, timeout_s: self.timeout, phone: self.phone.clone(), ..Settings::of(plan, usual) })
    }
}
