//! Callgrind's files: what a worker's marks made of an image, read part by part.
//!
//! Format: "Callgrind Format Specification" of valgrind's manual. Contract: a part's functions add up to its own total, or it is refused:
//! a file that was cut off, or of another format, is never taken for a small count.

use std::collections::BTreeMap;

use ditbench_worker::measure::valgrind::{REST, STAGE};

use super::names;

/// One part: what ran between two marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The stage's id; `None`: outside all stages.
    pub stage: Option<String>,
    /// Instructions.
    pub instructions: u64,
    /// Instructions of each function itself, by its name ([`names::of`]).
    pub functions: BTreeMap<String, u64>,
}

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallgrindError {
    /// A line that is none of the format.
    #[error("line {line} is not in callgrind's format: \"{text}\"")]
    Line {
        /// Which, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// No total at all.
    #[error("it has no line \"totals:\": it was cut off")]
    NoTotal,
    /// Something is missing in the midst.
    #[error("its functions add up to {found}, and its total is {total}")]
    Sum {
        /// What the functions have.
        found: u64,
        /// What the file says.
        total: u64,
    },
    /// It counts something else.
    #[error("it counts \"{0}\", not instructions (Ir) first")]
    Events(String),
}

/// Reads a part. `None` where no mark made it: what callgrind writes when the program ends.
///
/// # Errors
/// It is not whole, or of another format.
pub fn read(text: &str) -> Result<Option<Part>, CallgrindError> {
    let mut mark = None;
    let mut total = None;
    // Positions before the counts of a line: a line's number, with `--dump-instr` an address too.
    let mut positions = 1;
    // Files and functions each have their own numbers.
    let (mut known_files, mut known_functions) = (BTreeMap::new(), BTreeMap::new());
    let mut functions: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
    let (mut file, mut function) = ("", "");
    let mut called = false;
    for (number, line) in text.lines().enumerate() {
        let wrong = || CallgrindError::Line { line: number + 1, text: line.chars().take(80).collect() };
        if let Some(trigger) = line.strip_prefix("desc: Trigger: Client Request: ") {
            mark = Some(trigger.trim().to_owned());
        } else if let Some(all) = line.strip_prefix("totals:") {
            total = Some(all.split_whitespace().next().unwrap_or("0").parse().map_err(|_| wrong())?);
        } else if let Some(events) = line.strip_prefix("events:") {
            if events.split_whitespace().next() != Some("Ir") {
                return Err(CallgrindError::Events(events.trim().to_owned()));
            }
        } else if let Some(named) = line.strip_prefix("positions:") {
            positions = named.split_whitespace().count().max(1);
        } else if let Some(name) = line.strip_prefix("fn=") {
            function = resolve(name, &mut known_functions).ok_or_else(wrong)?;
        } else if let Some(name) = any_prefix(line, &["fl=", "fi=", "fe="]) {
            // Within a function, the file that an inlined part is from.
            file = resolve(name, &mut known_files).ok_or_else(wrong)?;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            // A name may be given in full where it is called, and only by its number later.
            resolve(name, &mut known_functions).ok_or_else(wrong)?;
        } else if let Some(name) = any_prefix(line, &["cfl=", "cfi="]) {
            resolve(name, &mut known_files).ok_or_else(wrong)?;
        } else if line.starts_with("calls=") {
            called = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            // What a call took, with all that it called, is counted where that ran.
            if !std::mem::take(&mut called) {
                let count = line.split_whitespace().nth(positions).map_or(Ok(0), str::parse::<u64>);
                let of_file = functions.entry(function).or_default().entry(file).or_default();
                *of_file += count.map_err(|_| wrong())?;
            }
        } else if !is_other(line) {
            return Err(wrong());
        }
    }
    let total: u64 = total.ok_or(CallgrindError::NoTotal)?;
    let found = functions.values().flat_map(BTreeMap::values).sum();
    if found != total {
        return Err(CallgrindError::Sum { found, total });
    }
    let stage = match mark.as_deref() {
        Some(REST) => None,
        Some(mark) => match mark.strip_prefix(STAGE) {
            Some(stage) => Some(stage.to_owned()),
            None => return Ok(None),
        },
        None => return Ok(None),
    };
    let mut named: BTreeMap<String, u64> = BTreeMap::new();
    for (function, files) in &functions {
        *named.entry(names::of(function, files)).or_default() += files.values().sum::<u64>();
    }
    Ok(Some(Part { stage, instructions: total, functions: named }))
}

fn any_prefix<'a>(line: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    prefixes.iter().find_map(|prefix| line.strip_prefix(prefix))
}

