//! What cells took on this machine before: what estimates are taken from, before any table is asked.
//!
//! Contract: lines of JSON, one for each cell of a run that was measured, in the order in which runs ended; a later line of a [`Subject`] takes
//! the place of an earlier one. What another program measured says nothing: another build, or another version of a library. A line
//! that cannot be read, or that is of another machine, is counted and left alone: what is remembered makes estimates better and never stops
//! a run. Nothing of it enters a record.

use std::cmp::Ordering;

use ditbench_record::CellKey;
use serde::{Deserialize, Serialize};

/// Version of [`Remembered`] as JSON.
const VERSION: u32 = 1;

/// What times are of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Which cell.
    pub key: CellKey,
    /// A hash of its model's config: models of one name can differ.
    pub config: String,
    /// A hash of what computes: this program's revision and build, and the backend's version.
    pub program: String,
}

impl Subject {
    /// Whether it is run as another is, on whatever model: by the same program, in the same way, precision, device, threads and use of
    /// memory, in the same company.
    fn is_run_like(&self, other: &Self) -> bool {
        let of = |subject: &Self| {
            let program = subject.program.clone();
            let CellKey { backend, variant, device, precision, memory, cpus, threads, company, .. } =
                subject.key.clone();
            (program, backend, variant, device, precision, memory, cpus, threads, company)
        };
        of(self) == of(other)
    }
}

/// What one cell took in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// Version of this line: `VERSION`.
    pub version: u32,
    /// The machine, by the fingerprint that a history knows it by.
    pub machine: String,
    /// When the run began, RFC 3339 in UTC.
    pub measured: String,
    /// Of what.
    pub of: Subject,
    /// Launches that ended well and that nothing spoiled.
    pub launches: usize,
    /// Floating-point operations of one image; 0 where they are not counted.
    pub flops_per_image: f64,
    /// Bytes of memory that the table says of the cell: what another cell's memory is scaled by. `None` where it says nothing.
    pub assumed_bytes: Option<u64>,
    /// Its times.
    pub times: Times,
    /// The most bytes resident; `None` where nobody looked.
    pub memory_bytes: Option<u64>,
}

/// Times of a launch, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// From the start of the process to the start of its first image, without writing files that later launches find.
    pub ready_s: f64,
    /// The first image.
    pub first_image_s: f64,
    /// Each further image; `None` where no launch made one.
    pub image_s: Option<f64>,
}

impl Times {
    /// An image that is not the first, as far as is known.
    pub fn image_s(&self) -> f64 {
        self.image_s.unwrap_or(self.first_image_s)
    }

    /// The same with images that take so many times as long. Getting ready takes what it takes.
    #[must_use]
    pub fn slower(&self, by: f64) -> Self {
        Self { first_image_s: by * self.first_image_s, image_s: self.image_s.map(|seconds| by * seconds), ..*self }
    }

    fn are_sound(&self) -> bool {
        let sound = |seconds: f64| seconds.is_finite() && seconds >= 0.0;
        sound(self.ready_s) && sound(self.first_image_s) && sound(self.image_s()) && self.image_s() > 0.0
    }
}

impl Remembered {
    /// What a cell took.
    pub fn new(machine: String, measured: String, of: Subject, launches: usize, times: Times) -> Self {
        Self {
            version: VERSION,
            machine,
            measured,
            of,
            launches,
            flops_per_image: 0.0,
            assumed_bytes: None,
            times,
            memory_bytes: None,
        }
    }

    /// The day on which it was measured: `2026-11-28`.
    pub fn day(&self) -> &str {
        self.measured.split('T').next().unwrap_or(&self.measured)
    }

    /// `nano 64×64`: the model and its size.
    pub fn model(&self) -> String {
        let key = &self.of.key;
        format!("{} {}×{}", key.name(), key.width, key.height)
    }
}

/// All that is remembered of one machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Experience {
    /// The latest of each cell.
    cells: Vec<Remembered>,
    /// Lines that could not be read.
    damaged: usize,
    /// Lines of other machines.
    others: usize,
}

