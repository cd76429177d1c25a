//! `ditbench completions` and `ditbench man`: what a shell and a reader of manuals want, made from the parser itself.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::text::{data, show};

/// Arguments of `ditbench completions`.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Arguments of `ditbench man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Folder to write a page per command to [default: print the page of ditbench itself]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints a shell's completion script.
///
/// # Errors
/// None of its own.
pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ditbench", &mut script);
    data(&String::from_utf8(script).context("the completion script is not UTF-8")?);
    Ok(())
}

/// Prints the man page, or writes all of them.
///
/// # Errors
/// A folder that cannot be made or written.
pub fn man(args: &ManArgs) -> Result<()> {
    match &args.dir {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page).context("making the man page")?;
            data(&String::from_utf8(page).context("the man page is not UTF-8")?);
        }
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
            clap_mangen::generate_to(Cli::command(), dir)
                .with_context(|| format!("cannot write man pages to {}", dir.display()))?;
            show(&format!("{}\n", dir.join("ditbench.1").display()));
        }
    }
    Ok(())
}
