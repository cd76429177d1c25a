//! `ditbench devices`: what can run here, and for what cannot, why and how to get it.

use anyhow::{Result, bail};
use ditbench_graph::weights::Scheme;

use super::Common;
use crate::run::Progress;
use crate::text::{left_table, show};
use ditbench_worker::registry::{self, BackendFacts};

/// Arguments of `ditbench devices`.
#[derive(Debug, clap::Args)]
pub struct DevicesArgs {
    /// First fetch what can be fetched: the ONNX Runtime library
    #[arg(long)]
    fetch: bool,
}

impl DevicesArgs {
    /// Whether it waits for a package client.
    pub fn fetches(&self) -> bool {
        self.fetch
    }
}

/// Prints one row per backend and device, and the ways in which each backend runs each precision.
///
/// # Errors
/// A library that was named and is not there; a fetch that failed. What is missing is a row.
pub fn devices(args: &DevicesArgs, common: &Common) -> Result<()> {
    let known = know(args, common)?;
    let mut rows = Vec::new();
    let mut ways = Vec::new();
    let mut cures = Vec::new();
    for (name, facts) in known {
        let facts = match facts {
            Ok(facts) => facts,
            Err(why) => {
                rows.push(vec![name.to_owned(), "-".to_owned(), "no".to_owned(), String::new(), why]);
                continue;
            }
        };
        let default_on = |scheme: &str, way: &str| {
            let here = facts.devices.iter().filter(|device| device.ways.get(scheme).is_some_and(|known| known == way));
            here.map(|device| device.name.clone()).collect::<Vec<_>>().join(", ")
        };
        for scheme in Scheme::ALL {
            for (index, variant) in facts.variants.get(scheme.name()).into_iter().flatten().enumerate() {
                let there = default_on(scheme.name(), &variant.name);
                let default = match (index, there.as_str()) {
                    (0, _) => "default".to_owned(),
                    (_, "") => String::new(),
                    (_, there) => format!("default on {there}"),
                };
                ways.push(vec![
                    format!("{name}:{}", variant.name),
                    scheme.name().to_owned(),
                    default,
                    variant.about.clone(),
                ]);
            }
        }
        for device in facts.devices {
            let (state, why) = match &device.state {
                Ok(()) => ("yes", String::new()),
                Err(missing) => {
                    cures.push(format!(
                        "{name} on {}: {}. {}",
                        device.name,
                        missing.why.trim_end_matches('.'),
                        missing.cure
                    ));
                    ("no", missing.why.clone())
                }
            };
            rows.push(vec![name.to_owned(), device.name, state.to_owned(), device.about, why]);
        }
    }
    show(&left_table(&["backend", "device", "usable", "what it is", "why not"], rows));
    show("\nWays to run each precision, as --backend and --precision take them:\n");
    show(&left_table(&["backend", "precision", "", "what it does"], ways));
    if !cures.is_empty() {
        show("\nTo get what is missing:\n");
        for cure in cures {
            show(&format!("  {cure}\n"));
        }
    }
    super::phones::list();
    Ok(())
}

/// What every backend and engine can do here, or why it cannot.
type Known = Vec<(&'static str, Result<BackendFacts, String>)>;

/// Asks them all, with what was named for each, and with what is fetched first where that is asked for.
///
/// # Errors
/// A library that was named and cannot be used: a mistake, and not a row. A fetch that failed.
fn know(args: &DevicesArgs, common: &Common) -> Result<Known> {
    let mut known = Known::new();
    for name in registry::listed() {
        let progress = args.fetch.then(|| Progress::new(1));
        let prepared = common.prepare(name, args.fetch, &|message| {
            if let Some(progress) = &progress {
                progress.now(message);
            }
        });
        if let Some(progress) = progress {
            progress.finish();
        }
        let wanted = args.fetch && registry::backend(name).is_ok() || common.libraries.of(name).is_some();
        let facts = match prepared {
            Ok((facts, ready)) => {
                if let Some((what, path)) = ready.found.filter(|_| args.fetch) {
                    show(&format!("{what}: {}\n\n", path.display()));
                }
                Ok(facts)
            }
            Err(why) if wanted => bail!("{why}"),
            // What it lacks stands beside its devices.
            Err(_) => of(name),
        };
        known.push((name, facts));
    }
    let engines = registry::engines().map_err(anyhow::Error::msg)?;
    known.extend(engines.iter().map(|row| (row.name.as_str(), of(&row.name))));
    Ok(known)
}

fn of(name: &str) -> Result<BackendFacts, String> {
    Ok(BackendFacts::of(registry::backend(name)?.as_ref()))
}
