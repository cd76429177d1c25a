//! The same cells alone and in company.

use super::Page;
use super::rows::{head, name, value};
use crate::company::{in_words, kind, pairs};
use crate::metric::Metric;
use crate::table::{Row, Table, group};
use crate::text::{self, escape};

const HEADINGS: [&str; 4] = ["Alone", "In company", "Times as long", "Company gets"];

/// A table of each workload, device and company.
pub(super) fn section(page: &mut Page, table: &Table, several: bool) {
    let pairs = pairs(table);
    if pairs.is_empty() {
        return;
    }
    page.raw(
        "<h2 id=\"company\">Alone and in company</h2>\n<p>A device is seldom alone. In company, threads are kept busy with a fixed piece of work \
         beside the worker, for the whole launch: not another app, but the same load on every machine. The company gets less done, too: \
         its share is of what it gets done alone.</p>\n",
    );
    for of_one in pairs.chunk_by(|a, b| group(a.company) == group(b.company)) {
        page.line(&format!("<h3>{}</h3>", escape(&group(of_one[0].company))));
        head(page, HEADINGS.into_iter());
        for pair in of_one {
            page.raw("<tr role=\"row\">");
            name(page, pair.alone, several);
            let time = |page: &mut Page, label: &str, row: &Row| {
                value(page, label, row.best_s().map(text::seconds), kind(row).unwrap_or_default());
            };
            let [alone, company, times, gets] = HEADINGS;
            time(page, alone, pair.alone);
            time(page, company, pair.company);
            let unlike = if kind(pair.alone) == kind(pair.company) { "" } else { "their times are of two kinds" };
            value(page, times, pair.times().map(in_words), unlike);
            let share = pair.company.numbers.get(Metric::COMPANY_SHARE);
            value(page, gets, pair.company.shown(Metric::COMPANY_SHARE), share.why().unwrap_or_default());
            page.raw("</tr>\n");
        }
        page.raw("</tbody>\n</table>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Cell, CellKey, Launch, Run, Sample, Status};
    use crate::table;

    #[test]
    fn a_first_image_is_marked_where_it_stands() {
        let cell = |company: u32, images: u32| {
            let image = |image| Sample { image, total_s: 1.0, ..Sample::default() };
            let launch = Launch { status: Status::Ok, samples: (0..images).map(image).collect(), ..Launch::default() };
            let key = CellKey { model: "nano".into(), threads: 2, company, ..CellKey::default() };
            Cell { key, status: Status::Ok, launches: vec![launch], ..Cell::default() }
        };
        let marks = |alone: u32, company: u32| {
            let run = Run { cells: vec![cell(0, alone), cell(1, company)], ..Run::default() };
            let mut page = Page::default();
            section(&mut page, &table::of_runs(&[&run]), false);
            let at = |label: &str| {
                page.html.split("<td ").find(|cell| cell.contains(label)).unwrap().contains("first image")
            };
            [at("\"Alone\""), at("\"In company\"")]
        };
        assert_eq!([marks(4, 4), marks(4, 1), marks(1, 1)], [[false, false], [false, true], [true, true]]);
    }
}
