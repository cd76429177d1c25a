//! Plots of one profiled cell: where the time of an image goes (a flame graph), and how near each kind of operation comes
//! to what the machine can do (a roofline).

use std::collections::BTreeMap;

use super::Figure;
use super::axis::Axis;
use super::canvas::{Anchor, BADGE, Canvas, Ink, PlotError, SMALL, WIDTH, draw, estimate, spread};
use crate::record::{Cell, Machine, ProfileRow, Role, disturbed};
use crate::{roof, text};

/// Height of a flame graph's row.
const ROW: i32 = 26;

/// The colour of a kind of operation.
fn ink(op: &str) -> Ink {
    match op {
        "Linear" => Ink::Backend(0),
        "Attention" => Ink::Backend(1),
        "Conv2d" => Ink::Backend(2),
        "LayerNorm" | "GroupNorm" | "RmsNorm" | "Modulate" | "GatedAdd" | "Lerp" | "Add" | "Mul" | "Scale" | "Rope"
        | "Gelu" | "Silu" | "Relu" | "Relu6" | "Sigmoid" | "Tanh" => Ink::Backend(4),
        _ => Ink::Backend(3),
    }
}

/// One image from left to right, and below each part what it is made of: stage, block, operation.
pub(crate) fn flame(cell: &Cell, rows: &[ProfileRow]) -> Result<Option<Figure>, PlotError> {
    const TOP: i32 = 26;
    let total: f64 = rows.iter().map(|row| cell.passes_of(&row.stage) * row.seconds).sum();
    if total <= 0.0 {
        return Ok(None);
    }
    let units = |seconds: f64| f64::from(WIDTH) * seconds / total;
    let stages = in_order(rows.iter().map(|row| row.stage.as_str()));
    let legend = [
        ("linear".to_owned(), Ink::Backend(0), 1.0),
        ("attention".to_owned(), Ink::Backend(1), 1.0),
        ("convolution".to_owned(), Ink::Backend(2), 1.0),
        ("elementwise, norms".to_owned(), Ink::Backend(4), 1.0),
        ("moves and the rest".to_owned(), Ink::Backend(3), 1.0),
    ];
    let share = |stage: &str| {
        rows.iter().filter(|row| row.stage == stage).map(|row| cell.passes_of(stage) * row.seconds).sum::<f64>() / total
    };
    let said: Vec<String> =
        stages.iter().map(|stage| format!("{} {}", stage.replace('_', " "), text::percent(share(stage)))).collect();
    let alt = format!("Flame graph of one image: {}.", text::list(&said));
    let svg = draw("flame", &alt, TOP + 3 * ROW + 50, |canvas| {
        canvas.text("one image: stage, block, operation; width is time", (0, 8), SMALL, Anchor::Start, Ink::Muted)?;
        let mut x = 0.0;
        for stage in &stages {
            let times = cell.passes_of(stage);
            let inside: Vec<&ProfileRow> = rows.iter().filter(|row| row.stage == *stage).collect();
            let width = units(times * inside.iter().map(|row| row.seconds).sum::<f64>());
            let stage_ink = super::bars::ink(cell.role_of(stage).unwrap_or(Role::Other), 0);
            let mut name = stage.replace('_', " ");
            if times > 1.0 {
                name.push_str(&format!(" ×{times}"));
            }
            tile(canvas, (x, TOP), width, stage_ink, 1.0, &name)?;
            let mut block_x = x;
            let blocks = in_order(inside.iter().map(|row| row.scope.as_deref().unwrap_or("")));
            for (index, block) in blocks.iter().enumerate() {
                let parts = inside.iter().filter(|row| row.scope.as_deref().unwrap_or("") == *block);
                let width = units(times * parts.clone().map(|row| row.seconds).sum::<f64>());
                let alpha = if index % 2 == 0 { 0.75 } else { 0.5 };
                tile(canvas, (block_x, TOP + ROW), width, stage_ink, alpha, block)?;
                let mut parts: Vec<&&ProfileRow> = parts.collect();
                parts.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
                let mut part_x = block_x;
                for row in parts {
                    let width = units(times * row.seconds);
                    tile(canvas, (part_x, TOP + 2 * ROW), width, ink(&row.op), 1.0, &row.op)?;
                    part_x += width;
                }
                block_x += width;
            }
            x += width;
        }
        canvas.legend(TOP + 3 * ROW + 8, &legend)?;
        Ok(())
    })?;
    Ok(Some(Figure {
        id: "flame",
        title: "Where an image's time goes".into(),
        svg,
        caption: "One image from left to right: the stages, below them their blocks in order, below those their kinds \
                  of operation, the largest first. Widths are times under the profiler; a block without a name was \
                  added by the runtime. The trace has every node: open it at ui.perfetto.dev."
            .into(),
        key: Vec::new(),
    }))
}

