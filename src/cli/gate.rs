//! What the commands that end with a verdict share: thresholds in, faces out, an exit code.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use ditbench_reports::verdict::faces::{self, markdown::Room};
use ditbench_reports::verdict::noise::Noise;
use ditbench_reports::verdict::{Difference, Gate, Options, Verdict};

use super::Common;
use crate::text::show;

/// How to judge, and where the verdict goes.
#[derive(Clone, Debug, clap::Args)]
pub struct GateArgs {
    /// Thresholds, with reasons [default: gate.toml in this folder if there is one, else the built-in gate]
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// This machine's noise, as `ditbench aa` stored it; `none` for the gate's own thresholds [default: what `aa` last stored
    /// here]
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Differences between the records to allow; the verdict names them: schema, machine, workload, build,
    /// conditions
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    allow: Vec<Difference>,
    /// Show every number, not only the strict and the notable ones
    #[arg(long)]
    all: bool,
    /// Write the verdict as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write it as Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write it as a page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write it as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print GitHub annotations, and add the summary of the job [default in GitHub Actions]
    #[arg(long, env = "GITHUB_ACTIONS", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    github: bool,
}

/// The name of the verdict's page.
const PAGE: &str = "verdict.html";

/// Where `aa` keeps a machine's noise.
pub fn noise_file(cache: &Path) -> PathBuf {
    cache.join("noise.json")
}

impl GateArgs {
    /// The thresholds, with the machine's noise where there is any.
    ///
    /// # Errors
    /// A gate or a noise file that cannot be read, with the place and the cure.
    pub fn options(&self, common: &Common) -> Result<Options> {
        let usual = Path::new("gate.toml");
        // Whatever has that name is meant: if it cannot be read, that is said, and no other gate used in its place.
        let file = self.gate.as_deref().or_else(|| std::fs::symlink_metadata(usual).is_ok().then_some(usual));
        let gate = match file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read the gate {}", file.display()))?;
                Gate::parse(&text).with_context(|| file.display().to_string())?
            }
            None => Gate::default(),
        };
        let noise = match &self.noise {
            Some(word) if word.as_os_str() == "none" => None,
            Some(file) => Some(read_noise(file)?),
            // Without a home folder `aa` has kept nothing.
            None => match crate::paths::cache_place(common.cache.as_ref()) {
                Ok(cache) => read_noise_if_there(&noise_file(&cache))?,
                Err(_) => None,
            },
        };
        let allow = self.allow.iter().copied().collect();
        Ok(Options { gate, noise, allow, ..Options::default() })
    }

    /// Whether a difference is allowed.
    pub fn allows(&self, difference: Difference) -> bool {
        self.allow.contains(&difference)
    }

    /// Writes the faces that were asked for, and those that belong into `dir`; then prints the verdict, whatever became of
    /// the files.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn publish(&self, verdict: &Verdict, dir: Option<&Path>) -> Result<ExitCode> {
        let kept = self.keep(verdict, dir);
        show(&faces::text::of_verdict(verdict, self.all));
        if let (Some(dir), Ok(())) = (dir, &kept) {
            show(&format!("\n{}\n", dir.join(PAGE).display()));
        }
        if self.github {
            show(&faces::github::annotations(verdict));
        }
        kept.map(|()| ExitCode::from(verdict.exit_code()))
    }

    fn keep(&self, verdict: &Verdict, dir: Option<&Path>) -> Result<()> {
        let whole = self.whole(dir);
        let markdown = || faces::markdown::of_verdict(verdict, Room::Comment, &whole);
        let junit = || faces::junit::of_verdict(verdict).context("writing JUnit XML");
        if let Some(dir) = dir {
            write(&dir.join("verdict.json"), &faces::json(verdict))?;
            write(&dir.join("verdict.md"), &markdown())?;
            write(&dir.join("junit.xml"), &junit()?)?;
            write(&dir.join(PAGE), &faces::html::of_verdict(verdict))?;
        }
        if let Some(file) = &self.junit {
            write(file, &junit()?)?;
        }
        if let Some(file) = &self.markdown {
            write(file, &markdown())?;
        }
        if let Some(file) = &self.html {
            write(file, &faces::html::of_verdict(verdict))?;
        }
        if let Some(file) = &self.json {
            write(file, &faces::json(verdict))?;
        }
        if let Some(file) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| self.github) {
            append(Path::new(&file), &faces::github::summary(verdict, &whole))?;
        }
        Ok(())
    }

    /// Where the whole verdict is, for the faces that may have to leave something out.
    fn whole(&self, dir: Option<&Path>) -> String {
        let named = [&self.html, &self.json, &self.junit].into_iter().flatten().map(|file| file.display().to_string());
        let files: Vec<String> = dir.map(|dir| dir.join(PAGE).display().to_string()).into_iter().chain(named).collect();
        if files.is_empty() {
            "`ditbench compare` writes everything with --out DIR".to_owned()
        } else {
            format!("everything is in {}", files.join(", "))
        }
    }
}

fn read_noise(file: &Path) -> Result<Noise> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read the noise {}", file.display()))?;
    Noise::parse(&text).with_context(|| file.display().to_string())
}

fn read_noise_if_there(file: &Path) -> Result<Option<Noise>> {
    match std::fs::symlink_metadata(file).map_err(|error| error.kind()) {
        Err(ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        _ => read_noise(file).context("for the gate's own thresholds, use --noise none").map(Some),
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn append(file: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    opened
        .and_then(|mut out| out.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}
