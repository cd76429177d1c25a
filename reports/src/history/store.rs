//! The store on top of either database: what goes into which table, and what comes out.
//!
//! Contract: all of a record goes in within one transaction, or nothing. Rows are put in in one order by every writer (machine,
//! run, series by key, points by key), so that writers wait for each other and never in a circle.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Known, Prepared, meet, prepare, sha256};
use super::series::{self, Extract, Point, SeriesKey};
use super::sql::{Database, Row, Session, Value, insert};
use super::{HistoryError, HistoryStore, Imported, Integrity, RunSummary, SeriesSummary};
use crate::metric::Metric;
use crate::record::{CellKey, Condition, one_line, v1};

/// A store in a database.
pub(super) struct Store<D> {
    pub database: D,
}

const RUN_COLUMNS: [&str; 14] = [
    "id",
    "created",
    "finished",
    "resumed",
    "tool_version",
    "revision",
    "dirty",
    "toolchain",
    "machine",
    "cells_ok",
    "cells_failed",
    "text_sha256",
    "content_sha256",
    "record",
];

const SERIES_COLUMNS: [&str; 20] = [
    "id",
    "machine",
    "model",
    "height",
    "width",
    "backend",
    "variant",
    "device",
    "\"precision\"",
    "threads",
    "batch",
    "steps",
    "text_tokens",
    "memory",
    "sampler",
    "metric",
    "cpus",
    "conditions",
    "own",
    "company",
];

const POINT_COLUMNS: [&str; 7] = ["series", "run", "value", "low", "high", "launches", "detail"];

/// The id of a series: 32 hex digits of a hash of everything in its key, so that no writer has to ask for it. What
/// is added to a key changes it, and takes a migration that takes the points of a store anew ([`take_points_anew`]).
fn series_id(key: &SeriesKey) -> Result<String, HistoryError> {
    let text = serde_json::to_string(key)
        .map_err(|error| HistoryError::Unfit { run: key.to_string(), why: error.to_string() })?;
    let mut id = sha256(&text);
    id.truncate(32);
    Ok(id)
}

fn run_row(given: &Prepared) -> Vec<Value> {
    let (info, extract) = (&given.run.run, &given.extract);
    let git = info.git.value();
    vec![
        info.id.as_str().into(),
        info.created.as_str().into(),
        info.finished.as_deref().into(),
        info.resumed.into(),
        info.tool_version.as_str().into(),
        git.map(|git| git.revision.as_str()).into(),
        git.map(|git| u32::from(git.dirty)).into(),
        Condition::Toolchain.value(&given.run, None).as_deref().into(),
        extract.machine.as_str().into(),
        extract.cells_ok.into(),
        extract.cells_failed.into(),
        given.text_sha256.as_str().into(),
        given.content_sha256.as_str().into(),
        given.text.into(),
    ]
}

fn series_row(id: &str, key: &SeriesKey) -> Vec<Value> {
    let cell = &key.cell;
    vec![
        id.into(),
        key.machine.as_str().into(),
        cell.model.as_str().into(),
        cell.height.into(),
        cell.width.into(),
        cell.backend.as_str().into(),
        cell.variant.as_str().into(),
        cell.device.as_str().into(),
        cell.precision.as_str().into(),
        cell.threads.into(),
        cell.batch.into(),
        cell.steps.into(),
        cell.text_tokens().unwrap_or(0).into(),
        cell.memory.as_str().into(),
        cell.sampler().unwrap_or_default().into(),
        key.metric.name().as_str().into(),
        cell.cpus.as_str().into(),
        key.conditions.as_str().into(),
        own_text(cell).as_str().into(),
        cell.company.into(),
    ]
}

fn point_row(series: &str, point: &Point) -> Vec<Value> {
    vec![
        series.into(),
        point.run.as_str().into(),
        point.value.into(),
        point.low.into(),
        point.high.into(),
        point.launches.into(),
        point.detail.as_str().into(),
    ]
}

/// The map of a key in its column: never empty.
fn own_text(key: &CellKey) -> String {
    // Texts by text: it cannot fail.
    serde_json::to_string(&key.own).unwrap_or_default()
}

/// A series from [`SERIES_COLUMNS`] at the beginning of a row.
fn read_key(row: &Row) -> Option<SeriesKey> {
    let (model, own) = match row.text(18)? {
        // A row that an older program has written.
        none if none.is_empty() => v1::split(&row.text(2)?, row.count(12)?, &row.text(14)?),
        own => (row.text(2)?, serde_json::from_str(&own).ok()?),
    };
    let cell = CellKey {
        model,
        height: row.count(3)?,
        width: row.count(4)?,
        backend: row.text(5)?,
        variant: row.text(6)?,
        device: row.text(7)?,
        precision: row.text(8)?,
        threads: row.count(9)?,
        batch: row.count(10)?,
        steps: row.count(11)?,
        own,
        memory: row.text(13)?,
        cpus: row.text(16)?,
        company: row.count(19)?,
    };
    Some(SeriesKey { machine: row.text(1)?, cell, conditions: row.text(17)?, metric: Metric::named(&row.text(15)?)? })
}

