//! Series: the same cell on the same machine, one metric, from run to run. And how their points are taken from a record.
//!
//! Contract: two points are in one series only if everything that makes a cell different is the same, down to threads, batch
//! and text tokens, the machine has the same [`fingerprint`], and it was treated in the same way ([`conditions`]). A metric that a cell lacks gives no point, never a zero;
//! cells that did not end well give none. The values are those of the table, so a report and a series say the same.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::HistoryError;
use crate::metric::{Basis, Detail, Followed, Metric};
use crate::record::{Cell, CellKey, Condition, Counted, Machine, Reading, Run, Status, Steady, conditions, v1};
use crate::table::{self, Row};

/// What a series is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct SeriesKey {
    /// [`fingerprint`] of the machine.
    pub machine: String,
    /// The cell. Ids of series are made of it as version 1 of records wrote it: what is added to a key goes into its name.
    #[serde(serialize_with = "v1::serialize_key")]
    pub cell: CellKey,
    /// What was unusual in how it was measured ([`conditions::unusual`]), and what counted; empty as a rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub conditions: String,
    /// What is followed.
    #[serde(serialize_with = "series_id")]
    pub metric: Metric,
}

/// The ids of series are made of a key as JSON, in which a number goes by [`Followed::As`]'s id.
fn series_id<S: Serializer>(metric: &Metric, serializer: S) -> Result<S::Ok, S::Error> {
    let id = metric.series_id();
    serializer.serialize_str(id.ok_or_else(|| serde::ser::Error::custom(format!("{metric} is not followed")))?)
}

/// `<machine>/<cell id>/<metric>`, and the conditions in brackets where they are unusual: what command lines and error messages
/// call it.
impl fmt::Display for SeriesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.machine, self.cell.id(), self.metric)?;
        if self.conditions.is_empty() { Ok(()) } else { write!(f, " ({})", self.conditions) }
    }
}

/// One run's value in a series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// [`crate::record::RunInfo::id`].
    pub run: String,
    /// When that run began, RFC 3339 in UTC.
    pub created: String,
    /// The source revision that was measured; `None` where the record does not say.
    pub revision: Option<String>,
    /// Whether the source had changes that no commit holds; `None` where the record does not say.
    pub dirty: Option<bool>,
    /// The compiler that built it; `None` where the record does not say.
    pub toolchain: Option<String>,
    /// The value, finite; the unit is in [`Metric::name`].
    pub value: f64,
    /// Lower end of its interval (see [`crate::estimate`]); `None` where there is none.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// Launches that ended well.
    pub launches: u32,
    /// How far the value can be trusted: what the interval is of, what a latent was compared with, what was not steady.
    pub detail: String,
}

/// What a record gives: its machine, and a point for each of its series.
#[derive(Clone, Debug, PartialEq)]
pub struct Extract {
    /// [`fingerprint`] of its machine.
    pub machine: String,
    /// [`describe`] of its machine.
    pub description: String,
    /// Cells that ended well.
    pub cells_ok: u32,
    /// Cells that did not.
    pub cells_failed: u32,
    /// By key, so that every writer inserts in the same order.
    pub points: BTreeMap<SeriesKey, Point>,
}

/// Takes the points of a record.
///
/// # Errors
/// [`HistoryError::Unfit`] where the run has no id, no time in UTC, or two cells of one key: such a record has no place in a
/// series.
pub fn extract(run: &Run) -> Result<Extract, HistoryError> {
    let unfit = |why: String| HistoryError::Unfit { run: run.run.id.clone(), why };
    if run.run.id.trim().is_empty() {
        return Err(unfit("it has no id".into()));
    }
    if instant(&run.run.created).is_none() {
        return Err(unfit(format!(
            "it began at \"{}\", which is not a time in UTC (2026-11-23T16:15:00Z)",
            run.run.created
        )));
    }
    let machine = fingerprint(&run.machine);
    let git = run.run.git.value();
    let table = table::of_runs(&[run]);
    let mut points = BTreeMap::new();
    for (index, (cell, row)) in run.cells.iter().zip(&table.rows).enumerate() {
        if run.cells[..index].iter().any(|other| other.key == cell.key) {
            return Err(unfit(format!("it has two cells named {}", cell.key)));
        }
        if !row.has_figures() {
            continue;
        }
        let launches = cell.good_launches().count();
        let conditions = conditions::unusual(run, Some(cell));
        for metric in Metric::followed() {
            // A record of absurd numbers can sum to infinity, which no plot or median can use.
            let Some(value) = row.value(metric).filter(|value| value.is_finite()) else { continue };
            let Followed::As { detail: of, .. } = metric.definition().history else { continue };
            let estimate = row.image_s.value().filter(|_| of == Detail::Interval);
            let conditions =
                if metric.basis() == Basis::Counted { of_count(&conditions, cell) } else { conditions.clone() };
            let key = SeriesKey { machine: machine.clone(), cell: cell.key.clone(), conditions, metric };
            let point = Point {
                run: run.run.id.clone(),
                created: run.run.created.clone(),
                revision: git.map(|git| git.revision.clone()),
                dirty: git.map(|git| git.dirty),
                toolchain: Condition::Toolchain.value(run, None),
                value,
                low: estimate.and_then(|estimate| estimate.low).filter(|low| low.is_finite()),
                high: estimate.and_then(|estimate| estimate.high).filter(|high| high.is_finite()),
                launches: u32::try_from(launches).unwrap_or(u32::MAX),
                detail: detail(of, cell, row),
            };
            points.insert(key, point);
        }
    }
    let ok = run.cells.iter().filter(|cell| cell.status == Status::Ok).count();
    let count = |cells: usize| u32::try_from(cells).unwrap_or(u32::MAX);
    Ok(Extract {
        machine,
        description: describe(&run.machine),
        cells_ok: count(ok),
        cells_failed: count(run.cells.len() - ok),
        points,
    })
}

