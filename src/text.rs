//! Numbers and tables as people read them in a terminal.

use std::ffi::OsStr;

use ditbench_record::one_line;

pub use ditbench_worker::causes;
pub use ditbench_worker::output::{data, show, tell};

/// `1.23 M`, `4.5 G`: three digits and a decimal prefix.
pub fn count(value: f64) -> String {
    let (scaled, prefix) = prefixed(value);
    if prefix.is_empty() && scaled.fract() == 0.0 {
        format!("{scaled:.0}")
    } else {
        format!("{} {prefix}", three(scaled)).trim_end().to_owned()
    }
}

/// `1.23 MiB`: an amount of memory or of disk, in the units of the report.
pub fn bytes(value: u64) -> String {
    ditbench_reports::text::bytes(value).replace('\u{a0}', " ")
}

/// `1.23 s`, `45.6 ms`, `7.89 µs`.
pub fn seconds(value: f64) -> String {
    match value.abs() {
        v if v >= 60.0 => format!("{:.0} min {:02.0} s", (value.round() / 60.0).floor(), value.round() % 60.0),
        v if v >= 1.0 => format!("{} s", three(value)),
        v if v >= 1e-3 => format!("{} ms", three(value * 1e3)),
        _ => format!("{} µs", three(value * 1e6)),
    }
}

/// `02:05`: minutes and seconds of a clock.
pub fn clock(seconds: f64) -> String {
    let whole = seconds as u64;
    format!("{:02}:{:02}", whole / 60, whole % 60)
}

/// A command as it can be pasted into a shell: words that a shell would take apart are quoted.
pub fn command<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> String {
    let word = |word: S| {
        let word = word.as_ref().to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

fn prefixed(value: f64) -> (f64, &'static str) {
    for (factor, prefix) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value.abs() >= factor {
            return (value / factor, prefix);
        }
    }
    (value, "")
}

/// Three significant digits.
fn three(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A table with aligned columns: the first to the left, the others to the right.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    // What a cell holds may come from a record: nothing in it may end the row.
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let width = |column: usize| {
        rows.iter()
            .chain([&header])
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut out = String::new();
    for row in [&header].into_iter().chain(&rows) {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            if column == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A table whose columns are all words: padded on the right.
pub fn left_table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .chain([header[column].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let padded = rows.into_iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        vec![cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()]
    });
    let header: Vec<String> = header.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
    table(&[header.join("  ").trim_end()], padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        assert_eq!(command(["ditbench", "run", "--resume", "runs/a-1"]), "ditbench run --resume runs/a-1");
        let said = command(["printf", "%s|", "two words", "it's", "a;b", "$HOME", "~", "", "*"]);
        let output = std::process::Command::new("sh").args(["-c", &said]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "two words|it's|a;b|$HOME|~||*|");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!((seconds(119.4), seconds(119.7)), ("1 min 59 s".to_owned(), "2 min 00 s".to_owned()));
        assert_eq!(count(428_500_000.0), "428 M");
        assert_eq!(count(1.5e12), "1.50 T");
        assert_eq!(count(12.0), "12");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(901_000_000), "859 MiB");
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(seconds(754.0), "12 min 34 s");
    }

    #[test]
    fn a_cell_of_a_table_stays_in_its_row() {
        assert_eq!(table(&["name"], [vec!["a\nb\u{1b}[2J".to_owned()]]), "  name\n  a b\u{fffd}[2J\n");
    }

    #[test]
    fn columns_line_up() {
        let text =
            table(&["name", "n"], [vec!["a".to_owned(), "10".to_owned()], vec!["longer".to_owned(), "7".to_owned()]]);
        assert_eq!(text, "  name     n\n  a       10\n  longer   7\n");
    }
}