fn read_point(row: &Row) -> Option<Point> {
    Some(Point {
        run: row.text(0)?,
        created: row.text(1)?,
        revision: row.maybe_text(2)?,
        dirty: row.maybe_int(3)?.map(|dirty| dirty != 0),
        toolchain: row.maybe_text(4)?,
        value: row.real(5)?,
        low: row.maybe_real(6)?,
        high: row.maybe_real(7)?,
        launches: row.count(8)?,
        detail: row.text(9)?,
    })
}

const POINT_SELECT: &str = "run.id, run.created, run.revision, run.dirty, run.toolchain, point.value, point.low, point.high, point.launches, point.detail";

fn read_run(row: &Row) -> Option<RunSummary> {
    Some(RunSummary {
        id: row.text(0)?,
        created: row.text(1)?,
        finished: row.maybe_text(2)?,
        tool_version: row.text(3)?,
        revision: row.maybe_text(4)?,
        machine: row.text(5)?,
        description: row.text(6)?,
        cells_ok: row.count(7)?,
        cells_failed: row.count(8)?,
    })
}

fn put(session: &mut dyn Session, given: &Prepared) -> Result<Imported, HistoryError> {
    const DOING: &str = "writing a record";
    let extract = &given.extract;
    let machine = vec![extract.machine.as_str().into(), extract.description.as_str().into()];
    insert(session, DOING, "machine", &["fingerprint", "description"], &[machine])?;
    let row = run_row(given);
    let mut outcome = Imported::New;
    if insert(session, DOING, "run", &RUN_COLUMNS, std::slice::from_ref(&row))? == 0 {
        let sql = "SELECT content_sha256, created, finished, resumed, record FROM run WHERE id = $1";
        let rows = session.query("looking for a record", sql, &row[..1])?;
        let known = rows.first().and_then(|row| {
            let stored = row.text(0)?;
            // As this program reads it: an older one, which knew of fewer fields, may have put it in.
            let now = row.text(4).and_then(|text| Some(prepare(&text).ok()?.content_sha256));
            let known = Known {
                content_sha256: now.unwrap_or_else(|| stored.clone()),
                created: row.text(1)?,
                finished: row.maybe_text(2)?,
                resumed: row.int(3)?,
            };
            Some((known, stored))
        });
        let Some((known, stored)) = known else {
            return Err(HistoryError::Conflict {
                run: given.run.run.id.clone(),
                why: "another program removed it at the same moment. Try again".into(),
            });
        };
        outcome = meet(&known, given)?;
        if outcome == Imported::Already {
            return Ok(outcome);
        }
        // Only what was met is replaced: somebody else may have been quicker.
        let sets: Vec<String> =
            (2..).zip(&RUN_COLUMNS[1..]).map(|(number, column)| format!("{column} = ${number}")).collect();
        // Parameters are numbered by first appearance: the id comes first.
        let sql = format!(
            "UPDATE run SET id = $1, {} WHERE id = ${} AND content_sha256 = ${}",
            sets.join(", "),
            RUN_COLUMNS.len() + 1,
            RUN_COLUMNS.len() + 2
        );
        let mut values = row.clone();
        values.extend([row[0].clone(), stored.as_str().into()]);
        if session.execute(DOING, &sql, &values)? == 0 {
            return Err(HistoryError::Conflict {
                run: given.run.run.id.clone(),
                why: "another program imported it at the same moment. Try again".into(),
            });
        }
        session.execute(DOING, "DELETE FROM point WHERE run = $1", &row[..1])?;
    }
    put_points(session, DOING, extract)?;
    Ok(outcome)
}

fn put_points(session: &mut dyn Session, doing: &'static str, extract: &Extract) -> Result<(), HistoryError> {
    let (mut series, mut points) = (Vec::new(), Vec::new());
    for (key, point) in &extract.points {
        let id = series_id(key)?;
        series.push(series_row(&id, key));
        points.push(point_row(&id, point));
    }
    insert(session, doing, "series", &SERIES_COLUMNS, &series)?;
    insert(session, doing, "point", &POINT_COLUMNS, &points)?;
    Ok(())
}

