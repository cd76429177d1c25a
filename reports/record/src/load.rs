//! Reading a record from text: each way to fail is one clear line.

use super::{Run, SCHEMA_VERSION, one_line, v1};

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// The text is not JSON: truncated, or overwritten.
    #[error(
        "not a complete record: {why}. The file was cut off or damaged; restore it from a copy, or run the plan again"
    )]
    Corrupt {
        /// The parser's words, with line and column.
        why: String,
    },
    /// JSON, but not a run.
    #[error("not a record of a run: {why}. Give a run's directory or its record.json")]
    NotARun {
        /// What is missing or of the wrong type.
        why: String,
    },
    /// Written by a newer program.
    #[error(
        "the record has schema version {found}, this program reads up to {SCHEMA_VERSION}. Update ditbench, or read it with the version that wrote it{written_by}"
    )]
    TooNew {
        /// The version in the file.
        found: u64,
        /// ` (ditbench 0.3.0)`, or nothing if the record does not say.
        written_by: String,
    },
}

/// Reads a record; one of version 1 as if this program had written it.
///
/// # Errors
/// [`RecordError`]: damaged text, something else than a run, or a newer schema.
pub fn parse(text: &str) -> Result<Run, RecordError> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| RecordError::Corrupt { why: one_line(&error.to_string()) })?;
    let not_a_run = |why: &str| RecordError::NotARun { why: why.to_owned() };
    let found = value.get("schema_version").ok_or_else(|| not_a_run("it has no schema_version"))?;
    let found = found.as_u64().ok_or_else(|| not_a_run("its schema_version is not a whole number"))?;
    if found == 0 {
        return Err(not_a_run("its schema_version is 0, and the first was 1"));
    }
    if found > u64::from(SCHEMA_VERSION) {
        let writer = value.pointer("/run/tool_version").and_then(serde_json::Value::as_str);
        let written_by = writer.map(|version| format!(" (ditbench {})", one_line(version))).unwrap_or_default();
        return Err(RecordError::TooNew { found, written_by });
    }
    // Parsed again from the text, not from the value, so that the error has its line and column.
    let mut run: Run =
        serde_json::from_str(text).map_err(|error| RecordError::NotARun { why: one_line(&error.to_string()) })?;
    if found == 1 {
        v1::convert(&mut run);
    }
    Ok(run)
}