impl Experience {
    /// What the lines say of a machine.
    pub fn parse(text: &str, machine: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let read = serde_json::from_str::<Remembered>(line).ok();
            match read.filter(|cell| cell.version == VERSION && cell.times.are_sound()) {
                None => all.damaged += 1,
                Some(cell) if cell.machine != machine => all.others += 1,
                Some(cell) => all.learn(cell),
            }
        }
        all
    }

    /// What to say of lines that are not used; `None` if there is nothing.
    pub fn note(&self) -> Option<String> {
        let damaged = match self.damaged {
            0 => None,
            1 => Some("1 line of it cannot be read and is ignored".to_owned()),
            count => Some(format!("{count} lines of it cannot be read and are ignored")),
        };
        let others = self.cells.is_empty() && self.others > 0;
        let others = others.then(|| "everything in it was measured on other machines".to_owned());
        let said: Vec<String> = damaged.into_iter().chain(others).collect();
        (!said.is_empty()).then(|| said.join("; "))
    }

    fn learn(&mut self, cell: Remembered) {
        match self.cells.iter_mut().find(|old| old.of == cell.of) {
            // First images alone do not teach what further ones take.
            Some(old) if cell.times.image_s.is_some() || old.times.image_s.is_none() => *old = cell,
            Some(_) => {}
            None => self.cells.push(cell),
        }
    }

    /// What the cell itself took.
    pub fn of(&self, subject: &Subject) -> Option<&Remembered> {
        self.cells.iter().find(|cell| cell.of == *subject)
    }

    /// Of the cells that were run in the same way, the one whose images take the most similar number of operations.
    pub fn nearest(&self, subject: &Subject, flops_per_image: f64) -> Option<&Remembered> {
        let known = self.cells.iter().filter(|cell| cell.of.is_run_like(subject) && cell.flops_per_image > 0.0);
        let far = |cell: &&Remembered| (cell.flops_per_image / flops_per_image).ln().abs();
        known.filter(|_| flops_per_image > 0.0).min_by(|a, b| far(a).partial_cmp(&far(b)).unwrap_or(Ordering::Equal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(model: &str, image_s: Option<f64>) -> Remembered {
        let times = Times { ready_s: 0.5, first_image_s: 4.0, image_s };
        let cell = Remembered::new("here".into(), "2026-11-28T10:00:00Z".into(), subject(model, 2), 3, times);
        Remembered { flops_per_image: 1e9, ..cell }
    }

    fn subject(model: &str, threads: u32) -> Subject {
        let key = CellKey { model: model.into(), backend: "b".into(), threads, ..CellKey::default() };
        Subject { key, config: "usual".into(), program: "this".into() }
    }

    fn lines(cells: &[Remembered]) -> String {
        cells.iter().map(|cell| serde_json::to_string(cell).unwrap() + "\n").collect()
    }

    #[test]
    fn the_latest_of_a_cell_counts_but_first_images_do_not_displace_steady_ones() {
        let (first, later) = (remembered("nano", Some(3.0)), remembered("nano", Some(2.0)));
        let all = Experience::parse(&lines(&[first, later.clone(), remembered("nano", None)]), "here");
        assert_eq!(all.of(&later.of), Some(&later));
        assert_eq!(all.note(), None);
        let only = remembered("nano", None);
        assert_eq!(Experience::parse(&lines(std::slice::from_ref(&only)), "here").of(&only.of), Some(&only));
    }

    #[test]
    fn another_model_of_the_name_is_another_one_and_what_another_program_measured_says_nothing() {
        let all = Experience::parse(&lines(&[remembered("nano", Some(3.0))]), "here");
        let subject = subject("nano", 2);
        let other_config = Subject { config: "wide".into(), ..subject.clone() };
        let other_program = Subject { program: "of yesterday".into(), ..subject.clone() };
        assert!(all.of(&subject).is_some() && all.of(&other_config).is_none() && all.of(&other_program).is_none());
        assert!(all.nearest(&other_config, 1e9).is_some() && all.nearest(&other_program, 1e9).is_none());
        // Neither takes the place of the other.
        let yesterday = Remembered { of: other_program.clone(), ..remembered("nano", Some(9.0)) };
        let both = Experience::parse(&lines(&[remembered("nano", Some(3.0)), yesterday]), "here");
        assert_eq!(both.of(&subject).unwrap().times.image_s(), 3.0);
    }

    #[test]
    fn what_cannot_be_read_or_is_of_another_machine_is_left_alone_and_said() {
        let good = remembered("nano", Some(2.0));
        let other = Remembered { machine: "there".into(), ..remembered("tiny", Some(2.0)) };
        let newer = Remembered { version: 2, ..good.clone() };
        let absurd = remembered("small", Some(-1.0));
        let text = format!("{}{{\"version\":1\nnot JSON\n", lines(&[other.clone(), newer, good.clone(), absurd]));
        let all = Experience::parse(&text, "here");
        assert_eq!((all.cells.len(), all.damaged, all.others), (1, 4, 1));
        assert_eq!(all.note().unwrap(), "4 lines of it cannot be read and are ignored");
        let note = Experience::parse(&lines(&[good]), "elsewhere").note().unwrap();
        assert_eq!(note, "everything in it was measured on other machines");
    }

    #[test]
    fn the_nearest_in_operations_is_run_in_the_same_way() {
        let of = |model: &str, flops_per_image| Remembered { flops_per_image, ..remembered(model, Some(1.0)) };
        let mut other_threads = of("tiny", 9e9);
        other_threads.of.key.threads = 1;
        let all =
            Experience::parse(&lines(&[of("nano", 1e9), of("small", 1e12), of("mine", 0.0), other_threads]), "here");
        let tiny = |threads| subject("tiny", threads);
        assert_eq!(all.nearest(&tiny(2), 1e10).unwrap().of.key.model, "nano");
        assert_eq!(all.nearest(&tiny(2), 1e11).unwrap().of.key.model, "small");
        assert_eq!(all.nearest(&tiny(4), 1e10), None);
        assert_eq!(all.nearest(&tiny(2), 0.0), None, "what is not counted cannot be scaled");
    }
}
