//! What cannot wait of the rows of a table: said in full where there is room for a few lines only.

use crate::table::Row;

/// What cannot wait of these rows, each once and with the rows that it is about.
pub fn urgent(rows: &[&Row]) -> Vec<(String, Vec<String>)> {
    let mut said: Vec<(String, Vec<String>)> = Vec::new();
    for row in rows {
        for caution in row.cautions.iter().filter(|caution| caution.cannot_wait()) {
            let words = caution.long();
            match said.iter_mut().find(|(known, _)| *known == words) {
                Some((_, labels)) => labels.push(row.label()),
                None => said.push((words, vec![row.label()])),
            }
        }
    }
    said
}
