//! From the cells of a plan to what can be run: the model built, the way of running found, or the reason why not.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use ditbench_backend_api::{Costs, DeviceFacts, DeviceKind, MemoryMode, Variant, VersionReport};
use ditbench_record::{Cell as Row, CellKey, CellStage, Device, Role, Status};
use ditbench_workloads::{Choice, Pipeline, own, workload};

use crate::environment::Common;
use crate::host::Host;
use crate::plan::{Cell, Threads};
use ditbench_worker::registry::{self, BackendFacts};

/// A cell with everything that is known before it runs.
pub struct Resolved {
    /// As planned.
    pub cell: Cell,
    /// Its key in the record.
    pub key: CellKey,
    /// The stages that a backend runs, and the way between them.
    pub pipeline: Rc<Pipeline>,
    /// The way of running.
    pub way: Variant,
    /// What to assume of its backend where nothing is measured yet.
    pub costs: Costs,
    /// Whether its backend is there for others to be held against.
    pub is_reference: bool,
    /// The version of its backend, as far as is known before it runs.
    pub version: VersionReport,
    /// What it runs on, where the backend knows of it.
    pub device: Option<DeviceFacts>,
    /// Why it cannot run, if it cannot.
    pub refusal: Option<(Status, String)>,
}

impl Resolved {
    /// A cell as a backend would run it that knows one way.
    #[cfg(test)]
    pub(super) fn of(cell: Cell) -> Self {
        let pipeline = Rc::new(workload::build(&cell.choice).unwrap());
        let way = Variant::new("stock", "");
        let (key, costs) = (key(&cell, &pipeline, &way.name), Costs::default());
        let version = VersionReport::default();
        Self { key, cell, pipeline, way, costs, is_reference: false, version, device: None, refusal: None }
    }

    /// Whether the model is one that the user brought.
    pub fn is_own(&self) -> bool {
        own::path_of(&self.cell.choice).is_some()
    }

    /// Noise levels of an image, from 1 to 0.
    pub fn sigmas(&self) -> Vec<f64> {
        self.pipeline.drive.sigmas()
    }

    /// Whether the machine's processor computes, as far as is known.
    pub fn is_on_processor(&self) -> bool {
        let kind = self.device.as_ref().and_then(|device| device.kind);
        kind.is_none_or(|kind| kind == DeviceKind::Cpu)
    }

    /// Its device as the record has it. Of the processor the record's machine tells.
    pub fn recorded_device(&self) -> Option<Device> {
        self.device.as_ref().filter(|device| device.name != "cpu").map(record_of)
    }

    /// The record's row of it before anything was run.
    pub fn row(&self) -> Row {
        Row {
            key: self.key.clone(),
            device: self.recorded_device(),
            variant_about: self.way.about.clone(),
            sigmas: self.sigmas(),
            stages: stages(&self.pipeline),
            ..Row::default()
        }
    }
}

/// A device as the record has it.
fn record_of(device: &DeviceFacts) -> Device {
    Device {
        kind: device.kind.map(|kind| kind.name().to_owned()),
        hardware: device.hardware.clone(),
        memory_bytes: device.memory_bytes,
        driver: device.driver.clone(),
        nature: device.nature.name().to_owned(),
    }
}

/// Resolves all cells for a host; two cells of one workload share the pipeline. Backends are made ready first: what one can do
/// is known when it has what it needs.
///
/// # Errors
/// A workload that cannot be built at all: a mistake in the plan.
pub fn resolve(cells: Vec<Cell>, host: &mut dyn Host, common: &Common, say: &dyn Fn(String)) -> Result<Vec<Resolved>> {
    let wanted: BTreeSet<&str> = cells.iter().map(|cell| cell.backend.name.as_str()).collect();
    for backend in wanted {
        host.prepare(backend, common, say);
        if ditbench_worker::interrupt::requested() {
            bail!("interrupted before anything was measured");
        }
    }
    let mut pipelines: HashMap<Choice, Rc<Pipeline>> = HashMap::new();
    let mut seen = std::collections::HashSet::new();
    let mut backends: HashMap<String, Result<BackendFacts, String>> = HashMap::new();
    cells
        .into_iter()
        .map(|mut cell| {
            let pipeline = match pipelines.get(&cell.choice) {
                Some(pipeline) => Rc::clone(pipeline),
                None => {
                    let built =
                        workload::build(&cell.choice).with_context(|| format!("cannot build {}", cell.choice))?;
                    let built = Rc::new(built);
                    pipelines.insert(cell.choice.clone(), Rc::clone(&built));
                    built
                }
            };
            let backend = backends.entry(cell.backend.name.clone()).or_insert_with_key(|name| host.backend(name));
            let device = backend.as_ref().ok().and_then(|facts| device(facts, &mut cell));
            let unknown = || Variant::new(cell.backend.variant.as_deref().unwrap_or_default(), "");
            let (costs, is_reference, version) = backend
                .as_ref()
                .map_or_else(|_| Default::default(), |facts| (facts.costs, facts.is_reference, facts.version.clone()));
            let (way, refusal) = match backend {
                Err(why) => (unknown(), Some(why.clone())),
                Ok(facts) => match choose(facts, &cell, device.as_ref()) {
                    Ok(way) => (way, device_missing(facts, &cell)),
                    Err(why) => (unknown(), Some(why)),
                },
            };
            let key = key(&cell, &pipeline, &way.name);
            let refusal = refusal.map(|why| (Status::Unsupported, why));
            Ok(Resolved { key, pipeline, way, costs, is_reference, version, device, refusal, cell })
        })
        // `tract` and `tract:stock` are one cell where stock is the default.
        .filter(|resolved| resolved.as_ref().map_or(true, |resolved| seen.insert(resolved.key.clone())))
        .collect()
}

