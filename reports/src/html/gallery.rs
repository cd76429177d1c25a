//! The gallery: prompts down, cells across; where a picture differs from the reference's shows on hover, focus or tap.
//!
//! Contract: style alone, no script. A cell's pictures lie in one sheet that the page holds once; the difference is drawn by
//! the browser from two sheets (|ours − reference| of each channel, made brighter), so it costs nothing. Numbers under the
//! pictures are those of the key above, so that on a phone a prompt's pictures may wrap.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Component, Path};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops;

use super::Page;
use super::images;
use crate::judged::what;
use crate::record::{Judged, Judging, Reading, Run};
use crate::text::escape;
use ditbench_record::store::LoadedRun;

/// Names that are shown: every so many of the list, so that nobody chose them.
const SHOWN: usize = 24;
/// Pictures in a row of a sheet.
const COLUMNS: usize = 16;
/// How much brighter a difference is drawn.
const BRIGHTER: u32 = 6;

/// A cell across.
struct Column {
    label: String,
    sheet: Result<String, String>,
    /// The column that its pictures are held against.
    reference: Option<usize>,
    /// Names of which the nearest data picture is another's, and what that shows.
    misses: BTreeMap<usize, String>,
    /// Names, without compositions.
    names_only: bool,
}

/// The gallery of one run; `number` sets its styles apart from another's.
pub(super) fn section(page: &mut Page, run: &LoadedRun, judging: &Judging, number: usize) {
    let shown = indices(judging);
    let columns = columns(run, judging, &shown);
    let side = judging.picture.max(1);
    page.line(&format!(
        "<h3>Gallery</h3>\n<p>Hover over a picture, or tap it, to see where it differs from the reference's \
         ({BRIGHTER} times as bright; black is equal). A red frame means that the judge found another data picture \
         nearer; hover to see its name. {}</p>",
        if shown.names.len() < judging.names.len() {
            format!("{} of {} names are shown, evenly spread over the list.", shown.names.len(), judging.names.len())
        } else {
            String::new()
        }
    ));
    styles(page, &columns, number, side);
    page.raw("<ol class=\"shots-key\">\n");
    for (index, column) in columns.iter().enumerate() {
        let against = match (&column.sheet, column.reference) {
            (Err(why), _) => format!(" <small>no pictures: {}</small>", escape(why)),
            (Ok(_), Some(reference)) => format!(" <small>differences from {}</small>", reference + 1),
            (Ok(_), None) => String::new(),
        };
        page.line(&format!("<li><b>{}</b> <span>{}{against}</span></li>", index + 1, escape(&column.label)));
    }
    page.raw("</ol>\n<div class=\"prompts\">\n");
    for (place, &index) in shown.names.iter().enumerate() {
        prompt(page, &judging.names[index], &columns, number, place, Some(index), side);
    }
    page.raw("</div>\n");
    if !judging.compositions.is_empty() {
        page.line(&format!(
            "<details><summary>{} compositions that no data picture shows</summary>\n<div class=\"prompts\">",
            judging.compositions.len()
        ));
        for (composition, text) in judging.compositions.iter().enumerate() {
            prompt(page, text, &columns, number, shown.names.len() + composition, None, side);
        }
        page.raw("</div>\n</details>\n");
    }
}

/// Which prompts are shown: positions in the list of names, and files of all of them.
struct Shown {
    names: Vec<usize>,
    files: Vec<usize>,
}

fn indices(judging: &Judging) -> Shown {
    let all = judging.names.len();
    let count = all.min(SHOWN);
    let names: Vec<usize> = (0..count).map(|place| place * all / count).collect();
    let files = names.iter().copied().chain((0..judging.compositions.len()).map(|index| all + index)).collect();
    Shown { names, files }
}

fn columns(run: &LoadedRun, judging: &Judging, shown: &Shown) -> Vec<Column> {
    let record = &run.run;
    let judged = record.cells.iter().filter_map(|cell| Some((cell, cell.judged.as_ref()?)));
    let judged: Vec<_> = judged.collect();
    let data = judging.ceiling.value().filter(|ceiling| ceiling.pictures.is_some());
    let first = usize::from(data.is_some());
    let place = |id: &str| judged.iter().position(|(cell, _)| cell.key.id() == id).map(|index| index + first);
    let mut columns = Vec::new();
    columns.extend(data.map(|data| column(run, "the data", data, None, shown, true)));
    for (cell, found) in &judged {
        let label = format!("{} ({} {})", what(&cell.key), cell.key.backend, cell.key.variant);
        let reference = found.fidelity.value().and_then(|fidelity| place(&fidelity.reference));
        columns.push(column(
            run,
            &label,
            found,
            reference.or_else(|| of_difference(record, found, &place)),
            shown,
            false,
        ));
    }
    if let Reading::Ok(floor) = &judging.floor {
        columns.push(column(run, "random weights", floor, None, shown, false));
    }
    columns
}

