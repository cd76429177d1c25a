//! Fetching what a device needs beyond its driver.

use ditbench_backend_api::{Missing, PrepareOptions};

use crate::built_in;
use crate::provider::{self, CUDA};
use crate::words::NO_DRIVER;

/// How a user asks for it.
pub(crate) const COMMAND: &str = "ditbench setup";

/// Whether there is what a provider's package drives.
fn is_drivable(name: &str) -> Result<(), Missing> {
    if name == CUDA { ditbench_nvidia::present(0, NO_DRIVER) } else { Ok(()) }
}

/// Fetches a provider's packages into the cache, unless they are there; says where they are and what they are asked for by.
///
/// # Errors
/// No driver, no package for this machine, or fetching failed; in one line, with the cure.
pub(crate) fn set_up(name: &str, force: bool, options: &PrepareOptions) -> Result<String, String> {
    if !force {
        is_drivable(name).map_err(|Missing { why, cure }| {
            format!("{name}: {why}. {cure}; to fetch it all the same, for a machine that has the device, add --force")
        })?;
    }
    let cache = (options.cache)()?;
    let packages = provider::packages(name).map_err(|why| format!("{name}: {why}"))?;
    let mut library = None;
    for package in packages {
        let place = package.fetch(&cache, options.stop, |step| (options.say)(step.to_string()));
        let place = place.map_err(|error| error.to_string())?;
        library = library.or(Some(place));
    }
    let library = library.unwrap_or_default();
    let device = built_in::named(name).map_or(name, |built_in| built_in.usual_name());
    Ok(format!("{}, asked for with --device {device}", library.display()))
}
