//! A record on its way into a store: its text, what it says, its hash; and what to do when one of the same id is there.

use sha2::{Digest, Sha256};

use super::series::{self, Extract};
use super::{HistoryError, Imported};
use crate::record::{self, Run};

/// A record that fits into a store.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    /// The text, kept as it is.
    pub text: &'a str,
    /// What it says.
    pub run: Run,
    /// Its points.
    pub extract: Extract,
    /// SHA-256 of `text` in hex: damage to the text in the store shows.
    pub text_sha256: String,
    /// SHA-256 of what this version of the program reads in the text, however it is laid out: two files of one record are one
    /// record. Another version, which knows of more fields, has another.
    pub content_sha256: String,
}

/// Reads a record and takes its points.
pub(super) fn prepare(text: &str) -> Result<Prepared<'_>, HistoryError> {
    let run = record::parse(text).map_err(|source| HistoryError::Record { source })?;
    let extract = series::extract(&run)?;
    let content_sha256 = sha256(&to_text(&run)?);
    Ok(Prepared { text, extract, text_sha256: sha256(text), content_sha256, run })
}

/// The text of a record.
pub(super) fn to_text(run: &Run) -> Result<String, HistoryError> {
    serde_json::to_string(run)
        .map_err(|error| HistoryError::Unfit { run: run.run.id.clone(), why: format!("it is not JSON: {error}") })
}

/// SHA-256 in hex.
pub(super) fn sha256(text: &str) -> String {
    series::hex(&Sha256::digest(text))
}

/// A record that is in the store under an id.
pub(super) struct Known {
    /// As [`Prepared::content_sha256`].
    pub content_sha256: String,
    /// [`record::RunInfo::created`].
    pub created: String,
    /// [`record::RunInfo::finished`].
    pub finished: Option<String>,
    /// [`record::RunInfo::resumed`].
    pub resumed: i64,
}

/// What to do with a record of an id that is in the store: nothing (`Already`), or replace it (`Continued`).
///
/// A run grows: it is imported unfinished, or resumed afterwards. A later state replaces an earlier one; anything else of the same
/// id is refused, because a record that was measured must not vanish.
pub(super) fn meet(known: &Known, given: &Prepared) -> Result<Imported, HistoryError> {
    if known.content_sha256 == given.content_sha256 {
        return Ok(Imported::Already);
    }
    let info = &given.run.run;
    let conflict = |why: &str| Err(HistoryError::Conflict { run: info.id.clone(), why: why.to_owned() });
    if known.created != info.created {
        return conflict(
            "the history holds another run of the same id, begun at another time. Give one of them another id",
        );
    }
    let (before, now) = ((known.resumed, known.finished.is_some()), (i64::from(info.resumed), info.finished.is_some()));
    match before.cmp(&now) {
        std::cmp::Ordering::Less => Ok(Imported::Continued),
        std::cmp::Ordering::Greater => {
            conflict("the history holds a later state of this run. Keep that, or import this one into another history")
        }
        // Unfinished and not resumed in between: a snapshot taken while it ran. Only the newer one has cells that the other lacks,
        // and which is newer is not recorded.
        std::cmp::Ordering::Equal if !now.1 => conflict(
            "the history holds another state of this run, and neither is finished. Let it finish, then import it",
        ),
        std::cmp::Ordering::Equal => conflict(
            "the history holds a record of the same run with other content. Restore the record, or give it another id",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::golden;

    fn known(run: &Run) -> Known {
        let text = to_text(run).unwrap();
        let prepared = prepare(&text).unwrap();
        Known {
            content_sha256: prepared.content_sha256,
            created: run.run.created.clone(),
            finished: run.run.finished.clone(),
            resumed: i64::from(run.run.resumed),
        }
    }

    #[test]
    fn a_run_grows_and_never_shrinks() {
        let finished = golden();
        let mut part = finished.clone();
        part.cells.truncate(3);
        part.run.finished = None;
        let mut resumed = finished.clone();
        resumed.run.resumed = 1;
        let mut edited = finished.clone();
        edited.warnings.push("edited".into());
        let mut other = part.clone();
        other.cells.truncate(2);
        let mut namesake = finished.clone();
        namesake.run.created = "2026-11-24T00:00:00Z".into();
        let meet = |known_run: &Run, given: &Run| meet(&known(known_run), &prepare(&to_text(given).unwrap()).unwrap());
        assert_eq!(meet(&finished, &finished).unwrap(), Imported::Already);
        assert_eq!(meet(&part, &finished).unwrap(), Imported::Continued);
        assert_eq!(meet(&finished, &resumed).unwrap(), Imported::Continued);
        for (before, now, words) in [
            (&finished, &part, "later state"),
            (&resumed, &finished, "later state"),
            (&finished, &edited, "other content"),
            (&part, &other, "Let it finish"),
            (&finished, &namesake, "same id"),
        ] {
            let error = meet(before, now).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn layout_is_not_content() {
        let run = golden();
        let (short, long) = (to_text(&run).unwrap(), serde_json::to_string_pretty(&run).unwrap());
        let (a, b) = (prepare(&short).unwrap(), prepare(&long).unwrap());
        assert_eq!(a.content_sha256, b.content_sha256);
        assert_ne!(a.text_sha256, b.text_sha256);
        assert_eq!(a.run, run);
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_refused() {
        let mut run = golden();
        run.cells[0].launches[0].samples[0].total_s = f64::NAN;
        let text = to_text(&run).unwrap();
        assert!(matches!(prepare(&text), Err(HistoryError::Record { .. })));
    }
}
