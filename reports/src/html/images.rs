//! The images, each beside a map of where it differs from the reference's.

use std::io::{BufReader, Cursor};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType as PngFilter, PngEncoder};
use image::imageops::{self, FilterType};

use super::Page;
use crate::metric::Metric;
use crate::quality::{self, FULL_SCALE};
use crate::record::{Cell, Reading, open_regular};
use crate::table::{Row, Table, workload};
use crate::text::escape;
use ditbench_record::store::LoadedRun;

/// Larger pictures are shown this many pixels wide or high at most, to keep the page small: noise does not compress.
const SHOWN: u32 = 256;

/// All images, by workload.
pub(super) fn section(page: &mut Page, runs: &[LoadedRun], table: &Table) {
    page.raw("<h2 id=\"images\">Images</h2>\n");
    let cells: Vec<(&LoadedRun, &Cell)> =
        runs.iter().flat_map(|run| run.run.cells.iter().map(move |cell| (run, cell))).collect();
    let shown: Vec<((&LoadedRun, &Cell), &Row)> =
        cells.into_iter().zip(&table.rows).filter(|((_, cell), _)| cell.image.is_some()).collect();
    if shown.is_empty() {
        page.raw("<p>No cell of these records has an image.</p>\n");
        return;
    }
    page.line(&format!(
        "<p>Left, the image; right, its difference from the reference cell's: dark violet where equal, yellow where a \
         channel is off by {FULL_SCALE} of 255 or more. With random weights the image does not show the prompt: only \
         the difference matters. Images larger than {SHOWN} pixels are shown smaller; the files beside the record have \
         full size.</p>"
    ));
    let mut last = String::new();
    for ((run, cell), row) in shown {
        let name = workload(&cell.key);
        if name != last {
            page.raw(if last.is_empty() { "" } else { "</div>\n" });
            page.line(&format!("<h3>{}</h3>\n<div class=\"images\">", escape(&name)));
            last = name;
        }
        picture(page, run, cell, row);
    }
    page.raw("</div>\n");
}

fn picture(page: &mut Page, run: &LoadedRun, cell: &Cell, row: &Row) {
    page.raw("<figure>\n<div class=\"pair\">\n");
    let ours = load(&run.dir, cell);
    match &ours {
        Ok(ours) => page.line(&tag(ours, &format!("Image of {}", row.label()))),
        Err(why) => page.line(&format!("<p>No image: {}</p>", escape(why))),
    }
    let map = match &cell.quality {
        Reading::Ok(quality) => reference(run, cell, &quality.reference).and_then(|reference| {
            quality::error_map(ours.as_ref().map_err(Clone::clone)?, &reference).map_err(|e| e.to_string())
        }),
        Reading::Denied { why } | Reading::Absent { why } => Err(why.clone()),
    };
    match map {
        Ok(map) => page.line(&tag(&map, &format!("Error map of {} against the reference", row.label()))),
        Err(why) => page.line(&format!("<p>No error map: {}</p>", escape(&why))),
    }
    let scores: Vec<String> = if row.is_identical() {
        vec!["identical to the reference".to_owned()]
    } else {
        let near = [Metric::PSNR, Metric::SSIM, Metric::SSIMULACRA2];
        near.iter().filter_map(|metric| Some(format!("{} {}", metric.title(), row.shown(*metric)?))).collect()
    };
    page.line(&format!(
        "</div>\n<figcaption><b>{}</b><br>{}</figcaption>\n</figure>",
        escape(&row.label()),
        escape(&scores.join(" · "))
    ));
}

/// The image of the cell of that id, in the same run: a reference is of the size of those that are held against it.
fn reference(run: &LoadedRun, ours: &Cell, id: &str) -> Result<RgbImage, String> {
    let size = |cell: &Cell| (cell.key.width, cell.key.height);
    let cell = run.run.cells.iter().find(|cell| size(cell) == size(ours) && cell.key.is_called(id));
    load(&run.dir, cell.ok_or_else(|| format!("the reference cell {id} is not in this record"))?)
}

fn load(dir: &Path, cell: &Cell) -> Result<RgbImage, String> {
    let name = cell.image.as_deref().ok_or("the cell names no image")?;
    // A record is data: it may name files of its own directory only.
    if Path::new(name).file_name().is_none_or(|file| file != name) {
        return Err(format!("\"{name}\" is not a file name"));
    }
    read(&dir.join(name)).map_err(|error| format!("{name}: {error}"))
}

/// A picture of a run's folder.
pub(super) fn read(path: &Path) -> Result<RgbImage, image::ImageError> {
    let file = BufReader::new(open_regular(path)?);
    Ok(image::ImageReader::new(file).with_guessed_format()?.decode()?.into_rgb8())
}

/// An `img` with the picture inside, made smaller if it is large.
fn tag(image: &RgbImage, alt: &str) -> String {
    let largest = image.width().max(image.height());
    let small = if largest > SHOWN {
        let scaled = |side: u32| (u64::from(side) * u64::from(SHOWN) / u64::from(largest)).max(1) as u32;
        Some(imageops::resize(image, scaled(image.width()), scaled(image.height()), FilterType::Triangle))
    } else {
        None
    };
    let image = small.as_ref().unwrap_or(image);
    let mut png = Cursor::new(Vec::new());
    let encoder = PngEncoder::new_with_quality(&mut png, CompressionType::Best, PngFilter::Adaptive);
    if let Err(error) = image.write_with_encoder(encoder) {
        return format!("<p>No image: {}</p>", escape(&error.to_string()));
    }
    let class = if largest < 256 { " class=\"small-image\"" } else { "" };
    format!(
        "<img{class} alt=\"{}\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{}\">",
        escape(alt),
        image.width(),
        image.height(),
        STANDARD.encode(png.into_inner())
    )
}
