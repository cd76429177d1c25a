//! The same cells alone and in company.

use super::Page;
use super::rows::{head, name, value};
use crate::company::{in_words, pairs};
use crate::metric::Metric;
use crate::table::{Row, Table, workload};
use crate::text::{self, escape};

const HEADINGS: [&str; 4] = ["Alone", "In company", "Times as long", "Company gets"];

/// A table of each workload and company.
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
    for of_one in pairs.chunk_by(|a, b| workload(&a.company.key) == workload(&b.company.key)) {
        page.line(&format!("<h3>{}</h3>", escape(&workload(&of_one[0].company.key))));
        head(page, HEADINGS.into_iter());
        for pair in of_one {
            page.raw("<tr role=\"row\">");
            name(page, pair.alone, several);
            let time = |row: &Row| row.best_s().map(text::seconds);
            let [alone, company, times, gets] = HEADINGS;
            let kind = pair.kind().trim_start_matches(", ");
            value(page, alone, time(pair.alone), kind);
            value(page, company, time(pair.company), kind);
            value(page, times, pair.times().map(in_words), "");
            let share = pair.company.numbers.get(Metric::COMPANY_SHARE);
            value(page, gets, pair.company.shown(Metric::COMPANY_SHARE), share.why().unwrap_or_default());
            page.raw("</tr>\n");
        }
        page.raw("</tbody>\n</table>\n");
    }
}
