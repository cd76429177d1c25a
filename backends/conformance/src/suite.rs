//! All cases on one backend, and the table of what came out.

use std::fmt::Write as _;
use std::path::PathBuf;

use ditbench_backend_api::{Backend, CompileOptions, MemoryMode};
use ditbench_graph::weights::Scheme;

use crate::{Case, Outcome, Verdict, cases, check, check_contract};

/// What a backend cannot do, declared by its test.
#[derive(Clone, Debug)]
pub struct Exception {
    /// The beginning of the names of the cases meant; empty for all.
    pub cases: String,
    /// The scheme meant; `None` for all.
    pub scheme: Option<Scheme>,
    /// The variant meant; `None` for all.
    pub variant: Option<String>,
    /// Why the backend cannot.
    pub why: String,
}

impl Exception {
    fn covers(&self, outcome: &Outcome) -> bool {
        outcome.case.starts_with(&self.cases)
            && self.scheme.is_none_or(|scheme| scheme == outcome.scheme)
            && self.variant.as_ref().is_none_or(|variant| *variant == outcome.variant)
    }
}

/// Which cases to run, and how.
#[derive(Clone, Debug)]
pub struct Suite {
    schemes: Vec<Scheme>,
    variants: Option<Vec<String>>,
    only: Option<String>,
    exceptions: Vec<Exception>,
    options: CompileOptions,
}

impl Suite {
    /// All cases, all schemes, all variants of the backend, on `cpu` with one thread. `cache` is a folder for files that
    /// the backend makes; give each test a fresh one.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        let options = CompileOptions::cpu("", 1, cache);
        Self { schemes: Scheme::ALL.to_vec(), variants: None, only: None, exceptions: Vec::new(), options }
    }

    /// Only these schemes. One that the backend has no variant for is passed over: what a backend offers is its own to
    /// say, and its tests'.
    pub fn schemes(mut self, schemes: &[Scheme]) -> Self {
        self.schemes = schemes.to_vec();
        self
    }

    /// Only these variants.
    pub fn variants(mut self, variants: &[&str]) -> Self {
        self.variants = Some(variants.iter().map(|&name| name.to_owned()).collect());
        self
    }

    /// Only cases whose name begins so.
    pub fn only(mut self, prefix: &str) -> Self {
        self.only = Some(prefix.to_owned());
        self
    }

    /// On this device.
    pub fn device(mut self, device: &str) -> Self {
        self.options.device = device.to_owned();
        self
    }

    /// With this many threads.
    pub fn threads(mut self, threads: usize) -> Self {
        self.options.threads = threads;
        self
    }

    /// In this memory mode.
    pub fn memory(mut self, memory: MemoryMode) -> Self {
        self.options.memory = memory;
        self
    }

    /// Declares that cases whose names begin with `cases` are unsupported, and why.
    pub fn except(mut self, cases: &str, scheme: Option<Scheme>, variant: Option<&str>, why: &str) -> Self {
        self.exceptions.push(Exception {
            cases: cases.to_owned(),
            scheme,
            variant: variant.map(str::to_owned),
            why: why.to_owned(),
        });
        self
    }

    /// Runs the suite. Outcomes in order of variant within scheme, then of case; last, one failure for each exception
    /// that covers cases of this run and was needed by none of them.
    pub fn run(&self, backend: &dyn Backend) -> Vec<Outcome> {
        let all = cases();
        let wanted = |name: &str| self.only.as_ref().is_none_or(|prefix| name.starts_with(prefix));
        let mut outcomes = Vec::new();
        for &scheme in &self.schemes {
            for variant in backend.variants(scheme) {
                if self.variants.as_ref().is_some_and(|names| !names.contains(&variant.name)) {
                    continue;
                }
                let options = CompileOptions { variant: variant.name, ..self.options.clone() };
                let chosen = all.iter().filter(|case| wanted(&case.name));
                outcomes.extend(chosen.map(|case| check(backend, case, scheme, &options)));
                let contract = contract_case(&all).map(|case| check_contract(backend, case, scheme, &options));
                outcomes.extend(contract.into_iter().flatten().filter(|outcome| wanted(&outcome.case)));
            }
        }
        let stale = self.declare(&mut outcomes);
        outcomes.extend(stale);
        outcomes
    }

    /// Marks what was declared, and gives a failure for each exception that was not needed.
    fn declare(&self, outcomes: &mut [Outcome]) -> Vec<Outcome> {
        let mut stale = Vec::new();
        for exception in &self.exceptions {
            let (mut covered, mut needed) = (None, false);
            for outcome in outcomes.iter_mut().filter(|outcome| exception.covers(outcome)) {
                covered = Some((outcome.scheme, outcome.variant.clone()));
                if let Verdict::Unsupported { declared, .. } = &mut outcome.verdict {
                    needed = true;
                    declared.get_or_insert_with(|| exception.why.clone());
                }
            }
            if let (Some((scheme, variant)), false) = (covered, needed) {
                let why = format!("declared as unsupported ({}), but every case of it ran: remove it", exception.why);
                let name = format!("exception {}", exception.cases);
                stale.push(Outcome::new(&name, scheme, &variant, Verdict::Failed { why }));
            }
        }
        stale
    }
}

/// The case that stands for all in checks of the contract: it has a quantized linear and two inputs.
fn contract_case(cases: &[Case]) -> Option<&Case> {
    cases.iter().find(|case| case.name == "linear.gated")
}

/// Fails with a table of the failures, if there is one or if nothing was run.
///
/// # Panics
/// If an outcome does not stand, or there is none at all.
pub fn assert_passed(outcomes: &[Outcome]) {
    assert!(!outcomes.is_empty(), "no case was run: neither schemes, variants nor names leave any");
    let failed: Vec<Outcome> = outcomes.iter().filter(|outcome| !outcome.is_ok()).cloned().collect();
    assert!(failed.is_empty(), "{} of {} cases failed\n{}", failed.len(), outcomes.len(), table(&failed));
}

/// Outcomes as lines of text: what, how far off, how far is allowed, and the verdict.
pub fn table(outcomes: &[Outcome]) -> String {
    let width = outcomes.iter().map(|outcome| outcome.case.len()).max().unwrap_or(0).max("case".len());
    let number = |x: Option<f64>| x.map_or_else(|| "-".to_owned(), |x| format!("{x:.1e}"));
    let mut text = format!(
        "{:width$}  {:8}  {:10}  {:>8}  {:>8}  {:>8}  verdict\n",
        "case", "scheme", "variant", "rel. L2", "allowed", "max abs"
    );
    for outcome in outcomes {
        let verdict = match &outcome.verdict {
            Verdict::Passed => "passed".to_owned(),
            Verdict::Unsupported { why, declared: Some(reason) } => {
                format!("unsupported, as declared ({reason}): {why}")
            }
            Verdict::Unsupported { why, declared: None } => format!("unsupported, not declared: {why}"),
            Verdict::Failed { why } => format!("FAILED: {why}"),
        };
        let _ = writeln!(
            text,
            "{:width$}  {:8}  {:10}  {:>8}  {:>8}  {:>8}  {verdict}",
            outcome.case,
            outcome.scheme.name(),
            outcome.variant,
            number(outcome.found.map(|found| found.relative_l2)),
            number(outcome.allowed),
            number(outcome.found.map(|found| found.max_abs)),
        );
    }
    text
}
