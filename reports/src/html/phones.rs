//! What concerns phones: machines side by side, and what each phone did while it was measured.

use super::Page;
use crate::metric::Metric;
use crate::plots::{PlotError, timeline};
use crate::record::{Launch, Reading, Run};
use crate::table::{self, Absent, Row, Table};
use crate::text::{self, escape};
use crate::whose;

/// Where several machines ran the same cells: a column for each machine.
pub(super) fn side_by_side(page: &mut Page, runs: &[&Run], table: &Table) {
    let names = whose::machines(runs);
    let mut machines = names.clone();
    machines.sort_unstable();
    machines.dedup();
    let phones = !table.absent.is_empty() || runs.iter().any(|run| run.machine.phone.is_some());
    if machines.len() + table.absent.len() < 2 || !phones {
        return;
    }
    page.raw(
        "<h2 id=\"side-by-side\">Machines side by side</h2>\n<p>The median image of the same cell on each machine; \
              of sustained runs, the settled image; where there were too few images for one, the first image. Marked: settled, and first image only.</p>\n",
    );
    for (workload, rows) in table::groups(table) {
        let mut cells: Vec<String> = Vec::new();
        for row in &rows {
            let label = cell_name(row);
            if !cells.contains(&label) {
                cells.push(label);
            }
        }
        page.line(&format!(
            "<h3>{}</h3>\n<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Cell</th>",
            escape(&workload)
        ));
        for name in names.iter().chain(table.absent.iter().map(|absent| &absent.machine)) {
            page.line(&format!("<th role=\"columnheader\" scope=\"col\">{}</th>", escape(name)));
        }
        page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
        for cell in cells {
            page.line(&format!("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>", escape(&cell)));
            for (run, name) in runs.iter().zip(&names) {
                let found = rows.iter().find(|row| row.run == run.run.id && cell_name(row) == cell);
                let words = found.map_or_else(|| "–".to_owned(), |row| time(row));
                page.line(&format!("<td role=\"cell\" data-label=\"{}\">{}</td>", escape(name), escape(&words)));
            }
            for Absent { machine, .. } in &table.absent {
                page.line(&format!("<td role=\"cell\" data-label=\"{}\">no result</td>", escape(machine)));
            }
            page.raw("</tr>\n");
        }
        page.raw("</tbody>\n</table>\n");
    }
}

/// Without the number of threads, which differs from machine to machine; cores by their name, which does not.
fn cell_name(row: &Row) -> String {
    let on = row.cores.as_ref().map(|cores| format!(" · {cores}")).unwrap_or_default();
    format!("{} · {}{on}", row.who(), row.key.precision)
}

fn time(row: &Row) -> String {
    let wrong = if row.is_wrong() { " (wrong result)" } else { "" };
    let threads = format!("{}{wrong}", row.threads());
    if let Some(settled) = row.shown(Metric::SETTLED) {
        return format!("{settled} settled, {threads}");
    }
    match (row.p50_s(), row.first_image_s()) {
        (Some(p50), _) => format!("{}, {threads}", text::seconds(p50)),
        (None, Some(first)) => format!("{} (first), {threads}", text::seconds(first)),
        (None, None) => row.status.name().to_owned(),
    }
}

/// For each cell of a phone, the launch of which most was seen, with what its sensors said.
///
/// # Errors
/// A plot cannot be drawn: a fault of this program.
pub(super) fn timelines(page: &mut Page, runs: &[&Run], table: &Table) -> Result<(), PlotError> {
    let names = whose::machines(runs);
    let named = runs.iter().zip(&names);
    let cells = named.flat_map(|(run, name)| run.cells.iter().map(move |cell| (run, name, cell))).zip(&table.rows);
    let mut figures = Vec::new();
    for ((run, name, cell), row) in cells {
        let best: Option<&Launch> = cell
            .launches
            .iter()
            .filter(|launch| timeline::has_timeline(launch))
            .max_by_key(|launch| launch.telemetry.len());
        let Some(launch) = best else { continue };
        let label = format!("{}{} · {}", row.key.name(), text::pixels(row.key.width, row.key.height), row.label());
        let trace = &cell.system_trace;
        figures.extend(timeline::launch(&label, launch, run)?.map(|figure| (name, label, trace, figure)));
    }
    if figures.is_empty() {
        return Ok(());
    }
    page.raw(
        "<h2 id=\"timeline\">While it was measured</h2>\n<p>Clocks, heat and power during one launch of each \
              cell: the one with the most readings.</p>\n",
    );
    let open = if figures.len() <= 4 { " open" } else { "" };
    for (name, label, trace, figure) in figures {
        page.line(&format!(
            "<details{open}>\n<summary>{} on {}</summary>\n<div class=\"figures\">",
            escape(&label),
            escape(name)
        ));
        super::figure(page, &figure, &figure.caption);
        page.raw("</div>\n");
        match trace {
            None => {}
            Some(Reading::Ok(file)) => page.line(&format!(
                "<p class=\"small\">The whole system meanwhile, from a pass of its own, to be opened at ui.perfetto.dev: {}</p>",
                escape(file)
            )),
            Some(Reading::Denied { why } | Reading::Absent { why }) => {
                page.line(&format!("<p class=\"small\">There is no trace of the whole system: {}</p>", escape(why)))
            }
        }
        page.raw("</details>\n");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_phone;

    #[test]
    fn two_phones_of_one_model_have_a_column_each() {
        let on = |id: &str, serial: &str| {
            let mut run = sample_phone::run();
            run.run.id = id.into();
            run.run.on = Some(format!("adb:{serial}"));
            run
        };
        let (first, second) = (on("r1", "A1"), on("r2", "B2"));
        assert_eq!(whose::machines(&[&first, &second]), ["Example Phone 9 (A1)", "Example Phone 9 (B2)"]);
        assert_eq!(whose::machines(&[&first]), ["Example Phone 9"], "alone it needs no serial");
        let page = |runs: &[&Run]| {
            let mut page = Page::default();
            side_by_side(&mut page, runs, &table::of_runs(runs));
            page.html
        };
        assert!(page(&[&first, &second]).contains("Example Phone 9 (B2)</th>"));
        assert_eq!(page(&[&first, &on("r3", "A1")]), "", "two runs of one phone are no two machines");
    }
}
