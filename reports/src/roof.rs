//! The roof over a cell: the rate that its own mix of instructions could reach on this machine, by the measured peaks.
//!
//! Contract: a cell is put under what was measured for the arithmetic that it really does, on the device that it really ran on, or
//! under nothing, with the reason. A peak that does not look like one is no roof.

use crate::record::{Cell, CellKey, Machine, Peak, Reading, Run, disturbed};
use crate::text::significant;

/// A roof.
#[derive(Clone, Debug, PartialEq)]
pub struct Roof {
    /// 10⁹ operations a second.
    pub value: f64,
    /// What it is made of: `f32, 2 threads: 163 GFLOP/s`.
    pub words: String,
}

/// `2 threads`; where the cell has CPUs of its own, `2 threads on CPUs 4-7`.
fn threads(key: &CellKey) -> String {
    let threads = disturbed::several(key.threads, "thread");
    if key.cpus.is_empty() { threads } else { format!("{threads} on CPUs {}", key.cpus) }
}

/// A peak that can be a roof, or why it cannot.
fn trusted<'a>(machine: &'a Machine, kind: &str, key: &CellKey) -> Result<&'a Peak, String> {
    let peak = machine.peak(kind, key.threads, &key.cpus).filter(|peak| peak.value.is_finite() && peak.value > 0.0);
    let peak = peak.ok_or_else(|| format!("no {kind} peak was measured with {}", threads(key)))?;
    match disturbed::doubtful_peak(machine, peak) {
        Some(why) => Err(format!("the {kind} peak of {} is doubtful: {why}", threads(key))),
        None => Ok(peak),
    }
}

/// The measured peaks that a cell's arithmetic needs: of its few-bit products, where it does them in integers, and of the rest.
pub(crate) fn kinds(cell: &Cell) -> Result<(Vec<&'static str>, &'static str), String> {
    if cell.key.device != "cpu" {
        return Err(format!("no peak of {} was measured", cell.key.device));
    }
    match cell.numerics.value().map(String::as_str) {
        Some("f32" | "weight_only") => Ok((Vec::new(), "f32")),
        Some("int8_activations") => match cell.key.precision.as_str() {
            "q4" => Ok((vec!["q4"], "f32")),
            "q8" => Ok((vec!["q8"], "f32")),
            // Both are in it, most of it in 4 bits: under the higher of the two none can be too high.
            "mixed" => Ok((vec!["q4", "q8"], "f32")),
            other => Err(format!("no peak of 8-bit products with {other} weights was measured")),
        },
        Some(other) => Err(format!("no peak of {other} arithmetic was measured")),
        None => Err("the arithmetic it computes in is not known".to_owned()),
    }
}

/// The roof of a cell, or why there is none.
pub fn of_cell(run: &Run, cell: &Cell) -> Reading<Roof> {
    of(run, cell).map_or_else(Reading::absent, Reading::Ok)
}

fn of(run: &Run, cell: &Cell) -> Result<Roof, String> {
    let (few_bit, rest) = kinds(cell)?;
    let said = threads(&cell.key);
    let peak = trusted(&run.machine, rest, &cell.key)?;
    let rest_words = format!("{rest}, {said}: {} {}", significant(peak.value, 3), peak.unit);
    if few_bit.is_empty() {
        return Ok(Roof { value: peak.value, words: rest_words });
    }
    let products: Vec<&Peak> =
        few_bit.iter().map(|kind| trusted(&run.machine, kind, &cell.key)).collect::<Result<_, _>>()?;
    let best = products.iter().max_by(|a, b| a.value.total_cmp(&b.value)).ok_or("no kind of product")?;
    let model = run.model(&cell.key).ok_or("the record has no counts of this model")?;
    let counts = model.flops_per_image(cell).zip(model.few_bit_flops_per_image(cell));
    let (all, few) = counts.ok_or("the record does not count products with low-bit weights separately")?;
    let rest_flops = all.checked_sub(few).ok_or("the record's counts do not agree")?;
    // The least time of each part, one after the other.
    let least = few as f64 / best.value + rest_flops as f64 / peak.value;
    if least <= 0.0 {
        return Err("the record counts no operation".to_owned());
    }
    let value = all as f64 / least;
    let share = 100.0 * few as f64 / all as f64;
    Ok(Roof {
        value,
        words: format!(
            "{share:.0} % of the operations as {} products, {said}: {} {}; the rest as {rest_words}; together {} GFLOP/s",
            best.kind,
            significant(best.value, 3),
            best.unit,
            significant(value, 3)
        ),
    })
}

