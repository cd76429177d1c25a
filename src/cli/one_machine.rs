//! What `tune` and `scale` have in common: a plan that is measured on one machine, and something that follows from it.

use anyhow::{Result, bail};

use super::Common;
use super::run::PlanArgs;
use crate::host::adb::{PhoneOptions, Program, choose};
use crate::plan::{Launches, Seconds, Target};
use crate::run::{Settings, TIMEOUT, Usual};

/// The plan where no flag names cells: one group, in which everything is left open.
const OPEN: &str = "[[group]]\n";

/// Flags of a measurement on one machine.
#[derive(Debug, clap::Args)]
pub struct OneMachine {
    #[command(flatten)]
    plan: PlanArgs,
    /// At most this many launches (processes) per cell, the independent samples [default: the plan's, else 4 for scale; 10 for tune,
    /// of those cells that the decision hangs on]
    #[arg(long)]
    launches: Option<Launches>,
    /// Where to measure: local, adb (the one phone) or adb:SERIAL [default: local]
    #[arg(long, value_name = "MACHINE")]
    on: Option<Target>,
    #[command(flatten)]
    phone: PhoneOptions,
    /// Time limit per launch [default: 10m]
    #[arg(long, value_name = "TIME")]
    timeout: Option<Seconds>,
    /// Show the plan with estimated times and memory, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Start even if a cell does not seem to fit in memory
    #[arg(long)]
    pub force: bool,
}

impl OneMachine {
    /// A run of the plan on that machine; `otherwise` says what to do with several.
    ///
    /// # Errors
    /// A plan that cannot be read; several machines, or one that is not there.
    pub fn settings(&self, common: &Common, usual: Usual, otherwise: &str) -> Result<Settings> {
        let mut plan = self.plan.plan_or(OPEN, common)?;
        plan.launches = self.launches.or(plan.launches);
        let wanted = self.on.clone().map(|on| vec![on]).or_else(|| plan.on.clone()).unwrap_or_default();
        let chosen = choose(&wanted, &Program::find())?;
        if chosen.len() > 1 {
            bail!("{otherwise}");
        }
        Ok(Settings {
            on: chosen.into_iter().next(),
            timeout_s: self.timeout.unwrap_or(TIMEOUT),
            phone: self.phone.clone(),
            weights: self.plan.weights(),
            ..Settings::of(plan, usual)
        })
    }

    /// A flag that was given, and that nobody heeds where nothing is measured.
    pub fn given(&self) -> Option<&'static str> {
        // What the environment says of phones is no flag.
        let phone = PhoneOptions { phone_binary: None, ..self.phone.clone() };
        let given = [
            (!self.plan.says_nothing(), "a flag of a plan (--model, --size, --plan and the like)"),
            (self.launches.is_some(), "--launches"),
            (self.on.is_some(), "--on"),
            (phone != PhoneOptions::default(), "a flag for phones (--keep and the like)"),
            (self.timeout.is_some(), "--timeout"),
            (self.dry_run, "--dry-run"),
            (self.force, "--force"),
        ];
        given.into_iter().find(|(given, _)| *given).map(|(_, flag)| flag)
    }
}