/// Takes the points of every record anew, because a number is followed now that was not, or is taken in another way, or in a
/// series of its own; and writes the keys of series as this program does. A record that is damaged keeps the points that it has: `check` tells of it.
pub(super) fn take_points_anew(session: &mut dyn Session) -> Result<(), HistoryError> {
    const DOING: &str = "recomputing the points of its records";
    let mut renewed = BTreeSet::new();
    for row in session.query(DOING, "SELECT id FROM run ORDER BY id", &[])? {
        let Some(id) = row.text(0) else { continue };
        // One record in memory at a time.
        let rows = session.query(DOING, "SELECT record FROM run WHERE id = $1", &[id.as_str().into()])?;
        let Some(text) = rows.first().and_then(|row| row.text(0)) else { continue };
        let Ok(given) = prepare(&text) else { continue };
        let toolchain = Condition::Toolchain.value(&given.run, None);
        let values: [Value; 2] = [id.as_str().into(), toolchain.as_deref().into()];
        // `id = $1` changes nothing: parameters are numbered by first appearance, and the id comes first.
        session.execute(DOING, "UPDATE run SET id = $1, toolchain = $2 WHERE id = $1", &values)?;
        session.execute(DOING, "DELETE FROM point WHERE run = $1", &values[..1])?;
        put_points(session, DOING, &given.extract)?;
        for key in given.extract.points.keys() {
            let id = series_id(key)?;
            if renewed.insert(id.clone()) {
                let own = own_text(&key.cell);
                let values: [Value; 3] = [id.as_str().into(), key.cell.model.as_str().into(), own.as_str().into()];
                session.execute(DOING, "UPDATE series SET id = $1, model = $2, own = $3 WHERE id = $1", &values)?;
            }
        }
    }
    Ok(())
}

impl<D: Database> Store<D> {
    /// All rows of one question, each understood.
    fn ask<T>(
        &mut self,
        doing: &'static str,
        sql: &str,
        values: &[Value],
        understand: fn(&Row) -> Option<T>,
    ) -> Result<Vec<T>, HistoryError> {
        let mut rows = Vec::new();
        self.database.read(&mut |session| {
            rows = session.query(doing, sql, values)?;
            Ok(())
        })?;
        let read: Option<Vec<T>> = rows.iter().map(understand).collect();
        read.ok_or_else(|| self.database.damaged(format!("{doing} found values that ditbench does not write")))
    }
}

impl<D: Database> HistoryStore for Store<D> {
    fn location(&self) -> &str {
        self.database.location()
    }

    fn import_text(&mut self, text: &str) -> Result<Imported, HistoryError> {
        let given = prepare(text)?;
        let mut outcome = Imported::Already;
        self.database.write(&mut |session| {
            outcome = put(session, &given)?;
            Ok(())
        })?;
        Ok(outcome)
    }

    fn export_text(&mut self, id: &str) -> Result<String, HistoryError> {
        let sql = "SELECT record, text_sha256 FROM run WHERE id = $1";
        let rows = self.ask("reading a record", sql, &[id.into()], |row| Some((row.text(0)?, row.text(1)?)))?;
        let Some((text, sha)) = rows.into_iter().next() else {
            return Err(HistoryError::NoRun { store: self.location().to_owned(), run: id.to_owned() });
        };
        if sha256(&text) != sha {
            return Err(HistoryError::DamagedRecord {
                store: self.location().to_owned(),
                run: id.to_owned(),
                why: "its text does not have the hash that it had when it was imported".into(),
            });
        }
        Ok(text)
    }

    fn runs(&mut self) -> Result<Vec<RunSummary>, HistoryError> {
        let sql = "SELECT run.id, created, finished, tool_version, revision, machine, description, cells_ok, cells_failed \
                   FROM run JOIN machine ON machine.fingerprint = run.machine";
        let mut runs = self.ask("listing the runs", sql, &[], read_run)?;
        runs.sort_by(|a, b| series::order(&a.created, &a.id).cmp(&series::order(&b.created, &b.id)));
        Ok(runs)
    }

    fn series(&mut self) -> Result<Vec<SeriesSummary>, HistoryError> {
        let columns: Vec<String> = SERIES_COLUMNS.iter().map(|column| format!("series.{column}")).collect();
        let sql = format!(
            "SELECT {}, machine.description, (SELECT count(*) FROM point WHERE point.series = series.id) \
             FROM series JOIN machine ON machine.fingerprint = series.machine",
            columns.join(", ")
        );
        let mut found = self.ask("listing the series", &sql, &[], |row| {
            let last = SERIES_COLUMNS.len();
            Some(SeriesSummary {
                key: read_key(row)?,
                description: row.text(last)?,
                points: row.int(last + 1)?.try_into().ok()?,
            })
        })?;
        // A run that went on may have left a series behind.
        found.retain(|series| series.points > 0);
        found.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(found)
    }

