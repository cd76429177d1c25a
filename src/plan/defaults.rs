//! What an axis is when nobody says, and the plan that `ditbench run` runs by itself.

use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_worker::registry::{USUAL, USUAL_OF_FILES};
use ditbench_workloads::{Choice, Workload, own, workload};

use super::axes::{BackendChoice, Size};
use super::bounds::{Company, Steps, Threads};
use super::brought::choice as choice_of;
use super::{Axes, Cell, ClusterChoice, Cores, Pinned, PlanError};

/// The plan of a bare `ditbench run`, as a plan file.
pub const DEFAULT_PLAN: &str = include_str!("default.toml");

/// Precisions when nobody says.
const SCHEMES: [Scheme; 2] = [Scheme::F32, Scheme::Q4];

/// How many cells a group multiplies out to, those that are the same counted again.
pub(super) fn count(axes: &Axes) -> u128 {
    fn values<T>(given: Option<&Vec<T>>, default: usize) -> u128 {
        given.map_or(default, Vec::len) as u128
    }
    let Axes { model, size, backend, precision, device, threads, cluster, steps, memory, company, brought: _, own } =
        axes;
    let of_every_workload = [
        values(model.as_ref(), 1),
        values(size.as_ref(), 1),
        values(backend.as_ref(), USUAL.len()),
        values(precision.as_ref(), SCHEMES.len()),
        values(device.as_ref(), 1),
        values(threads.as_ref(), 1),
        values(cluster.as_ref(), 1),
        values(steps.as_ref(), 1),
        values(memory.as_ref(), 1),
        values(company.as_ref(), 1),
    ];
    let own = own.names().filter_map(|name| own.get(name)).map(|given| given.len() as u128);
    of_every_workload.into_iter().chain(own).fold(1, u128::saturating_mul)
}

/// The cells of one group.
pub(super) fn expand(axes: &Axes, group: usize, cores: &Cores) -> Result<Vec<Cell>, PlanError> {
    let models = or(&axes.model, "model", || vec![workload::ALL[0].models()[0].name.to_owned()])?;
    let backend = |(name, variant): (&str, Option<&str>)| BackendChoice {
        name: name.to_owned(),
        variant: variant.map(str::to_owned),
    };
    let backends = or(&axes.backend, "backend", || USUAL.map(|name| backend((name, None))).to_vec())?;
    let of_files = or(&axes.backend, "backend", || USUAL_OF_FILES.map(backend).to_vec())?;
    let schemes = or(&axes.precision, "precision", || SCHEMES.to_vec())?;
    let devices = or(&axes.device, "device", || vec!["cpu".to_owned()])?;
    let threads = or(&axes.threads, "threads", || vec![Threads::nearest(cores.count)])?;
    let placed = placed(axes, cores, &threads)?;
    let memories = or(&axes.memory, "memory", || vec![MemoryMode::Fast])?;
    let companies = or(&axes.company, "company", || vec![Company::fixed(0)])?;
    let steps = axes.steps.as_ref().map(|_| or(&axes.steps, "steps", Vec::new)).transpose()?;
    let mut cells = Vec::new();
    for model in &models {
        for choice in choices(axes, model, steps.as_deref())? {
            // The files of a user's model have their precision; what stands here in its place is read by nobody.
            let (schemes, backends) = match own::path_of(&choice) {
                Some(_) if axes.precision.is_some() => {
                    return Err(PlanError(format!(
                        "{} is your own model, and its files have their precision: leave --precision out, and name the folder of another export beside it",
                        choice.model
                    )));
                }
                Some(_) => (&schemes[..1], &of_files),
                None => (&schemes[..], &backends),
            };
            for (device, ((pinned, threads), memory)) in product(&devices, &product(&placed, &memories)) {
                // A cell and the same in company follow each other: they are there to be held against each other.
                for ((scheme, backend), company) in product(&product(schemes, backends), &companies) {
                    let (choice, device, pinned) = (choice.clone(), device.clone(), pinned.clone());
                    cells.push(Cell {
                        choice,
                        backend,
                        device,
                        scheme,
                        threads,
                        memory,
                        pinned,
                        company,
                        group,
                        is_yardstick: false,
                    });
                }
            }
        }
    }
    Ok(cells)
}

