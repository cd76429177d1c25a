//! Opening the machine that a run was asked to run on.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::Settings;
use super::resolve::{Resolved, resolve};
use super::yardstick;
use crate::environment::Common;
use crate::host::adb::{Phone, Program};
use crate::host::{Host, ThisMachine};
use crate::plan::{Cores, Target, Threads};

/// The machine of a run.
///
/// # Errors
/// A phone that cannot be used, and what to do.
pub fn open(settings: &Settings, run: &str) -> Result<Box<dyn Host>> {
    match &settings.on {
        None | Some(Target::Local) => {
            Ok(Box::new(ThisMachine::new(settings.telemetry, settings.sustained_s.is_some())))
        }
        Some(Target::Phone(serial)) => {
            let say = |message: String| crate::text::tell(&message);
            let wanted = settings.plan.clusters();
            Ok(Box::new(Phone::open(Arc::new(Program::find()), serial, &settings.phone, &wanted, run, &say)?))
        }
        Some(other) => bail!("\"{other}\" may be several phones, but this run is for one"),
    }
}

/// The cells of a run, as that machine can run them.
///
/// # Errors
/// A mistake in the plan.
pub fn resolve_for(settings: &Settings, host: &mut dyn Host, common: &Common) -> Result<Vec<Resolved>> {
    let common = &common.with_providers(settings.plan.ep.as_deref());
    let mut cells = {
        let cores = Cores { count: host.cores(), cpus_of: &|cluster| host.cpus_of(cluster) };
        settings.plan.cells_on(&cores)?
    };
    // A brief run compares nothing, and one that judges pictures has references of its own.
    if !settings.brief && settings.judging.is_none() {
        yardstick::add(&mut cells, Threads::nearest(host.cores()));
    }
    if let Some(shard) = settings.shard {
        cells = shard.take(cells);
        if cells.is_empty() {
            bail!("part {shard} of the plan has no cells: the plan has fewer cells than parts");
        }
    }
    let mut resolved = resolve(cells, host, common, &|message| crate::text::tell(&message))?;
    yardstick::drop_idle(&mut resolved);
    Ok(resolved)
}
