//! `ditbench devices`: what can run here, and for what cannot, why and how to get it.

use anyhow::Result;
use ditbench_graph::weights::Scheme;

use super::Common;
use crate::run::Progress;
use crate::text::{left_table, show};
use ditbench_worker::registry;

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
    let library = if args.fetch {
        let progress = Progress::new(1);
        let fetched = crate::ort_library::fetch(common, &|message| progress.now(message));
        progress.finish();
        let library = fetched?;
        show(&format!("ONNX Runtime: {}\n\n", library.display()));
        Some(library)
    } else {
        match crate::ort_library::find(common) {
            // What was named and is not there is a mistake, and not a row.
            Err(error) if common.ort_lib.is_some() => return Err(error),
            found => found.ok(),
        }
    };
    let mut rows = Vec::new();
    let mut ways = Vec::new();
    let mut cures = Vec::new();
    let engines = registry::engines().map_err(anyhow::Error::msg)?;
    for name in registry::listed().chain(engines.iter().map(|row| row.name.as_str())) {
        let backend = match registry::backend_with(name, library.as_deref()) {
            Ok(backend) => backend,
            Err(why) => {
                rows.push(vec![name.to_owned(), "-".to_owned(), "no".to_owned(), String::new(), why]);
                continue;
            }
        };
        for device in backend.devices() {
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
        for scheme in Scheme::ALL {
            for (index, variant) in backend.variants(scheme).into_iter().enumerate() {
                let default = if index == 0 { "default" } else { "" };
                ways.push(vec![
                    format!("{name}:{}", variant.name),
                    scheme.name().to_owned(),
                    default.to_owned(),
                    variant.about,
                ]);
            }
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