/// The way of running: the device's default, else the backend's; or the one named; or, for a name such as `tuned`, the first way whose
/// name begins with it (`tuned-int8`).
fn choose(facts: &BackendFacts, cell: &Cell, device: Option<&DeviceFacts>) -> Result<Variant, String> {
    let is_own = own::path_of(&cell.choice).is_some();
    let (runs, of) = if is_own {
        ("ONNX files".to_owned(), registry::OF_FILES)
    } else {
        (format!("{} weights", cell.scheme.name()), cell.scheme.name())
    };
    let mut variants = facts.variants.get(of).cloned().unwrap_or_default();
    if variants.is_empty() && is_own {
        return Err(format!(
            "{0} cannot read ONNX files: it runs ditbench's own models, with checkpoints for them given by --weights. Run {1} on ort or tract, or on an engine in engines.toml that takes ONNX",
            cell.backend.name, cell.choice.model
        ));
    }
    if variants.is_empty() {
        return Err(format!("{} has no way to run {runs}", cell.backend.name));
    }
    let Some(wanted) = &cell.backend.variant else {
        let preferred = device.filter(|_| !is_own).and_then(|device| device.ways.get(of));
        let index = variants.iter().position(|variant| Some(&variant.name) == preferred);
        return Ok(variants.swap_remove(index.unwrap_or_default()));
    };
    let exact = variants.iter().position(|variant| variant.name == *wanted);
    let begins = || variants.iter().position(|variant| variant.name.starts_with(&format!("{wanted}-")));
    match exact.or_else(begins) {
        Some(index) => Ok(variants.swap_remove(index)),
        None => {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
            Err(format!("{} runs {runs} as {}, not as \"{wanted}\"", cell.backend.name, names.join(", ")))
        }
    }
}

/// The device asked for. The cell gets the name by which it is known, whatever name it was asked for by; and on another device than
/// the processor its threads are none of the cell's.
fn device(facts: &BackendFacts, cell: &mut Cell) -> Option<DeviceFacts> {
    let device = facts.devices.iter().find(|device| device.is_called(&cell.device))?;
    cell.device.clone_from(&device.name);
    if matches!(device.kind, Some(DeviceKind::Gpu | DeviceKind::Npu)) {
        cell.threads = Threads::fixed(1);
    }
    Some(device.clone())
}

/// Why the device asked for cannot be used.
fn device_missing(facts: &BackendFacts, cell: &Cell) -> Option<String> {
    let device = cell.device.as_str();
    match facts.devices.iter().find(|known| known.is_called(device)) {
        Some(report) => {
            report.state.as_ref().err().map(|missing| format!("{device}: {}. {}", missing.why, missing.cure))
        }
        None => {
            let names: Vec<&str> = facts.devices.iter().map(|report| report.name.as_str()).collect();
            Some(format!("{} has no device \"{device}\"; it has {}", cell.backend.name, names.join(", ")))
        }
    }
}

/// The record's list of a pipeline's stages.
fn stages(pipeline: &Pipeline) -> Vec<CellStage> {
    let role = |role| match role {
        ditbench_workloads::Role::Encoder => Role::Encoder,
        ditbench_workloads::Role::Denoiser => Role::Denoiser,
        ditbench_workloads::Role::Decoder => Role::Decoder,
        ditbench_workloads::Role::Other => Role::Other,
    };
    let stage = |stage: &ditbench_workloads::Stage| CellStage {
        id: stage.id.clone(),
        role: role(stage.role),
        passes: u32::try_from(stage.passes).unwrap_or(u32::MAX),
    };
    pipeline.stages.iter().map(stage).collect()
}