/// A rectangle with its name, if that fits.
fn tile(canvas: &Canvas, (x, y): (f64, i32), width: f64, ink: Ink, alpha: f64, name: &str) -> Result<(), PlotError> {
    let (left, right) = (x.round() as i32, (x + width).round() as i32);
    // One unit is left free on the right, so that neighbours can be told apart.
    let drawn = (right - left - 1).max(i32::from(right > left));
    if drawn == 0 {
        return Ok(());
    }
    canvas.rect((left, y), (drawn, ROW - 2), ink, alpha)?;
    if estimate(name, SMALL) <= drawn - 4 {
        let text = if alpha < 0.7 { Ink::Text } else { Ink::Paper };
        canvas.text(name, (left + drawn / 2, y + ROW / 2 - 1), SMALL, Anchor::Middle, text)?;
    }
    Ok(())
}

fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// What one kind of operation does in an image.
#[derive(Clone, Copy, Debug, Default)]
struct Work {
    seconds: f64,
    flops: f64,
    bytes: f64,
}

/// Rates against arithmetic intensity, under the machine's measured peaks.
pub(crate) fn roofline(cell: &Cell, rows: &[ProfileRow], machine: &Machine) -> Result<Option<Figure>, PlotError> {
    const LEFT: i32 = 46;
    const RIGHT: i32 = WIDTH - 6;
    const TOP: i32 = 24;
    const BOTTOM: i32 = 250;
    let Ok((few_bit, rest)) = roof::kinds(cell) else { return Ok(None) };
    // No roof if they do not look like peaks.
    let peak = |kind: &str| {
        machine
            .peak(kind, cell.key.threads, &cell.key.cpus)
            .filter(|peak| peak.value > 0.0 && disturbed::doubtful_peak(machine, peak).is_none())
            .map(|peak| peak.value)
    };
    let (Some(flops), Some(bandwidth)) = (peak(rest), peak("bandwidth")) else { return Ok(None) };
    // Linears with weights in few bits, where activations are rounded to 8: what such products reach, and nothing else of the cell.
    let integer = few_bit.into_iter().filter_map(peak).max_by(f64::total_cmp);
    let mut work: BTreeMap<&str, Work> = BTreeMap::new();
    for row in rows {
        let (Some(row_flops), Some(row_bytes)) = (row.flops, row.bytes) else { continue };
        let times = cell.passes_of(&row.stage);
        let sum = work.entry(&row.op).or_default();
        sum.seconds += times * row.seconds;
        sum.flops += times * row_flops as f64;
        sum.bytes += times * row_bytes as f64;
    }
    let mut points: Vec<(&str, f64, f64, f64)> = work
        .iter()
        .filter(|(_, work)| work.seconds > 0.0 && work.flops > 0.0 && work.bytes > 0.0)
        .map(|(op, work)| (*op, work.flops / work.bytes, work.flops / work.seconds / 1e9, work.seconds))
        .collect();
    if points.is_empty() {
        return Ok(None);
    }
    points.sort_by(|a, b| b.3.total_cmp(&a.3));
    let ridge = flops / bandwidth;
    let across_values = points.iter().map(|point| point.1).chain([ridge, ridge / 4.0, ridge * 4.0]);
    let down_values = points.iter().map(|point| point.2).chain([flops]).chain(integer);
    let across = Axis::new(across_values, 1.5, LEFT + BADGE, RIGHT - BADGE);
    let down = Axis::new(down_values, 1.5, BOTTOM, TOP);
    let (Some(across), Some(down)) = (across, down) else { return Ok(None) };
    let roof = |op: &str, intensity: f64| {
        let flat = if op == "Linear" { integer.unwrap_or(flops) } else { flops };
        (bandwidth * intensity).min(flat)
    };
    let said: Vec<String> = points
        .iter()
        .map(|(op, intensity, rate, _)| format!("{op} at {} of its roof", text::percent(rate / roof(op, *intensity))))
        .collect();
    let alt = format!("Roofline: {}.", text::list(&said));
    let places: Vec<(i32, i32)> = points.iter().map(|point| (across.place(point.1), down.place(point.2))).collect();
    let badges = spread(&places, ((LEFT, TOP), (RIGHT, BOTTOM)));
    let svg = draw("roofline", &alt, BOTTOM + 38, |canvas| {
        canvas.text("GFLOP/s (log)", (0, 8), SMALL, Anchor::Start, Ink::Muted)?;
        for tick in down.ticks() {
            let y = down.place(tick);
            canvas.path(vec![(LEFT, y), (RIGHT, y)], 1, Ink::Grid, 1.0)?;
            canvas.text(&text::significant(tick, 2), (LEFT - 6, y), SMALL, Anchor::End, Ink::Muted)?;
        }
        for tick in across.ticks() {
            canvas.text(
                &text::significant(tick, 2),
                (across.place(tick), BOTTOM + 12),
                SMALL,
                Anchor::Middle,
                Ink::Muted,
            )?;
        }
        canvas.text("FLOPs a byte (log)", (RIGHT, BOTTOM + 29), SMALL, Anchor::End, Ink::Muted)?;
        let corner = (across.place(ridge), down.place(flops));
        // The slope of the bandwidth roof, down to the plot's edge.
        let lowest = points.iter().map(|point| point.2).fold(flops, f64::min).max(bandwidth * 1e-6);
        let from = (lowest / bandwidth).max(points.iter().map(|point| point.1).fold(ridge, f64::min));
        canvas.path(
            vec![(across.place(from), down.place(roof("", from))), corner, (RIGHT, corner.1)],
            2,
            Ink::Front,
            1.0,
        )?;
        let words = format!("f32 peak {}", text::significant(flops, 3));
        canvas.text(&words, (RIGHT, corner.1 - 8), SMALL, Anchor::End, Ink::Muted)?;
        if let Some(integer) = integer {
            let y = down.place(integer);
            canvas.path(vec![(corner.0, y), (RIGHT, y)], 1, Ink::Muted, 1.0)?;
            let words = format!("8-bit products in groups {}", text::significant(integer, 3));
            canvas.text(&words, (RIGHT, y - 8), SMALL, Anchor::End, Ink::Muted)?;
        }
        for (place, badge) in places.iter().zip(&badges) {
            canvas.path(vec![*place, *badge], 1, Ink::Muted, 1.0)?;
            canvas.dot(*place, 3, Ink::Text, 1.0)?;
        }
        for (number, (point, badge)) in (1..).zip(points.iter().zip(&badges)) {
            canvas.badge(*badge, number, ink(point.0))?;
        }
        Ok(())
    })?;
    let label = |(op, intensity, rate, seconds): &(&str, f64, f64, f64)| {
        let of_roof = text::percent(rate / roof(op, *intensity));
        format!("{op}: {} an image, {of_roof} of its roof", text::seconds(*seconds))
    };
    Ok(Some(Figure {
        id: "roofline",
        title: "How close to the machine's peak".into(),
        svg,
        caption: "The rate of each kind of operation of an image, under the rates that our own loops reached on this \
                  machine with this number of threads: sloping, memory bandwidth (reading three arrays side by side); \
                  flat, arithmetic (8-bit products in groups for linears whose activations are rounded to 8 bits, else \
                  f32). Bytes are counted once, in f32 and with weights as stored, so data that stays in cache can lie \
                  above the slope."
            .into(),
        key: (1..).zip(&points).map(|(number, point)| (number, ink(point.0).class(), label(point))).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Peak;

    fn rows() -> Vec<ProfileRow> {
        let row = |stage: &str, scope: Option<&str>, op: &str, seconds, flops, bytes| ProfileRow {
            stage: stage.into(),
            scope: scope.map(str::to_owned),
            op: op.into(),
            nodes: 3,
            seconds,
            flops: Some(flops),
            bytes: Some(bytes),
        };
        vec![
            row("text_encoder", Some("0"), "Linear", 0.01, 100_000_000, 1_000_000),
            row("denoiser", Some("up.0"), "Linear", 0.2, 10_000_000_000, 100_000_000),
            row("denoiser", Some("up.0"), "Attention", 0.1, 3_000_000_000, 10_000_000),
            row("denoiser", None, "Cast", 0.02, 0, 10_000_000),
            row("decoder", Some("conv_in"), "Conv2d", 0.05, 2_000_000_000, 50_000_000),
        ]
    }

    fn cell() -> Cell {
        let mut cell = Cell::default();
        (cell.key.steps, cell.key.threads, cell.key.device) = (4, 2, "cpu".into());
        cell.numerics = crate::record::Reading::Ok("f32".into());
        cell.stages =
            [("text_encoder", Role::Encoder, 1), ("denoiser", Role::Denoiser, 4), ("decoder", Role::Decoder, 1)]
                .map(|(id, role, passes)| crate::record::CellStage { id: id.into(), role, passes })
                .to_vec();
        cell
    }

    #[test]
    fn the_flame_graph_counts_the_denoiser_once_a_step() {
        let figure = flame(&cell(), &rows()).unwrap().unwrap();
        // 4 × 0.32 of 4 × 0.32 + 0.01 + 0.05.
        assert!(figure.svg.contains("denoiser ×4") && figure.svg.contains("denoiser 95.5"), "{}", figure.svg);
    }

    #[test]
    fn the_roofline_wants_peaks_and_shows_shares_of_them() {
        let peak = |kind: &str, value| Peak { kind: kind.into(), threads: 2, value, ..Peak::default() };
        let machine = |peaks: &[Peak]| Machine { peaks: peaks.to_vec(), ..Machine::default() };
        let only = machine(&[peak("f32", 100.0)]);
        assert!(roofline(&cell(), &rows(), &only).unwrap().is_none(), "no bandwidth, no roof");
        let mut known = machine(&[peak("f32", 100.0), peak("bandwidth", 10.0), peak("q4", 400.0)]);
        let figure = roofline(&cell(), &rows(), &known).unwrap().unwrap();
        // Linear: 4 × 10 G + 0.1 G FLOPs in 0.81 s: 49.5 GFLOP/s of 100.
        let label = &figure.key[0].2;
        assert!(label.starts_with("Linear: 810") && label.contains("49.5"), "{label}");
        assert!(!figure.key.iter().any(|(_, _, label)| label.starts_with("Cast")), "no FLOPs, no point");
        // In 8 bits the linear is under its own products, the attention is not.
        let mut integer = cell();
        integer.key.precision = "q4".into();
        integer.numerics = crate::record::Reading::Ok("int8_activations".into());
        let figure = roofline(&integer, &rows(), &known).unwrap().unwrap();
        assert!(figure.key[0].2.contains("12.4"), "49.5 of 400: {}", figure.key[0].2);
        // A device's cell is under nothing of the processor's, and a doubtful peak is no roof.
        let mut gpu = cell();
        gpu.key.device = "cuda".into();
        assert!(roofline(&gpu, &rows(), &known).unwrap().is_none());
        known.peaks[1].samples = vec![4.0, 4.0, 10.0];
        assert!(roofline(&cell(), &rows(), &known).unwrap().is_none());
    }
}
