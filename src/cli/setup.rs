//! `ditbench setup`: fetches what a device needs beyond its driver.

use anyhow::{Result, bail};
use ditbench_backend_api::{Named, PrepareOptions};
use ditbench_worker::{interrupt, registry};

use super::Common;
use crate::run::Progress;
use crate::text::show;

/// Arguments of `ditbench setup`.
#[derive(Debug, clap::Args)]
pub struct SetupArgs {
    /// What to set up: webgpu (a GPU of any make), qnn (Qualcomm's NPU; on x86-64 a simulator of it), openvino (Intel's
    /// processors, GPUs and NPUs), cuda (NVIDIA's GPUs; 1.3 GB)
    #[arg(value_name = "DEVICE", required = true)]
    devices: Vec<String>,
    /// Fetch even if the device's driver is missing here, as when preparing a system image for another machine
    #[arg(long)]
    force: bool,
}

/// Fetches each.
///
/// # Errors
/// No such device; no package for this machine, or no driver; fetching failed.
pub fn setup(args: &SetupArgs, common: &Common) -> Result<()> {
    let mut known = Vec::new();
    for backend in registry::listed().filter_map(|name| registry::backend(name).ok()) {
        known.extend(backend.setups().iter().map(|name| (*name, backend.name())));
    }
    for name in &args.devices {
        let Some((_, backend)) = known.iter().find(|(known, _)| known == name) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            bail!("there is no setup for \"{name}\": choose from {}", names.join(", "));
        };
        let progress = Progress::new(1);
        let options = PrepareOptions {
            named: &Named::default(),
            cache: &|| crate::paths::cache(common.cache.as_ref()).map_err(|error| crate::text::causes(&error)),
            fetch: true,
            say: &|message| progress.now(message),
            stop: &interrupt::requested,
        };
        let done = registry::backend(backend).and_then(|backend| backend.set_up(name, args.force, &options));
        progress.finish();
        match done {
            Ok(what) => show(&format!("{name}: {what}\n")),
            Err(why) => bail!("{why}"),
        }
    }
    Ok(())
}