pub(super) fn key(cell: &Cell, pipeline: &Pipeline, variant: &str) -> CellKey {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    CellKey {
        model: cell.choice.model.clone(),
        height: small(cell.choice.size.height),
        width: small(cell.choice.size.width),
        backend: cell.backend.name.clone(),
        variant: variant.to_owned(),
        device: cell.device.clone(),
        precision: pipeline.files_precision().unwrap_or_else(|| cell.scheme.name().to_owned()),
        threads: small(cell.threads.get()),
        batch: small(pipeline.batch),
        steps: small(cell.choice.steps),
        own: pipeline.own.iter().cloned().collect(),
        memory: match cell.memory {
            MemoryMode::Fast => "fast".to_owned(),
            MemoryMode::Small => "small".to_owned(),
        },
        cpus: cell.pinned.as_ref().map(|pinned| ditbench_record::cpus::list(&pinned.cpus)).unwrap_or_default(),
        company: small(cell.company.get()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;
    use ditbench_record::csv::write_samples;
    use ditbench_record::{Launch, Machine, Run, RunInfo, Sample};
    use ditbench_reports::history::{self, Missing};
    use ditbench_reports::verdict::{CompareError, Options, Side, compare};
    use ditbench_reports::{advice, csv, html, markdown, merge, table};

    use super::*;
    use crate::plan::{Axes, PlanFile};

    /// A value of each axis that is not the default.
    const VALUES: [(&str, &str); 9] = [
        ("rung", "assa"),
        ("layout", "1-2-1"),
        ("width", "0.5"),
        ("text-tokens", "333"),
        ("sampler", "renoise+cfg2"),
        ("class", "3"),
        ("guidance", "4"),
        ("ladder", "mqa"),
        ("augmentation", "250"),
    ];

    fn planned(plan: &PlanFile) -> Resolved {
        let mut cells = plan.cells(1).unwrap();
        assert_eq!(cells.len(), 1);
        Resolved::of(cells.remove(0))
    }

    /// A run that measured these cells, a second each.
    fn run(id: &str, cells: &[&Resolved]) -> Run {
        let info = RunInfo { id: id.into(), created: "2026-11-29T16:00:00Z".into(), ..RunInfo::default() };
        let image = |image| Sample { image, total_s: 1.0, ..Sample::default() };
        let launch = Launch { status: Status::Ok, samples: (0..4).map(image).collect(), ..Launch::default() };
        let measured = |cell: &&Resolved| Row { status: Status::Ok, launches: vec![launch.clone()], ..cell.row() };
        Run { cells: cells.iter().map(measured).collect(), ..Run::new(info, Machine::default()) }
    }

    /// The columns of each line, by name.
    fn written(write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>) -> Vec<BTreeSet<(String, String)>> {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        // What stands between the first columns and the last may be quoted, with commas of its own: it is not looked at.
        let split = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut lines = text.lines().map(split);
        let header = lines.next().unwrap();
        let ends = |line: Vec<String>| {
            let first = header.iter().cloned().zip(line.iter().cloned()).take(14);
            let last = header.iter().rev().cloned().zip(line.iter().rev().cloned()).take(1);
            first.chain(last).collect()
        };
        lines.map(ends).collect()
    }

    #[test]
    fn a_device_may_have_a_default_way_of_its_own() {
        let facts = BackendFacts {
            devices: Vec::new(),
            sources: Vec::new(),
            variants: [("f16".to_owned(), vec![Variant::new("stock", ""), Variant::new("half", "")])].into(),
            costs: Costs::default(),
            is_reference: false,
            version: VersionReport::default(),
        };
        let processor = DeviceFacts::cpu("");
        let gpu = DeviceFacts {
            ways: [("f16".to_owned(), "half".to_owned())].into(),
            ..DeviceFacts::new("gpu", "a made-up GPU")
        };
        let plan = "[[group]]\nmodel = 'nano'\nbackend = 'reference'\nprecision = 'f16'\n";
        let mut cell = planned(&PlanFile::parse(plan, "a plan").unwrap()).cell;
        let chosen = |cell: &Cell, device| choose(&facts, cell, device).unwrap().name;
        assert_eq!((chosen(&cell, None).as_str(), chosen(&cell, Some(&gpu)).as_str()), ("stock", "half"));
        // One that does not know better, and a user who does.
        assert_eq!(chosen(&cell, Some(&processor)), "stock");
        cell.backend.variant = Some("stock".to_owned());
        assert_eq!(chosen(&cell, Some(&gpu)), "stock");
    }

    /// What tells two cells apart tells them apart everywhere: in the key, its id, plans, both CSV files, Markdown and page,
    /// the history, merging and comparing; and people learn of it from the help.
    #[test]
    fn every_axis_reaches_the_key_and_every_face() {
        let help = crate::cli::Cli::command().find_subcommand_mut("run").unwrap().render_long_help().to_string();
        for axis in Axes::NAMES {
            assert!(help.contains(&format!("--{axis} ")), "--{axis} is not in the help");
        }
        let of = |model: &str| format!("[[group]]\nmodel = '{model}'\nbackend = 'reference'\nprecision = 'f32'\n");
        let both = |plain: String, with: &str| {
            [plain.clone(), format!("{plain}{with}\n")].map(|text| planned(&PlanFile::parse(&text, "a plan").unwrap()))
        };
        for workload in workload::ALL {
            for axis in workload.axes() {
                let name = axis.name;
                assert!(help.contains(&format!("--{name} ")), "--{name} is not in the help");
                let value = VALUES.iter().find(|(known, _)| *known == name);
                let (_, value) = value.unwrap_or_else(|| panic!("give this test a value of the axis {name}"));
                // Not every model of a workload need have the axis.
                let has = |model: &&str| {
                    let plan = PlanFile::parse(&format!("{}{name} = '{value}'\n", of(model)), "a plan").unwrap();
                    workload::build(&plan.cells(1).unwrap()[0].choice).is_ok()
                };
                let mut models = workload.models().iter().map(|model| model.name);
                let model = models.find(has).unwrap_or_else(|| panic!("no model has {name} {value}"));
                let [plain, other] = both(of(model), &format!("{name} = '{value}'"));
                let entries = other.key.own.iter().filter(|(entry, value)| plain.key.own.get(*entry) != Some(*value));
                let column = |entry: &String| match entry.as_str() {
                    "text_tokens" | "sampler" => entry.clone(),
                    _ => format!("own_{entry}"),
                };
                let fields: Vec<_> = entries.map(|(entry, value)| (column(entry), value.clone())).collect();
                assert!(!fields.is_empty(), "{model}: --{name} {value} leaves the key as it is: {:?}", other.key.own);
                // What the model is called here and there.
                assert_eq!(other.key.name(), other.pipeline.name, "{name}");
                are_apart(name, &plain, &other, &fields);
            }
        }
        // Company is no workload's, and as much a scenario of its own.
        let [alone, company] = both(of("nano"), "company = 1");
        are_apart("company", &alone, &company, &[("company".to_owned(), "1".to_owned())]);
    }

    /// Two cells that differ on an axis alone, with what the columns of the second say of it.
    fn are_apart(name: &str, plain: &Resolved, other: &Resolved, fields: &[(String, String)]) {
        assert_ne!(plain.key.id(), other.key.id(), "{name}");
        let again = PlanFile { group: vec![other.cell.axes("stock")], ..PlanFile::default() };
        assert_eq!(planned(&again).key, other.key, "{name} in a plan");

        let both = run("both", &[plain, other]);
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(ditbench_record::parse(&text).unwrap(), both, "{name} in a record");
        let table = table::of_runs(&[&both]);
        let samples = written(|out| write_samples(&both, out));
        let lines = written(|out| csv::write_table(&table, out));
        for field in fields {
            assert!(samples[4].contains(field) && !samples[0].contains(field), "{name}: {field:?} in samples");
            assert!(lines[1].contains(field) && !lines[0].contains(field), "{name}: {field:?} in the table");
        }
        let (label, usual) = (table::workload(&other.key), table::workload(&plain.key));
        assert_ne!(label, usual, "{name}");
        let loaded = ditbench_record::store::LoadedRun { dir: "nowhere".into(), run: both.clone() };
        let faces = [markdown::of_table(&table), html::of_runs(&[loaded], &table).unwrap()];
        assert!(faces.iter().all(|face| face.contains(&label) && face.contains(&usual)), "{label}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let mut store = history::open(path.to_str().unwrap(), Missing::Create).unwrap();
        store.import(&both).unwrap();
        let kept: BTreeSet<CellKey> = store.series().unwrap().into_iter().map(|one| one.key.cell).collect();
        assert_eq!(kept, BTreeSet::from([plain.key.clone(), other.key.clone()]), "{name} in a history");
        let advised = advice::gather(&[&both], &advice::Question::default());
        assert_eq!(advised.len(), 2, "{name}: cells that differ in it do not compete");
        let (a, b) = (run("a", &[plain]), run("b", &[other]));
        assert_eq!(merge::merge(&[&a, &b], "c", &BTreeSet::new()).unwrap().cells.len(), 2, "{name} merged");
        let apart = compare(&Side::of_runs("a", [&a]), &Side::of_runs("b", [&b]), &Options::default());
        assert!(
            matches!(apart, Err(CompareError::NothingInCommon { .. })),
            "{name}: cells that differ in it are not compared"
        );
    }
}