    fn points(&mut self, key: &SeriesKey) -> Result<Vec<Point>, HistoryError> {
        let sql = format!("SELECT {POINT_SELECT} FROM point JOIN run ON run.id = point.run WHERE point.series = $1");
        let mut points = self.ask("reading a series", &sql, &[series_id(key)?.as_str().into()], read_point)?;
        series::sort(&mut points);
        Ok(points)
    }

    fn integrity(&mut self) -> Result<Integrity, HistoryError> {
        let problems = self.database.check()?.iter().map(|problem| one_line(problem)).collect();
        let mut found = Integrity { problems, ..Integrity::default() };
        let structure = found.clone();
        self.database.read(&mut |session| {
            // Called again, it starts again.
            found = structure.clone();
            check_all(session, &mut found)
        })?;
        Ok(found)
    }
}

/// Compares each record with its hash and its row, and each point with its record.
fn check_all(session: &mut dyn Session, found: &mut Integrity) -> Result<(), HistoryError> {
    const DOING: &str = "checking the records";
    let columns: Vec<String> = SERIES_COLUMNS.iter().map(|column| format!("series.{column}")).collect();
    let of_run = format!(
        "SELECT {}, {POINT_SELECT} FROM point JOIN run ON run.id = point.run JOIN series ON series.id = point.series \
         WHERE point.run = $1",
        columns.join(", ")
    );
    for row in session.query(DOING, "SELECT id FROM run ORDER BY id", &[])? {
        let Some(id) = row.text(0) else {
            found.problems.push("a run has no id".into());
            continue;
        };
        found.runs += 1;
        let named = one_line(&id);
        // One record in memory at a time.
        let select = format!("SELECT {} FROM run WHERE id = $1", RUN_COLUMNS.join(", "));
        let rows = session.query(DOING, &select, &[id.as_str().into()])?;
        let Some(row) = rows.first() else {
            found.problems.push(format!("run {named}: its row is not found under its id"));
            continue;
        };
        let Some(text) = row.text(RUN_COLUMNS.len() - 1) else {
            found.problems.push(format!("run {named}: its record is no text"));
            continue;
        };
        let given = match prepare(&text) {
            Ok(given) => given,
            Err(error) => {
                found.problems.push(one_line(&format!("run {named}: {error}")));
                continue;
            }
        };
        let wrong: Vec<&str> = RUN_COLUMNS
            .into_iter()
            .zip(run_row(&given).iter().zip(&row.0))
            // Another version of the program makes another of the same text, whose own hash says whether it is whole.
            .filter(|(column, (want, have))| want != have && *column != "content_sha256")
            .map(|(column, _)| column)
            .collect();
        if !wrong.is_empty() {
            found.problems.push(format!("run {named}: its record does not agree with its {}", wrong.join(", ")));
        }
        let rows = session.query(DOING, &of_run, &[id.as_str().into()])?;
        found.points += rows.len() as u64;
        let stored: Option<BTreeMap<SeriesKey, Point>> = rows
            .iter()
            .map(|row| {
                let point = Row(row.0.get(SERIES_COLUMNS.len()..)?.to_vec());
                Some((read_key(row)?, read_point(&point)?))
            })
            .collect();
        if stored.as_ref() != Some(&given.extract.points) {
            found.problems.push(format!("run {named}: its points are not those of its record"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_series_never_changes() {
        let cell = CellKey {
            model: "tiny".into(),
            height: 512,
            width: 512,
            backend: "ort".into(),
            variant: "int8".into(),
            device: "cpu".into(),
            precision: "q4".into(),
            threads: 2,
            batch: 1,
            steps: 4,
            memory: "fast".into(),
            ..CellKey::default()
        }
        .with("text_tokens", 77)
        .with("sampler", "euler");
        let key =
            SeriesKey { machine: "16697075adf8bbd3".into(), cell, conditions: String::new(), metric: Metric::IMAGE };
        // Computed apart, in Python, from the key as JSON.
        assert_eq!(series_id(&key).unwrap(), "26a0780008c7f9295a4e46fc14aa0dcc");
        // Of a width that version 1 wrote into the model's name, and of EdgeDiT's class: apart, likewise.
        let narrow = SeriesKey { cell: key.cell.clone().with("width", "0.5"), ..key.clone() };
        assert_eq!(series_id(&narrow).unwrap(), "d6c5c7e6b85d9aab8ae4b1c476cb20b0");
        let mut of_class = key.cell.clone().with("class", 3).with("sampler", "ddim+batched-cfg4");
        of_class.own.remove("text_tokens");
        assert_eq!(
            series_id(&SeriesKey { cell: of_class, ..key.clone() }).unwrap(),
            "edc6e19fe8008dd59b2d1e0299a52cdd"
        );
        let pinned = SeriesKey { conditions: "CPUs 0-3".into(), ..key.clone() };
        assert_ne!(series_id(&pinned).unwrap(), series_id(&key).unwrap());
    }
}
