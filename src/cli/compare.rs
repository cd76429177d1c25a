//! `ditbench compare`: a verdict on records, and on criterion's saved estimates.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use ditbench_record::store;
use ditbench_record::{Home, Run};
use ditbench_reports::history::Missing;
use ditbench_reports::history::series::fingerprint;
use ditbench_reports::verdict::{Difference, Gate, Side, compare as judge, criterion, differences};

use super::Common;
use super::gate::GateArgs;
use super::history::StoreArgs;
use crate::ab::results;

/// Arguments of `ditbench compare`.
#[derive(Debug, clap::Args)]
pub struct CompareArgs {
    /// The older run: its directory or record, store:ID, or store:latest for this machine's last run in the store before
    /// HEAD; several, separated by commas (a comma in the name of an existing run does not separate)
    #[arg(required_unless_present_any = ["criterion", "print_gate"])]
    base: Option<Names>,
    /// The newer run, named the same way
    head: Option<Names>,
    /// Criterion's folder (target/criterion) with two saved baselines: FOLDER,BASE,HEAD; HEAD is `new` for the last bench
    #[arg(long, value_name = "FOLDER,BASE,HEAD")]
    criterion: Option<Criterion>,
    /// Directory for the verdict in every format: JSON, page, Markdown, JUnit
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the built-in gate, as a start for a gate.toml, and stop
    #[arg(long)]
    print_gate: bool,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    gate: GateArgs,
}

/// Runs of one side, as they were named: one or several, separated by commas.
#[derive(Clone, Debug)]
struct Names(Vec<String>);

impl FromStr for Names {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(split(text, |name| Path::new(name).exists())))
    }
}

/// Cuts a list at its commas, but for those within the name of something that is there: the longest such name counts.
fn split(text: &str, is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends = rest.match_indices(',').map(|(at, _)| at).chain([rest.len()]);
        let first = rest.find(',').unwrap_or(rest.len());
        let end = ends.filter(|&end| is_there(&rest[..end])).last().unwrap_or(first);
        if end > 0 {
            names.push(rest[..end].to_owned());
        }
        rest = rest[end..].strip_prefix(',').unwrap_or_default();
    }
    names
}

/// Criterion's folder and two names under which its benchmarks were saved.
#[derive(Clone, Debug, PartialEq)]
struct Criterion {
    folder: PathBuf,
    base: String,
    head: String,
}

impl FromStr for Criterion {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let usage = "wants three words, as in --criterion target/criterion,main,new";
        // From the end: the folder's own name may have a comma.
        let (rest, head) = text.rsplit_once(',').ok_or(usage)?;
        let (folder, base) = rest.rsplit_once(',').ok_or(usage)?;
        if [folder, base, head].contains(&"") {
            return Err(usage);
        }
        Ok(Self { folder: folder.into(), base: base.to_owned(), head: head.to_owned() })
    }
}

/// Judges.
///
/// # Errors
/// Records that cannot be read or must not be compared.
pub fn compare(args: &CompareArgs, common: &Common) -> Result<ExitCode> {
    if args.print_gate {
        crate::text::data(&Gate::default().to_toml());
        return Ok(ExitCode::SUCCESS);
    }
    let named = |side: &Option<Names>| side.as_ref().map(|names| names.0.clone()).unwrap_or_default();
    let (base_names, head_names) = (named(&args.base), named(&args.head));
    if head_names.is_empty() && (args.criterion.is_none() || !base_names.is_empty()) {
        bail!("one run only: give two, as in `ditbench compare BASE HEAD`");
    }
    let any_conditions = args.gate.allows(Difference::Conditions);
    let head_runs = read(&head_names, &args.store, None, any_conditions)?;
    let base_runs = read(&base_names, &args.store, head_runs.first(), any_conditions)?;
    let mut base = Side::of_runs(called(&base_names), &base_runs);
    let mut head = Side::of_runs(called(&head_names), &head_runs);
    if let Some(Criterion { folder, base: before, head: after }) = &args.criterion {
        (base.benches, head.benches) = criterion::read_sides(folder, before, after)?;
        if base_names.is_empty() {
            (base.label, head.label) = (before.clone(), after.clone());
        }
    }
    let mut options = args.gate.options(common)?;
    if let Some((before, after)) = folder(&base_names).zip(folder(&head_names))
        && let (Some(base), Some(head)) = (base_runs.first(), head_runs.first())
    {
        options.apart = results::apart((before, base), (after, head))?;
    }
    let verdict = judge(&base, &head, &options)?;
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    args.gate.publish(&verdict, args.out.as_deref())
}

/// What a side is called in a verdict, which others read.
fn called(names: &[String]) -> String {
    Home::of_user().hide(&names.join(", "))
}

/// The folder of a side that is one run on the disk: there its latents are kept too.
fn folder(names: &[String]) -> Option<&Path> {
    let [name] = names else { return None };
    let path = Path::new(name);
    (!name.starts_with("store:")).then(|| if path.is_dir() { path } else { path.parent().unwrap_or(path) })
}

/// The runs of one side; `head` is the other side's first, for `store:latest`: the last run that can be held against it, which one
/// under other conditions cannot unless any will do.
fn read(names: &[String], store: &StoreArgs, head: Option<&Run>, any_conditions: bool) -> Result<Vec<Run>> {
    let one = |name: &String| match name.strip_prefix("store:") {
        None => Ok(store::read(Path::new(name))?.run),
        Some("latest") => {
            let head = head.context("store:latest can only be BASE: it is the last run on HEAD's machine")?;
            let mut store = store.open(Missing::Refuse)?;
            let machine = fingerprint(&head.machine);
            let earlier = store.runs()?.into_iter().rev().filter(|run| {
                run.machine == machine
                    && run.id != head.run.id
                    && run.created < head.run.created
                    && run.finished.is_some()
            });
            let mut others = 0;
            for run in earlier {
                let run = store.export(&run.id)?;
                let other = |(kind, _): &(Difference, String)| *kind == Difference::Conditions;
                if any_conditions || !differences(&run, head).iter().any(other) {
                    return Ok(run);
                }
                others += 1;
            }
            let under = match others {
                0 => String::new(),
                _ => format!(" under the same conditions ({others} under others; --allow conditions takes the last)"),
            };
            bail!("{} has no earlier run of this machine{under} to compare with", store.location())
        }
        Some(id) => Ok(store.open(Missing::Refuse)?.export(id)?),
    };
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_name_that_is_there_separates_nothing() {
        let there = |name: &str| ["a", "b, c", "b, c,d", "e"].contains(&name);
        let split = |text| split(text, there);
        assert_eq!(split("a"), ["a"]);
        assert_eq!(split("a,e"), ["a", "e"]);
        assert_eq!(split("b, c"), ["b, c"]);
        assert_eq!(split("a,b, c,d,e"), ["a", "b, c,d", "e"]);
        assert_eq!(split("store:1,nowhere,a"), ["store:1", "nowhere", "a"]);
        assert_eq!(split(",a,,e,"), ["a", "e"]);
    }

    #[test]
    fn criterions_folder_may_have_a_comma() {
        let of = |text: &str| text.parse::<Criterion>();
        let found = of("my, target/criterion,main,new").unwrap();
        assert_eq!(
            (found.folder.as_path(), found.base.as_str(), found.head.as_str()),
            (Path::new("my, target/criterion"), "main", "new")
        );
        assert!(of("target/criterion,main").is_err() && of("target,,new").is_err() && of("target").is_err());
    }
}
