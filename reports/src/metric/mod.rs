//! The numbers of a cell: what each is called, its unit, which way is better, how it is taken, where it is shown and judged.
//!
//! Contract: [`ALL`] is the one list. Tables, CSV, JSON, page, history, gate and glossary go through it, and nothing but a
//! row of it decides anything about a number. One name is one estimator: what a launch or a record gives stands in [`take`],
//! and a cell's number is the median of its launches' numbers.

mod counts;
mod definition;
mod energy;
mod figures;
mod list;
mod read;
mod show;
pub mod take;
mod taken;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use definition::{Basis, Better, Csv, Definition, Detail, Enforce, Followed, Judged, Scale, Shown, Unit};
pub use figures::{Figures, of, of_cell, of_launch};
pub use list::ALL;
pub use taken::{Figure, Taken};

/// A number: a row of [`ALL`], or one denoiser step of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Metric {
    /// Its place in [`ALL`].
    place: usize,
    /// Which step, 0 the first; `None`: all together.
    step: Option<u32>,
}

/// The numbers that this program speaks of by name. Every other is reached through [`Metric::all`].
impl Metric {
    /// Seconds of one steady image.
    pub const IMAGE: Self = Self::of("image_s");
    /// Seconds of a process's first image.
    pub const FIRST_IMAGE: Self = Self::of("first_image_s");
    /// Seconds of the text encoder.
    pub const TEXT_ENCODER: Self = Self::of("text_encoder_s");
    /// Seconds of one denoiser step.
    pub const DENOISER_STEP: Self = Self::of("denoiser_step_s");
    /// Seconds of the decoder.
    pub const DECODER: Self = Self::of("decoder_s");
    /// Seconds of the rest of an image.
    pub const REST: Self = Self::of("rest_s");
    /// Seconds of an image of a sustained run when it has settled.
    pub const SETTLED: Self = Self::of("settled_s");
    /// Seconds of an image of a sustained run at first.
    pub const AT_FIRST: Self = Self::of("at_first_s");
    /// Minutes until a sustained run was held back.
    pub const FIRST_CAP: Self = Self::of("first_cap_min");
    /// Readings that [`Self::ENERGY`] is made of.
    pub const ENERGY_SAMPLES: Self = Self::of("energy_samples");
    /// What company got done, as a share of what it gets done alone.
    pub const COMPANY_SHARE: Self = Self::of("company_share");
    /// Share of the battery that an hour takes.
    pub const BATTERY: Self = Self::of("battery_share_per_hour");
    /// Peak memory.
    pub const PEAK: Self = Self::of("peak_bytes");
    /// Bytes of weights on disk.
    pub const WEIGHTS_DISK: Self = Self::of("weights_disk_bytes");
    /// Rate of floating-point operations.
    pub const GIGAFLOPS: Self = Self::of("gflops");
    /// The same as a share of the measured peak.
    pub const PEAK_SHARE: Self = Self::of("peak_share");
    /// Energy of one image.
    pub const ENERGY: Self = Self::of("energy_j");
    /// Distance of the last latent from the reference's.
    pub const LATENT: Self = Self::of("latent_relative_l2");
    /// PSNR of the image against the reference's.
    pub const PSNR: Self = Self::of("psnr_db");
    /// Structural similarity of the image to the reference's.
    pub const SSIM: Self = Self::of("ssim");
    /// SSIMULACRA2 of the image against the reference's.
    pub const SSIMULACRA2: Self = Self::of("ssimulacra2");
    /// Share of nodes on the device asked for.
    pub const PLACEMENT: Self = Self::of("placement_share");
    /// Share of names whose own data picture is the nearest.
    pub const RETRIEVAL: Self = Self::of("retrieval_at_1");
    /// PSNR to the reference cell's pictures of many prompts.
    pub const PROMPTS_PSNR: Self = Self::of("prompts_psnr_db");
    /// Instructions of an image by the processor's own counter.
    pub const INSTRUCTIONS: Self = Self::of("image_instructions");
    /// Instructions of an image, counted in a simulator.
    pub const COUNTED: Self = Self::of("counted_instructions");
    /// Seconds of an iteration of a criterion benchmark.
    pub const ITERATION: Self = Self::of("iteration_s");
}

impl Metric {
    /// The row of that name, looked up while this program is compiled: an unknown name does not compile.
    const fn of(name: &str) -> Self {
        let mut place = 0;
        while place < ALL.len() {
            if same(ALL[place].name, name) {
                return Self { place, step: None };
            }
            place += 1;
        }
        panic!("there is no number of that name");
    }