/// A reference cell differs from none in precision; where it was held against one of another width or more steps, that is shown.
fn of_difference(_: &Run, judged: &Judged, place: &dyn Fn(&str) -> Option<usize>) -> Option<usize> {
    judged.differences.iter().find_map(|difference| place(&difference.from))
}

fn column(
    run: &LoadedRun,
    label: &str,
    judged: &Judged,
    reference: Option<usize>,
    shown: &Shown,
    names_only: bool,
) -> Column {
    let misses = judged.nearer.iter().zip(&judged.nearest).enumerate();
    Column {
        label: label.to_owned(),
        sheet: sheet(&run.dir, judged, shown, names_only),
        reference,
        misses: misses
            .filter(|(_, (nearer, _))| **nearer > 0)
            .map(|(index, (_, name))| (index, name.clone()))
            .collect(),
        names_only,
    }
}

/// The shown pictures of a cell in one, as a data URI.
fn sheet(dir: &Path, judged: &Judged, shown: &Shown, names_only: bool) -> Result<String, String> {
    let folder = judged.pictures.as_deref().ok_or("none were kept")?;
    // A record is data: it may name folders of its own directory only.
    if !Path::new(folder).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("\"{folder}\" is not a folder of the run"));
    }
    let files = if names_only { &shown.names } else { &shown.files };
    let open = |index: &usize| {
        let path = dir.join(folder).join(format!("{index:04}.png"));
        images::read(&path).map_err(|error| format!("{folder}/{index:04}.png: {error}"))
    };
    let pictures: Vec<RgbImage> = files.iter().map(open).collect::<Result<_, _>>()?;
    let (width, height) = pictures.first().map(RgbImage::dimensions).ok_or("there are no prompts")?;
    let columns = pictures.len().min(COLUMNS) as u32;
    let rows = pictures.len().div_ceil(COLUMNS) as u32;
    let mut whole = RgbImage::new(columns * width, rows * height);
    for (index, picture) in (0u32..).zip(&pictures) {
        imageops::replace(&mut whole, picture, i64::from(index % columns * width), i64::from(index / columns * height));
    }
    let mut png = Cursor::new(Vec::new());
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Best, FilterType::Adaptive);
    whole.write_with_encoder(encoder).map_err(|error| error.to_string())?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png.into_inner())))
}

/// One rule for each sheet: as the picture, and as what another is held against.
fn styles(page: &mut Page, columns: &[Column], number: usize, side: u32) {
    page.line(&format!(
        "<style>\n.g{number} .shot {{ width: {side}px; height: {side}px; }}\n.shot:hover, .shot:focus {{ filter: brightness({BRIGHTER}); }}\n\
         .shot.alone:hover, .shot.alone:focus {{ filter: none; }}"
    ));
    for (index, column) in columns.iter().enumerate() {
        if let Ok(sheet) = &column.sheet {
            page.line(&format!(".g{number}c{index}, .g{number}v{index}::after {{ background-image: url({sheet}); }}"));
        }
    }
    page.raw("</style>\n");
}

/// A prompt's pictures. `place` is theirs in the sheets; `name` the prompt's in the list of names, if it is one.
fn prompt(
    page: &mut Page,
    text: &str,
    columns: &[Column],
    number: usize,
    place: usize,
    name: Option<usize>,
    side: u32,
) {
    page.line(&format!("<div class=\"prompt g{number}\"><h4>{}</h4>\n<ol class=\"shots\">", escape(text)));
    let (x, y) = (place % COLUMNS * side as usize, place / COLUMNS * side as usize);
    for (index, column) in columns.iter().enumerate() {
        if column.sheet.is_err() || (name.is_none() && column.names_only) {
            continue;
        }
        let miss = name.and_then(|name| column.misses.get(&name));
        let mut classes = format!("shot g{number}c{index}");
        match column.reference {
            Some(reference) => classes.push_str(&format!(" g{number}v{reference}")),
            None => classes.push_str(" alone"),
        }
        if miss.is_some() {
            classes.push_str(" miss");
        }
        let said = format!("{}, {}", text, column.label);
        let taken = miss.map(|other| format!("; nearer to {other}")).unwrap_or_default();
        let title = escape(&format!("{said}{taken}"));
        // Sheets are as wide as the names and compositions need: a small one has all in its first row.
        page.line(&format!(
            "<li><span class=\"{classes}\" role=\"img\" tabindex=\"0\" aria-label=\"{title}\" title=\"{title}\" \
             style=\"background-position:-{x}px -{y}px\"></span><small>{}</small></li>",
            index + 1
        ));
    }
    page.raw("</ol></div>\n");
}
