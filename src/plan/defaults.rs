//! What an axis is when nobody says, and the plan that `ditbench run` runs by itself.

use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::models::{ImageSize, Rung, Variant};

use super::axes::{BackendChoice, Sampler, Size, TextTokens, Width};
use super::{Axes, Cell, PlanError, Workload};

/// The plan of a bare `ditbench run`, as a plan file.
pub const DEFAULT_PLAN: &str = include_str!("default.toml");

/// The cells of one group.
pub(super) fn expand(axes: &Axes, cores: usize) -> Result<Vec<Cell>, PlanError> {
    let models = or(&axes.model, "model", || vec![Variant::Nano])?;
    let backends = or(&axes.backend, "backend", || {
        ["ort", "candle", "tract"].map(|name| BackendChoice { name: name.to_owned(), variant: None }).to_vec()
    })?;
    let schemes = or(&axes.precision, "precision", || vec![Scheme::F32, Scheme::Q4])?;
    let devices = or(&axes.device, "device", || vec!["cpu".to_owned()])?;
    let threads = or(&axes.threads, "threads", || vec![cores])?;
    let steps = or(&axes.steps, "steps", || vec![4])?;
    let texts = or(&axes.text_tokens, "text-tokens", || vec![TextTokens::Clip])?;
    let rungs = or(&axes.rung, "rung", || vec![Rung::Final])?;
    let widths = or(&axes.width, "width", || vec![Width::FULL])?;
    let samplers = or(&axes.sampler, "sampler", || vec![Sampler::default()])?;
    let memories = or(&axes.memory, "memory", || vec![MemoryMode::Fast])?;
    let layouts = match &axes.layout {
        Some(layouts) => layouts.iter().copied().map(Some).collect(),
        None => vec![None],
    };
    if let Some(zero) = [("threads", &threads), ("steps", &steps)].iter().find(|(_, values)| values.contains(&0)) {
        return Err(PlanError(format!("{} must be at least 1", zero.0)));
    }
    let mut cells = Vec::new();
    for &model in &models {
        let sizes = axes.size.clone().unwrap_or_else(|| vec![default_size(model)]);
        for &Size(size) in &sizes {
            let architectures = product(&rungs, &product(&layouts, &widths));
            let samplings = product(&texts, &product(&steps, &samplers));
            for ((rung, (layout, width)), (text_tokens, (steps, sampler))) in product(&architectures, &samplings) {
                let workload = Workload { model, size, steps, text_tokens, rung, layout, width, sampler };
                for (device, (threads, memory)) in product(&devices, &product(&threads, &memories)) {
                    for (scheme, backend) in product(&schemes, &backends) {
                        let (workload, device) = (workload.clone(), device.clone());
                        cells.push(Cell { workload, backend, device, scheme, threads, memory });
                    }
                }
            }
        }
    }
    Ok(cells)
}

/// The size of a model's image when nobody says: its own, or 512 for the paper's.
pub fn default_size(model: Variant) -> Size {
    let side = model.native_size().min(512);
    Size(ImageSize { height: side, width: side })
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