/// Why the share of a cell's peak cannot be shown though peaks were measured: they do not look like peaks. `None` for any other
/// reason.
pub fn doubt_of(run: &Run, cell: &Cell) -> Option<String> {
    let (few_bit, rest) = kinds(cell).ok()?;
    let mut all = few_bit.into_iter().chain([rest]);
    all.find_map(|kind| {
        let peak = run.machine.peak(kind, cell.key.threads, &cell.key.cpus)?;
        let why = disturbed::doubtful_peak(&run.machine, peak)?;
        Some(format!("the {kind} peak of {} is doubtful: {why}", threads(&cell.key)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{CellStage, ModelEntry, Role, Stage};

    fn peak(kind: &str, threads: u32, value: f64) -> Peak {
        let samples = [0.97, 0.99, 1.0].map(|share| share * value).to_vec();
        Peak { kind: kind.into(), threads, value, unit: "GFLOP/s".into(), samples, ..Peak::default() }
    }

    fn run(peaks: Vec<Peak>) -> Run {
        let stage =
            |name: &str, flops, few| Stage { name: name.into(), flops, few_bit_flops: Some(few), ..Stage::default() };
        Run {
            machine: Machine {
                physical_cores: Reading::Ok(2),
                logical_cores: Reading::Ok(2),
                peaks,
                ..Machine::default()
            },
            models: vec![ModelEntry {
                name: "tiny".into(),
                // Of an image of 4 steps: 10 + 4 × 100 + 190 = 600, of them 4 × 75 = 300 with few-bit weights.
                stages: vec![stage("text_encoder", 10, 0), stage("denoiser", 100, 75), stage("decoder", 190, 0)],
                ..ModelEntry::default()
            }],
            ..Run::default()
        }
    }

    fn cell(precision: &str, numerics: &str) -> Cell {
        Cell {
            key: CellKey {
                model: "tiny".into(),
                device: "cpu".into(),
                precision: precision.into(),
                threads: 2,
                steps: 4,
                ..CellKey::default()
            },
            stages: [
                ("text_encoder", Role::Encoder, 1),
                ("denoiser", Role::Denoiser, 4),
                ("decoder", Role::Decoder, 1),
            ]
            .map(|(id, role, passes)| CellStage { id: id.into(), role, passes })
            .to_vec(),
            numerics: Reading::Ok(numerics.into()),
            ..Cell::default()
        }
    }

    #[test]
    fn a_cell_is_put_under_its_own_mix() {
        let run = run(vec![peak("f32", 2, 100.0), peak("q4", 2, 300.0), peak("q8", 2, 200.0), peak("int8", 2, 500.0)]);
        let value = |cell: &Cell| of_cell(&run, cell).value().map(|roof| roof.value);
        assert_eq!(value(&cell("f32", "f32")), Some(100.0));
        assert_eq!(value(&cell("q4", "weight_only")), Some(100.0), "few bits unpacked and multiplied in f32");
        // 300 at 300 and 300 at 100: 4 units of time for 600 operations, and not 600 at 500.
        assert_eq!(value(&cell("q4", "int8_activations")), Some(150.0));
        assert_eq!(value(&cell("q8", "int8_activations")), Some(600.0 / 4.5));
        assert_eq!(value(&cell("mixed", "int8_activations")), Some(150.0));
        let words = &of_cell(&run, &cell("q4", "int8_activations")).value().unwrap().words.clone();
        assert!(words.starts_with("50 % of the operations as q4 products, 2 threads: 300"), "{words}");
    }

    #[test]
    fn what_was_not_measured_is_no_roof() {
        let mut run = run(vec![peak("f32", 2, 100.0), peak("q4", 2, 300.0)]);
        let why = |run: &Run, cell: &Cell| of_cell(run, cell).why().unwrap_or_default().to_owned();
        let mut gpu = cell("f32", "f32");
        gpu.key.device = "cuda".into();
        assert_eq!(why(&run, &gpu), "no peak of cuda was measured");
        assert_eq!(why(&run, &cell("f32", "f64")), "no peak of f64 arithmetic was measured");
        assert_eq!(
            why(&run, &Cell { numerics: Reading::absent("x"), ..cell("f32", "f32") }),
            "the arithmetic it computes in is not known"
        );
        assert_eq!(why(&run, &cell("q8", "int8_activations")), "no q8 peak was measured with 2 threads");
        let mut one = cell("f32", "f32");
        one.key.threads = 1;
        assert_eq!(why(&run, &one), "no f32 peak was measured with 1 thread");
        run.models[0].stages[1].few_bit_flops = None;
        assert!(why(&run, &cell("q4", "int8_activations")).contains("does not count"), "an older record");
        assert_eq!(of_cell(&run, &cell("f32", "f32")).value().map(|roof| roof.value), Some(100.0));
    }

    #[test]
    fn a_doubtful_peak_is_no_roof_and_says_why() {
        let run = run(vec![peak("f32", 1, 100.0), peak("f32", 2, 101.0), peak("q4", 2, 300.0)]);
        let (f32, q4) = (cell("f32", "f32"), cell("q4", "int8_activations"));
        for cell in [&f32, &q4] {
            let why = of_cell(&run, cell).why().unwrap().to_owned();
            assert!(why.starts_with("the f32 peak of 2 threads is doubtful: it is only 1.01 times"), "{why}");
            assert_eq!(doubt_of(&run, cell).as_deref(), Some(why.as_str()));
        }
        assert_eq!(doubt_of(&run, &cell("f32", "f64")), None);
    }
}