    /// Every number, single steps apart.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        (0..ALL.len()).map(|place| Self { place, step: None })
    }

    /// Every number that the gate judges.
    pub fn judged() -> impl Iterator<Item = Self> + Clone {
        Self::all().filter(|metric| matches!(metric.definition().gate, Judged::By { .. }))
    }

    /// Every number that is followed from run to run.
    pub fn followed() -> impl Iterator<Item = Self> + Clone {
        Self::all().filter(|metric| metric.series_id().is_some())
    }

    /// Every number that is shown there.
    pub fn shown(there: Shown) -> impl Iterator<Item = Self> + Clone {
        Self::all().filter(move |metric| metric.definition().shown == there)
    }

    /// The number of that name; `denoiser_step_2_s` is one step.
    pub fn named(name: &str) -> Option<Self> {
        let known = |wanted: &str| Self::all().find(|metric| metric.definition().name == wanted);
        known(name).or_else(|| {
            // One step stands in the midst of the name of all: denoiser_step_2_s.
            Self::all().filter(|metric| metric.has_steps()).find_map(|metric| {
                let (head, unit) = metric.definition().name.rsplit_once('_')?;
                let number = name.strip_prefix(head)?.strip_prefix('_')?.strip_suffix(unit)?.strip_suffix('_')?;
                number.parse().ok().map(|step| metric.step(step))
            })
        })
    }

    /// Its row.
    pub fn definition(self) -> &'static Definition {
        &ALL[self.place]
    }

    /// Its place in [`ALL`].
    pub(crate) fn place(self) -> usize {
        self.place
    }

    /// The same of one denoiser step, 0 the first.
    #[must_use]
    pub fn step(self, step: u32) -> Self {
        Self { step: Some(step), ..self }
    }

    /// Which step it is of, 0 the first; `None`: of all together.
    pub fn of_step(self) -> Option<u32> {
        self.step
    }

    /// Whether each denoiser step is a number of its own besides.
    pub fn has_steps(self) -> bool {
        match self.definition().taken {
            Taken::Steps(_) => self.step.is_none(),
            Taken::Launch(_)
            | Taken::LaunchOf(_)
            | Taken::Image(_)
            | Taken::Stage(_)
            | Taken::Sustained(_)
            | Taken::Cell(_)
            | Taken::Counted(_)
            | Taken::Run(_)
            | Taken::Pictures(_)
            | Taken::Benchmark => false,
        }
    }

    /// Its name in files, with the unit in it.
    pub fn name(self) -> String {
        let name = self.definition().name;
        match (self.step, name.rsplit_once('_')) {
            (Some(step), Some((head, unit))) => format!("{head}_{step}_{unit}"),
            (Some(_), None) | (None, _) => name.to_owned(),
        }
    }

    /// The name under which `gate.toml` has its threshold: single steps share that of all.
    pub fn family(self) -> &'static str {
        self.definition().name
    }

    /// In words: `steady image`, `denoiser step 2`.
    pub fn title(self) -> String {
        let title = self.definition().title;
        self.step.map_or_else(|| title.to_owned(), |step| format!("{title} {}", step + 1))
    }

    /// Its unit.
    pub fn unit(self) -> Unit {
        self.definition().unit
    }

    /// Which way is better.
    pub fn better(self) -> Better {
        self.definition().better
    }

    /// How its changes are expressed.
    pub fn scale(self) -> Scale {
        self.definition().scale
    }

    /// What its samples are.
    pub fn basis(self) -> Basis {
        match self.definition().taken {
            Taken::Launch(_)
            | Taken::LaunchOf(_)
            | Taken::Image(_)
            | Taken::Stage(_)
            | Taken::Steps(_)
            | Taken::Sustained(_) => Basis::Launches,
            Taken::Counted(_) => Basis::Counted,
            Taken::Cell(_) | Taken::Run(_) | Taken::Pictures(_) => Basis::Value,
            Taken::Benchmark => Basis::Iterations,
        }
    }

    /// Its value for the cell that others are held against: as near to the reference as can be. `None` of numbers that are no
    /// nearness of one image to the reference's.
    pub fn of_the_reference(self) -> Option<f64> {
        match (self.definition().taken, self.unit()) {
            (Taken::Cell(_), Unit::Relative) => Some(0.0),
            (Taken::Cell(_), Unit::Decibels) => Some(f64::INFINITY),
            (Taken::Cell(_), Unit::Similarity) => Some(1.0),
            (Taken::Cell(_), Unit::Points) => Some(100.0),
            _ => None,
        }
    }

    /// Whether it is of pictures of many prompts, which a run apart from timing makes.
    pub fn is_of_many_prompts(self) -> bool {
        matches!(self.definition().taken, Taken::Pictures(_))
    }

    /// Whether it says how good pictures are, or how near to the reference's.
    pub fn is_of_pictures(self) -> bool {
        self.is_of_many_prompts() || self.of_the_reference().is_some()
    }

    /// Whether it is of images in the steady state, and so says little of a process that never came there.
    pub fn is_of_steady_images(self) -> bool {
        match self.definition().taken {
            Taken::Image(_) | Taken::Stage(_) | Taken::Steps(_) | Taken::Sustained(_) | Taken::Run(_) => true,
            Taken::Cell(_) => self.unit() == Unit::Seconds,
            Taken::Launch(_) | Taken::LaunchOf(_) | Taken::Counted(_) | Taken::Pictures(_) | Taken::Benchmark => false,
        }
    }

    /// Whether only sustained runs have it.
    pub fn is_of_sustained_launches(self) -> bool {
        matches!(self.definition().taken, Taken::Sustained(_))
    }

    /// What the ids of its series are made from; `None` if it is not followed.
    pub fn series_id(self) -> Option<&'static str> {
        match self.definition().history {
            Followed::As { id, .. } => self.step.is_none().then_some(id),
            Followed::Not { .. } => None,
        }
    }

    /// Whether a slower machine moves it too.
    pub fn moves_with_the_machine(self) -> bool {
        self.basis() == Basis::Launches && self.unit().is_of_time()
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl From<Metric> for String {
    fn from(metric: Metric) -> Self {
        metric.name()
    }
}

/// A name that no number has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric \"{0}\"")]
pub struct UnknownMetric(pub String);

impl TryFrom<String> for Metric {
    type Error = UnknownMetric;

    fn try_from(name: String) -> Result<Self, UnknownMetric> {
        Self::named(&name).ok_or(UnknownMetric(name))
    }
}

/// The glossary of numbers, as `docs/GLOSSARY.md` has it: a line of a Markdown table for each.
pub fn glossary() -> String {
    let line =
        |row: &Definition| format!("| `{}` | {} | {} | {} |\n", row.name, row.title, row.unit.name(), row.glossary);
    ALL.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_lead_back() {
        for metric in Metric::all().chain([Metric::DENOISER_STEP.step(0), Metric::DENOISER_STEP.step(13)]) {
            assert_eq!(Metric::named(&metric.name()), Some(metric));
        }
        assert_eq!(Metric::DENOISER_STEP.step(2).name(), "denoiser_step_2_s");
        assert_eq!(Metric::DENOISER_STEP.step(2).title(), "denoiser step 3");
        assert!(Metric::try_from("speed".to_owned()).unwrap_err().to_string().contains("speed"));
        for none in ["", "image", "image_2_s", "denoiser_step__s", "denoiser_step_x_s", "denoiser_step_-1_s"] {
            assert_eq!(Metric::named(none), None, "{none}");
        }
    }

    #[test]
    fn every_row_is_whole_and_its_own() {
        let mut places = BTreeSet::new();
        let (mut names, mut ids, mut headings) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for metric in Metric::all() {
            let row = metric.definition();
            assert!(names.insert(row.name), "{metric} stands there twice");
            assert!(headings.insert(row.heading), "{metric}: two columns are called {}", row.heading);
            for words in [row.title, row.heading, row.glossary] {
                assert!(!words.trim().is_empty() && !words.contains(['|', '\n']), "{metric}: {words}");
            }
            match row.csv {
                Csv::Column(place) | Csv::Bounded(place) | Csv::WhereKnown(place) => {
                    assert!(places.insert(place), "{metric}: two at {place}")
                }
                Csv::Not => assert_eq!(row.shown, Shown::Verdicts, "{metric} is in no CSV"),
            }
            match row.gate {
                Judged::By { max_change, floor, reason, .. } => {
                    assert!(max_change >= 0.0 && floor >= 0.0 && reason.len() > 5, "{metric}");
                    // What needs the machine's peaks or the model is not at hand where a gate judges.
                    assert!(!matches!(row.taken, Taken::Run(_)), "{metric} cannot be judged");
                }
                Judged::Not { why } => assert!(why.len() > 5, "{metric}"),
            }
            match row.history {
                Followed::As { id, since, .. } => assert!(ids.insert(id) && since >= 2, "{metric}"),
                Followed::Not { why } => assert!(why.len() > 5, "{metric}"),
            }
        }
    }

    #[test]
    fn the_glossary_has_every_number() {
        let docs = include_str!("../../../docs/GLOSSARY.md");
        let missing: Vec<String> = glossary().lines().filter(|line| !docs.contains(line)).map(str::to_owned).collect();
        assert!(missing.is_empty(), "docs/GLOSSARY.md lacks or has otherwise:\n{}", missing.join("\n"));
    }
}