/// Where cells run, and on how many threads: as many as the cores that they are pinned to, unless the plan says.
fn placed(axes: &Axes, cores: &Cores, threads: &[Threads]) -> Result<Vec<(Option<Pinned>, Threads)>, PlanError> {
    let Some(_) = &axes.cluster else { return Ok(product(&[None], threads)) };
    let pin = |cluster: ClusterChoice| {
        let cpus = (cores.cpus_of)(&cluster).map_err(PlanError)?;
        Ok(Pinned { cluster, cpus })
    };
    let pinned = or(&axes.cluster, "cluster", Vec::new)?.into_iter().map(pin).collect::<Result<Vec<_>, PlanError>>()?;
    let own = |pinned: Pinned| {
        let count = Threads::nearest(pinned.cpus.len());
        (Some(pinned), count)
    };
    Ok(match &axes.threads {
        None => pinned.into_iter().map(own).collect(),
        Some(_) => product(&pinned.into_iter().map(Some).collect::<Vec<_>>(), threads),
    })
}

/// What is generated with one model: its sizes, steps, and values on the axes of its workload.
fn choices(axes: &Axes, model: &str, steps: Option<&[Steps]>) -> Result<Vec<Choice>, PlanError> {
    let steps: Option<Vec<usize>> = steps.map(|steps| steps.iter().map(|steps| steps.get()).collect());
    let (workload, plain) = match brought(axes, model, steps.as_deref())? {
        Some(choices) => (&own::Own as &dyn Workload, choices),
        None => of_ours(axes, model, steps)?,
    };
    if let Some(other) = axes.own.names().find(|name| workload.axes().iter().all(|axis| axis.name != *name)) {
        return Err(PlanError(format!("{model} has no {other}: leave it out, or put the model in a group of its own")));
    }
    let mut choices = plain;
    for axis in workload.axes() {
        let Some(values) = axes.own.get(axis.name) else { continue };
        let values = or(&Some(values.to_vec()), axis.name, Vec::new)?;
        // The default is the absence of a value, so that a plan that names it means the same cell.
        let with = |choice: &Choice, value: &String| match value {
            usual if usual == axis.default => choice.clone(),
            value => choice.clone().with(axis.name, value),
        };
        choices = choices.iter().flat_map(|choice| values.iter().map(move |value| with(choice, value))).collect();
    }
    Ok(choices)
}

/// Sizes and steps of a model of ours.
fn of_ours(
    axes: &Axes,
    model: &str,
    steps: Option<Vec<usize>>,
) -> Result<(&'static dyn Workload, Vec<Choice>), PlanError> {
    let (workload, info) = workload::of_model(model).map_err(|error| PlanError(error.to_string()))?;
    let sizes = or(&axes.size, "size", || vec![Size(info.usual_size)])?;
    let steps = steps.unwrap_or_else(|| vec![info.usual_steps]);
    let choice = |(Size(size), steps)| Choice::new(workload.name(), model, size, steps);
    Ok((workload, product(&sizes, &steps).into_iter().map(choice).collect()))
}

/// Sizes and steps of a user's model; `None` for one of ours.
fn brought(axes: &Axes, model: &str, steps: Option<&[usize]>) -> Result<Option<Vec<Choice>>, PlanError> {
    let sizes = axes.size.as_ref().map(|_| or(&axes.size, "size", Vec::new)).transpose()?;
    let sizes = sizes.map_or_else(|| vec![None], |sizes| sizes.into_iter().map(|Size(size)| Some(size)).collect());
    let steps = steps.map_or_else(|| vec![None], |steps| steps.iter().copied().map(Some).collect());
    let choice = |(size, steps)| choice_of(model, &axes.brought, size, steps);
    product(&sizes, &steps).into_iter().map(choice).collect()
}

fn or<T: Clone>(given: &Option<Vec<T>>, name: &str, default: impl FnOnce() -> Vec<T>) -> Result<Vec<T>, PlanError> {
    match given {
        None => Ok(default()),
        Some(values) if values.is_empty() => {
            Err(PlanError(format!("{name} is an empty list: give at least one value")))
        }
        Some(values) => Ok(values.clone()),
    }
}

/// Every pair, the second quickest.
fn product<A: Clone, B: Clone>(a: &[A], b: &[B]) -> Vec<(A, B)> {
    a.iter().flat_map(|x| b.iter().map(move |y| (x.clone(), y.clone()))).collect()
}
