//! The tables of the page. On a narrow screen each row becomes a card, by style alone; roles keep them tables.

use super::Page;
use crate::caution::Weight;
use crate::record::Reading;
use crate::table::{Published, Row, Table};
use crate::text::{self, escape};

const NONE: &str = "–";

/// One table for each workload, fastest first, failed cells and the paper's rows last.
pub(super) fn main_tables(page: &mut Page, groups: &[(String, Vec<&Row>)], table: &Table, several: bool) {
    page.raw("<h2 id=\"table\">Results</h2>\n<p>Fastest first. An image is the whole way from prompt to pixels, once the process is warm; \
              the first image of a process is apart. Every figure is explained in <a href=\"#reading\">how to read this</a>.</p>\n");
    for (name, rows) in groups {
        page.line(&format!("<h3>{}</h3>", escape(name)));
        page.raw("<table role=\"table\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
        let columns = [
            "Cell",
            "Image, p50",
            "First image",
            "Denoiser step",
            "Decoder",
            "Peak memory",
            "Off the reference",
            "Of peak",
            "Notes",
        ];
        for column in columns {
            let class = if column == "Notes" { " class=\"words\"" } else { "" };
            page.raw(&format!("<th role=\"columnheader\" scope=\"col\"{class}>{column}</th>"));
        }
        page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
        for row in rows {
            if row.has_figures() { good(page, row, several) } else { failed(page, row, several, columns.len() - 1) }
        }
        let model = rows.first().map_or("", |row| row.key.model.as_str());
        let paper: Vec<&Published> = table.published.iter().filter(|paper| paper.model == model).collect();
        for row in &paper {
            published(page, row);
        }
        page.raw("</tbody>\n</table>\n");
        page.line(&if paper.is_empty() {
            format!("<p class=\"small\">The paper publishes no row for {}.</p>", escape(model))
        } else {
            "<p class=\"small\">The last row is the paper's, on other hardware and at another size: to stand beside ours, not to be ranked with \
             them. Latency and scores are both of 4 steps; the paper's best-known scores are of 28.</p>"
                .to_owned()
        });
    }
}

fn name(page: &mut Page, row: &Row, several: bool) {
    let run =
        row.run_number.filter(|_| several).map(|number| format!("<small>run {number}</small>")).unwrap_or_default();
    page.raw(&format!(
        "<th role=\"rowheader\" scope=\"row\">{}<small>{} · {}</small>{run}</th>",
        escape(&row.who()),
        escape(&row.key.precision),
        escape(&row.threads())
    ));
}

/// A cell of the table: the value, and smaller what belongs to it.
fn value(page: &mut Page, label: &str, value: Option<String>, small: &str) {
    let class = if value.is_none() && small.is_empty() { " class=\"none\"" } else { "" };
    let small = if small.is_empty() { String::new() } else { format!("<small>{}</small>", escape(small)) };
    page.raw(&format!(
        "<td role=\"cell\" data-label=\"{label}\"{class}><b class=\"value\">{}</b>{small}</td>",
        escape(value.as_deref().unwrap_or(NONE))
    ));
}

fn good(page: &mut Page, row: &Row, several: bool) {
    page.raw("<tr role=\"row\">");
    name(page, row, several);
    match &row.image_s {
        Reading::Ok(estimate) => {
            let small = match estimate.low.zip(estimate.high) {
                Some((low, high)) => format!("{} to {}", text::seconds(low), text::seconds(high)),
                None => "no interval".to_owned(),
            };
            value(page, "Image, p50", Some(text::seconds(estimate.p50)), &small);
        }
        Reading::Denied { why } | Reading::Absent { why } => value(page, "Image, p50", None, why),
    }
    value(page, "First image", row.first_image_s.map(text::seconds), "");
    // Cells that had time for first images only: their stages are those of that image.
    let first = row.first_stages_s.as_ref().filter(|_| row.p50_s().is_none());
    let note = if first.is_some() { "first image" } else { "" };
    let step = row.step_s().or_else(|| crate::stats::median(&first?.steps_s));
    value(page, "Denoiser step", step.map(text::seconds), note);
    value(page, "Decoder", row.decoder_s.or_else(|| Some(first?.decoder_s)).map(text::seconds), note);
    let weights = row.weights_disk_bytes.map(|bytes| format!("weights {}", text::bytes(bytes))).unwrap_or_default();
    value(page, "Peak memory", row.peak_bytes.map(text::bytes), &weights);
    if row.is_reference() {
        value(page, "Off the reference", Some("reference".into()), "");
    } else {
        let score = row.ssimulacra2.map(|score| format!("SSIMULACRA2 {}", text::significant(score, 3)));
        let why = row.reference.why().map(str::to_owned);
        value(
            page,
            "Off the reference",
            row.latent_relative_l2.map(text::scientific),
            &score.or(why).unwrap_or_default(),
        );
    }
    let rate = row.gflops.map(|gflops| match row.peak_share {
        Some(share) => {
            format!("{} of {} GFLOP/s", text::significant(gflops, 3), text::significant(gflops / share, 3))
        }
        // Why a peak is doubtful stands among the cautions.
        None if row.has_doubtful_peak() => format!("{} GFLOP/s", text::significant(gflops, 3)),
        None => format!("{} GFLOP/s; {}", text::significant(gflops, 3), row.peak.why().unwrap_or_default()),
    });
    let share = row.peak_share.map(text::percent);
    let share = share.or_else(|| row.has_doubtful_peak().then(|| "doubtful".to_owned()));
    value(page, "Of peak", share, &rate.unwrap_or_default());
    let chips: Vec<String> = row
        .cautions
        .iter()
        .map(|caution| {
            let class = match caution.weight() {
                Weight::Grave => "chip bad",
                Weight::Uncertain => "chip warn",
                Weight::Note => "chip",
            };
            format!("<a class=\"{class}\" href=\"#cautions\">{}</a>", escape(&caution.short()))
        })
        .collect();
    let class = if chips.is_empty() { "words none" } else { "words" };
    page.raw(&format!("<td role=\"cell\" class=\"{class}\">{}</td></tr>\n", chips.concat()));
}

fn failed(page: &mut Page, row: &Row, several: bool, span: usize) {
    page.raw("<tr role=\"row\" class=\"failed\">");
    name(page, row, several);
    let reason = row.reason.as_deref().unwrap_or("no reason was recorded");
    page.raw(&format!(
        "<td role=\"cell\" class=\"words\" colspan=\"{span}\"><span class=\"chip bad\">{}</span> {}</td></tr>\n",
        row.status.name(),
        escape(reason)
    ));
}

fn published(page: &mut Page, row: &Published) {
    page.raw(&format!(
        "<tr role=\"row\" class=\"published\"><th role=\"rowheader\" scope=\"row\">{} <span class=\"chip\">other hardware</span>\
         <small>{} · {}×{} · {} · {} steps</small></th>",
        row.hardware, row.runtime, row.size, row.size, row.precision.unwrap_or("precision not published"), row.steps
    ));
    value(page, "Image, p50", Some(text::seconds(row.image_s)), "steps and decoder");
    value(page, "First image", None, "");
    value(page, "Denoiser step", Some(text::seconds(row.step_s)), "");
    value(page, "Decoder", Some(text::seconds(row.decoder_s)), "");
    value(page, "Peak memory", None, "");
    value(page, "Off the reference", None, "");
    value(page, "Of peak", None, "");
    let scores: Vec<String> =
        [row.dpg.map(|score| format!("DPG {score}")), row.geneval.map(|score| format!("GenEval {score}"))]
            .into_iter()
            .flatten()
            .collect();
    page.raw(&format!(
        "<td role=\"cell\" class=\"words\">{}<small>{}</small></td></tr>\n",
        scores.join(", "),
        row.source
    ));
}

/// Percentiles, the rest of the quality measures, compile time: folded away, for those who want them.
pub(super) fn details_table(page: &mut Page, groups: &[(String, Vec<&Row>)]) {
    page.raw("<h2 id=\"more\">More figures</h2>\n<details>\n<summary>Percentiles, compile time, counts, all measures of quality</summary>\n");
    for (name_of_group, rows) in groups {
        let rows: Vec<&&Row> = rows.iter().filter(|row| row.has_figures()).collect();
        if rows.is_empty() {
            continue;
        }
        page.line(&format!("<h3>{}</h3>\n<table role=\"table\">", escape(name_of_group)));
        page.raw("<thead role=\"rowgroup\"><tr role=\"row\">");
        let columns = [
            "Cell",
            "Images",
            "Interval",
            "p90",
            "p99",
            "Compile",
            "Text encoder",
            "Computes in",
            "Image L2",
            "PSNR",
            "SSIM",
            "On the device",
            "Weights held",
        ];
        for column in columns {
            page.raw(&format!("<th role=\"columnheader\" scope=\"col\">{column}</th>"));
        }
        page.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
        for row in rows {
            page.raw("<tr role=\"row\">");
            name(page, row, true);
            let estimate = row.image_s.value();
            let launches =
                estimate.map(|e| format!("{} {}", e.launches, if e.launches == 1 { "launch" } else { "launches" }));
            value(page, "Images", estimate.map(|e| e.images.to_string()), &launches.unwrap_or_default());
            value(page, "Interval", None, estimate.map_or("", |e| e.interval.as_str()));
            for (label, reading) in [("p90", &row.p90_s), ("p99", &row.p99_s)] {
                value(page, label, reading.value().map(|s| text::seconds(*s)), reading.why().unwrap_or_default());
            }
            value(page, "Compile", row.compile_s.map(text::seconds), "");
            value(page, "Text encoder", row.text_encoder_s.map(text::seconds), "");
            value(
                page,
                "Computes in",
                row.numerics.value().map(|n| n.replace('_', " ")),
                row.numerics.why().unwrap_or_default(),
            );
            value(page, "Image L2", row.image_relative_l2.map(text::scientific), "");
            let psnr = if row.image_identical == Some(true) {
                Some("identical".into())
            } else {
                row.psnr_db.map(|db| format!("{db:.1} dB"))
            };
            value(page, "PSNR", psnr, "");
            value(page, "SSIM", row.ssim.map(|ssim| format!("{ssim:.4}")), "");
            value(page, "On the device", row.placement_share.map(text::percent), "");
            value(
                page,
                "Weights held",
                row.weights_resident_bytes.map(text::bytes),
                if row.weights_resident_bytes.is_none() { "the backend does not say" } else { "" },
            );
            page.raw("</tr>\n");
        }
        page.raw("</tbody>\n</table>\n");
    }
    page.raw("</details>\n");
}