/// Lines of the format that say nothing of instructions.
fn is_other(line: &str) -> bool {
    const OTHERS: [&str; 5] = ["ob=", "rec=", "cob=", "jump=", "jcnd="];
    let key =
        |line: &str| line.split_once(':').is_some_and(|(key, _)| key.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    line.is_empty() || line.starts_with('#') || OTHERS.iter().any(|name| line.starts_with(name)) || key(line)
}

/// `(3) name` gives number 3 its name, `(3)` is that name again.
fn resolve<'a>(text: &'a str, names: &mut BTreeMap<&'a str, &'a str>) -> Option<&'a str> {
    let Some((number, name)) = text.strip_prefix('(').and_then(|rest| rest.split_once(')')) else { return Some(text) };
    match name.trim() {
        "" => names.get(number).copied(),
        name => {
            names.insert(number, name);
            Some(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part as callgrind writes it, made for this test: two functions, a call between them, a recursion, names by number.
    const PART: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 1234
cmd:  ./program worker
part: 2


desc: I1 cache: 
desc: D1 cache: 
desc: LL cache: 

desc: Timerange: Basic block 100 - 200
desc: Trigger: Client Request: ditbench stage denoiser

positions: line
events: Ir
summary: 1150


ob=(2) /home/someone/ditbench
fl=(3) /a/src/linear.rs
fn=(7) _ZN16ditbench_kernels4simd8dispatch9with_avx217h0123456789abcdefE
0 1000
+4 20
cob=(3) /lib/libc.so.6
cfn=(9) memcpy
calls=3 0
0 100
fi=(4) /a/src/simd/avx2.rs
* 5
fe=(3)
fn=(8) walk'2
10 25

ob=(3)
fl=(5) ./string/memcpy.S
fn=(9)
0 100

totals: 1150
";

    #[test]
    fn a_part_has_its_stage_and_what_each_function_did_itself() {
        let part = read(PART).unwrap().unwrap();
        assert_eq!((part.stage.as_deref(), part.instructions), (Some("denoiser"), 1150));
        let functions: Vec<(&str, u64)> = part.functions.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        let want = [
            ("ditbench_kernels::simd::dispatch::with_avx2, linear.rs", 1025),
            ("memcpy", 100),
            ("walk, linear.rs", 25),
        ];
        assert_eq!(functions, want, "a call's own line is of what was called, and not counted twice");
        let with_addresses = PART.replace("positions: line", "positions: instr line");
        let with_addresses = with_addresses.replace("\n0 ", "\n0x1f 0 ").replace("\n+4 ", "\n+0x4 +4 ");
        let with_addresses = with_addresses.replace("\n* ", "\n* * ").replace("\n10 ", "\n0x2 10 ");
        assert_eq!(read(&with_addresses).unwrap().unwrap(), part);
    }

    #[test]
    fn what_is_outside_the_stages_has_none_and_what_no_mark_made_is_no_part() {
        let marked = |mark: &str| read(&PART.replace("Client Request: ditbench stage denoiser", mark)).unwrap();
        assert_eq!(marked("Client Request: ditbench rest").unwrap().stage, None);
        assert_eq!(marked("Client Request: somebody else's"), None);
        assert_eq!(marked("Program termination"), None);
    }

    #[test]
    fn a_file_that_is_not_whole_is_no_small_count() {
        let cut = &PART[..PART.find("totals").unwrap()];
        assert_eq!(read(cut), Err(CallgrindError::NoTotal));
        assert_eq!(read(""), Err(CallgrindError::NoTotal));
        let lost = PART.replace("* 5\n", "");
        assert_eq!(read(&lost), Err(CallgrindError::Sum { found: 1145, total: 1150 }));
        assert!(matches!(read(&PART.replace("events: Ir", "events: Dr Ir")), Err(CallgrindError::Events(_))));
        for (line, odd) in
            [("* 5", "* five"), ("* 5", "what is this"), ("fn=(9)\n0", "fn=(99)\n0"), ("fe=(3)", "fe=(98)")]
        {
            let error = read(&PART.replace(line, odd)).unwrap_err();
            assert!(matches!(error, CallgrindError::Line { .. }), "{odd}: {error}");
        }
    }
}
