//! Which operation changed between two profiles.

use std::collections::BTreeMap;

use crate::record::ProfileRow;

/// By what two profiles are held side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Stage, block and kind of operation: the finest that profiles of different runtimes share.
    BlockAndOp,
    /// Stage and kind of operation.
    Op,
}

/// One line of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `text_encoder`, `denoiser`, `decoder`.
    pub stage: String,
    /// Block and operation, or the operation.
    pub what: String,
    /// Seconds of a pass before; `None` if it is new.
    pub before_s: Option<f64>,
    /// Seconds of a pass after; `None` if it is gone.
    pub after_s: Option<f64>,
}

impl Change {
    /// Seconds gained (above 0: slower).
    pub fn difference_s(&self) -> f64 {
        self.after_s.unwrap_or(0.0) - self.before_s.unwrap_or(0.0)
    }

    /// After over before; `None` where one is missing or nothing.
    pub fn ratio(&self) -> Option<f64> {
        let (before, after) = (self.before_s?, self.after_s?);
        (before > 0.0).then(|| after / before)
    }
}

/// All lines of both, the largest change first.
pub fn diff(before: &[ProfileRow], after: &[ProfileRow], side: Side) -> Vec<Change> {
    let sums = |rows: &[ProfileRow]| {
        let mut sums: BTreeMap<(String, String), f64> = BTreeMap::new();
        for row in rows {
            let scope = row.scope.as_deref().unwrap_or("added by the runtime");
            let what = match side {
                Side::BlockAndOp => format!("{scope} {}", row.op),
                Side::Op => row.op.clone(),
            };
            *sums.entry((row.stage.clone(), what)).or_default() += row.seconds;
        }
        sums
    };
    let (before, after) = (sums(before), sums(after));
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let mut changes: Vec<Change> = keys
        .into_iter()
        .map(|key| Change {
            stage: key.0.clone(),
            what: key.1.clone(),
            before_s: before.get(key).copied(),
            after_s: after.get(key).copied(),
        })
        .collect();
    changes.sort_by(|a, b| b.difference_s().abs().total_cmp(&a.difference_s().abs()));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scope: &str, op: &str, seconds: f64) -> ProfileRow {
        ProfileRow {
            stage: "denoiser".into(),
            scope: Some(scope.into()),
            op: op.into(),
            seconds,
            ..ProfileRow::default()
        }
    }

    #[test]
    fn the_operation_that_changed_comes_first() {
        let before = [row("up.0", "Linear", 1.0), row("up.1", "Linear", 1.0), row("up.0", "Gelu", 0.2)];
        let after = [
            row("up.0", "Linear", 1.01),
            row("up.1", "Linear", 1.0),
            row("up.0", "Gelu", 0.9),
            row("up.0", "Cast", 0.1),
        ];
        let changes = diff(&before, &after, Side::BlockAndOp);
        assert_eq!(changes[0].what, "up.0 Gelu");
        assert!((changes[0].ratio().unwrap() - 4.5).abs() < 1e-12);
        assert_eq!((changes[1].what.as_str(), changes[1].ratio()), ("up.0 Cast", None));
        let by_op = diff(&before, &after, Side::Op);
        assert_eq!(by_op.len(), 3);
        assert!((by_op.iter().find(|change| change.what == "Linear").unwrap().difference_s() - 0.01).abs() < 1e-12);
    }
}