/// The conditions of a count: another simulator, or one that has other kernels run, counts something else.
fn of_count(conditions: &str, cell: &Cell) -> String {
    let counted = cell.counted.as_ref().and_then(Reading::value).map(Counted::of_what).unwrap_or_default();
    [conditions, &counted].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What a point says of itself.
fn detail(of: Detail, cell: &Cell, row: &Row) -> String {
    match of {
        Detail::Nothing => String::new(),
        Detail::Interval => {
            let launches = cell.good_launches().count();
            let steady = cell.good_launches().filter(|launch| launch.steady.state == Steady::Steady).count();
            let interval = row.image_s.value().map(|estimate| estimate.interval.clone()).unwrap_or_default();
            if steady < launches {
                format!("{interval}; {steady} of {launches} launches were steady")
            } else {
                interval
            }
        }
        Detail::Source => row.peak_source.to_owned(),
        Detail::Reference => row.reference.value().map(|reference| format!("against {reference}")).unwrap_or_default(),
    }
}

/// The parts of an instant that order it: whole seconds as text, then the fraction's digits. `None` unless it is written
/// `YYYY-MM-DDTHH:MM:SS[.fraction]Z`.
fn instant(time: &str) -> Option<(&str, &str)> {
    const SHAPE: &str = "dddd-dd-ddTdd:dd:dd";
    let rest = time.strip_suffix('Z')?;
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let fits = whole.len() == SHAPE.len()
        && whole.bytes().zip(SHAPE.bytes()).all(|(c, want)| if want == b'd' { c.is_ascii_digit() } else { c == want });
    let digits = fraction.bytes().all(|c| c.is_ascii_digit());
    (fits && digits).then(|| (whole, fraction.trim_end_matches('0')))
}

/// What runs are ordered by: time, then id.
pub(super) fn order<'a>(created: &'a str, run: &'a str) -> impl Ord + use<'a> {
    (instant(created), run)
}

/// Puts points in the order of their runs.
pub(super) fn sort(points: &mut [Point]) {
    points.sort_by(|a, b| order(&a.created, &a.run).cmp(&order(&b.created, &b.run)));
}

/// Which machines count as the same: 16 hex digits of the SHA-256 of the processor's name, architecture, cores, threads, memory
/// in whole GiB (a kernel's update moves it by a few MiB) and operating system. A new operating system starts new series: it
/// brings another kernel, allocator and mathematical library. Readings that are not there count as such.
pub fn fingerprint(machine: &Machine) -> String {
    let words = |reading: &Reading<String>| reading.value().cloned().unwrap_or_else(|| "unknown".into());
    let number = |reading: Option<u64>| reading.map_or_else(|| "unknown".into(), |value| value.to_string());
    let parts = [
        words(&machine.cpu_model),
        machine.architecture.clone(),
        number(machine.physical_cores.value().map(|cores| u64::from(*cores))),
        number(machine.logical_cores.value().map(|cores| u64::from(*cores))),
        number(machine.memory_bytes.value().map(|bytes| gib(*bytes))),
        words(&machine.os),
    ];
    let mut hash = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts run together to the same text.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..8])
}

/// Bytes in whole GiB, to the nearest.
fn gib(bytes: u64) -> u64 {
    bytes.saturating_add(1 << 29) >> 30
}

/// The machine in a line: what [`fingerprint`] is made of.
pub fn describe(machine: &Machine) -> String {
    let plural = |count: u32, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let (cores_of, threads_of) = (|count| plural(count, "core"), |count| plural(count, "thread"));
    let mut line = machine.cpu_model.value().cloned().unwrap_or_else(|| "processor not known".into());
    if !machine.architecture.is_empty() {
        let _ = write!(line, " ({})", machine.architecture);
    }
    match (machine.physical_cores.value(), machine.logical_cores.value()) {
        (Some(cores), Some(threads)) => drop(write!(line, ", {}, {}", cores_of(*cores), threads_of(*threads))),
        (None, Some(threads)) => drop(write!(line, ", {}", threads_of(*threads))),
        (Some(cores), None) => drop(write!(line, ", {}", cores_of(*cores))),
        (None, None) => {}
    }
    if let Some(bytes) = machine.memory_bytes.value() {
        let _ = write!(line, ", {} GiB", gib(*bytes));
    }
    if let Some(os) = machine.os.value() {
        let _ = write!(line, ", {os}");
    }
    line
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::golden;

    #[test]
    fn values_are_the_tables() {
        let run = golden();
        let found = extract(&run).unwrap();
        assert_eq!((found.cells_ok, found.cells_failed), (3, 5));
        let row = &table::of_runs(&[&run]).rows[1];
        let find = |metric| {
            let key =
                SeriesKey { machine: found.machine.clone(), cell: row.key.clone(), conditions: String::new(), metric };
            found.points.get(&key)
        };
        let at = |metric| find(metric).unwrap();
        let image = at(Metric::IMAGE);
        assert!(image.low.unwrap() <= image.value && image.value <= image.high.unwrap());
        assert_eq!(image.launches, 1);
        for metric in Metric::followed() {
            assert_eq!(find(metric).map(|point| point.value), row.value(metric), "{metric}");
        }
        assert!(found.points.values().all(|point| point.value.is_finite()));
        // One image in one launch: a first image, and no steady one.
        let nano = |metric| found.points.keys().any(|key| key.cell.model == "nano" && key.metric == metric);
        assert!(nano(Metric::FIRST_IMAGE) && !nano(Metric::IMAGE));
    }

    #[test]
    fn counts_by_another_simulator_or_of_other_kernels_have_a_series_of_their_own() {
        let key = |by: &str, kernels: &str| {
            let mut run = golden();
            let cell = run.cells.iter_mut().find(|cell| cell.has_result()).unwrap();
            let kernels = Some(kernels.to_owned());
            cell.counted = Some(Reading::Ok(Counted { by: by.into(), kernels, instructions: 7, ..Counted::default() }));
            let points = extract(&run).unwrap().points;
            let of_images = points.keys().find(|key| key.metric == Metric::IMAGE).unwrap();
            assert_eq!(of_images.conditions, "", "times know nothing of it");
            points.into_keys().find(|key| key.metric == Metric::COUNTED).unwrap()
        };
        let one = key("callgrind of valgrind-3.19.0", "avx2");
        assert_eq!(one.conditions, "callgrind of valgrind-3.19.0 (avx2)");
        assert_eq!(one, key("callgrind of valgrind-3.19.0", "avx2"));
        assert_ne!(one, key("callgrind of valgrind-3.24.0", "avx2"));
        assert_ne!(one, key("callgrind of valgrind-3.19.0", "scalar"));
    }

    #[test]
    fn what_has_no_place_in_a_series_is_refused() {
        let refused = |change: &dyn Fn(&mut Run)| {
            let mut run = golden();
            change(&mut run);
            extract(&run).unwrap_err().to_string()
        };
        assert!(refused(&|run| run.run.id.clear()).contains("no id"));
        assert!(refused(&|run| run.run.created = "2026-11-23T16:15:00+01:00".into()).contains("UTC"));
        assert!(refused(&|run| run.cells.push(run.cells[0].clone())).contains("two cells"));
    }

    #[test]
    fn a_machine_is_what_it_is_and_not_how_it_feels() {
        let machine = golden().machine;
        let same = |change: &dyn Fn(&mut Machine)| {
            let mut other = machine.clone();
            change(&mut other);
            fingerprint(&other) == fingerprint(&machine)
        };
        // Computed apart, in Python. Another value would break every series in two.
        assert_eq!(fingerprint(&machine), "16697075adf8bbd3");
        assert!(same(&|m| m.memory_available_bytes = Reading::Ok(1)));
        assert!(same(&|m| m.memory_bytes = Reading::Ok(m.memory_bytes.value().unwrap() - (8 << 20))));
        assert!(!same(&|m| m.memory_bytes = Reading::Ok(32 << 30)));
        assert!(!same(&|m| m.logical_cores = Reading::Ok(4)));
        assert!(!same(&|m| m.os = Reading::Ok("another".into())));
        assert!(!same(&|m| m.cpu_model = Reading::absent("not said")));
        assert!(describe(&machine).contains("2 threads, 16 GiB"), "{}", describe(&machine));
    }

    #[test]
    fn points_are_in_the_order_of_time() {
        let point = |created: &str, run: &str| Point {
            run: run.into(),
            created: created.into(),
            revision: None,
            dirty: None,
            toolchain: None,
            value: 1.0,
            low: None,
            high: None,
            launches: 1,
            detail: String::new(),
        };
        let mut points = vec![
            point("2026-11-23T16:15:01Z", "d"),
            point("2026-11-23T16:15:00.25Z", "c"),
            point("2026-11-23T16:15:00Z", "b"),
            point("2026-11-23T16:15:00.0Z", "a"),
        ];
        sort(&mut points);
        let order: String = points.iter().map(|point| point.run.as_str()).collect();
        assert_eq!(order, "abcd");
        for bad in [
            "",
            "2026-11-23",
            "2026-11-23T16:15:00",
            "2026-11-23 16:15:00Z",
            "2026-11-23T16:15:00.xZ",
            "ä26-11-23T16:15:00Z",
        ] {
            assert_eq!(instant(bad), None, "{bad}");
        }
    }
}
