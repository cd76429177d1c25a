//! `ditbench inspect` of a model that the user brought: what its files say, and how it would be run.

use ditbench_onnx::axes::{FixedInput, Origin};
use ditbench_onnx::model::{Operator, Precision};
use ditbench_workloads::{OnnxFile, Pipeline, Role, Source, Stage, own};

use crate::text::{bytes, count, show, table};

/// Prints it. Nothing computes.
pub fn inspect(pipeline: &Pipeline) {
    let files: Vec<(&Stage, &OnnxFile)> = pipeline.stages.iter().filter_map(of).collect();
    show(&format!("{}: {}\n\n", pipeline.choice, about(pipeline)));
    let rows = files.iter().map(|(stage, file)| {
        let model = &file.model;
        let data: u64 = model.data.iter().map(|data| data.needed).sum();
        let precision = &model.precision;
        vec![
            stage.id.clone(),
            role(stage.role).to_owned(),
            stage.passes.to_string(),
            model.producer.clone(),
            model.opsets.get("").map_or_else(|| "-".to_owned(), i64::to_string),
            model.nodes().to_string(),
            bytes(model.bytes + data),
            count(precision.weights() as f64),
            precision.bits_per_weight().map_or_else(|| "-".to_owned(), |bits| format!("{bits:.1}")),
            stored(precision),
        ]
    });
    let header =
        ["component", "role", "passes", "exporter", "opset", "nodes", "bytes", "weights", "bits a weight", "stored as"];
    show(&table(&header, rows));
    show("\nWeights are those that matrix products, convolutions and look-ups read.\n\n");
    let inputs = files.iter().flat_map(|(stage, file)| file.inputs.iter().map(|input| line(stage, input)));
    show(&table(&["component", "input", "type", "size", "size from"], inputs));
    for (stage, file) in &files {
        let outputs: Vec<String> = file.model.outputs.iter().map(ToString::to_string).collect();
        show(&format!("\n{} gives {}", stage.id, outputs.join(", ")));
    }
    show("\n");
    for (stage, file) in &files {
        let others = file.model.operators.iter().filter(|(operator, _)| !operator.domain.is_empty());
        let others: Vec<String> = others.map(|(operator, times)| occurs(operator, *times)).collect();
        if !others.is_empty() {
            show(&format!(
                "{} has operators that are not ONNX's own, which not every runtime has: {}.\n",
                stage.id,
                others.join(", ")
            ));
        }
    }
}

fn of(stage: &Stage) -> Option<(&Stage, &OnnxFile)> {
    match &stage.source {
        Source::Onnx(file) => Some((stage, file)),
        Source::Graph(_) => None,
    }
}

/// What it is, in a sentence or two.
fn about(pipeline: &Pipeline) -> String {
    let precision = pipeline.files_precision().unwrap_or_default();
    let (config, choice) = (&pipeline.config, &pipeline.choice);
    let word = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
    if own::is_single(choice) {
        return format!("a single graph, precision {precision}.");
    }
    let sampler = pipeline.own.iter().find(|(axis, _)| axis == "sampler").map_or("", |(_, value)| value.as_str());
    let guidance = match sampler.split_once('+') {
        None => "guidance off".to_owned(),
        Some((_, how)) => match (how.strip_prefix("cfg"), how.strip_prefix("embedded")) {
            (Some(scale), _) => format!("guidance {scale}, two passes a step"),
            (_, Some(scale)) => format!("guidance {scale}, an input of the denoiser"),
            _ => how.to_owned(),
        },
    };
    let listed = |key: &str| {
        let names = config[key].as_array().into_iter().flatten().filter_map(|name| name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let mut said =
        format!("{}, {}, {} steps, {guidance}, precision {precision}.", word("class"), word("scheduler"), choice.steps);
    for (key, what) in [
        ("components_ignored", "Parts that making an image does not need"),
        ("scheduler_fields_ignored", "Fields of the scheduler's file that its class does not read"),
    ] {
        let names = listed(key);
        if !names.is_empty() {
            said.push_str(&format!(" {what}: {names}."));
        }
    }
    said
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Encoder => "encoder",
        Role::Denoiser => "denoiser",
        Role::Decoder => "decoder",
        Role::Other => "-",
    }
}

fn stored(precision: &Precision) -> String {
    let total: u64 = precision.shares().iter().map(|share| share.bytes).sum();
    let share = |share: &ditbench_onnx::model::Share| {
        format!("{} {:.0} %", share.storage, 100.0 * share.bytes as f64 / total.max(1) as f64)
    };
    precision.shares().iter().map(share).collect::<Vec<_>>().join(", ")
}

fn line(stage: &Stage, input: &FixedInput) -> Vec<String> {
    let origin = |origin: &Origin| match origin {
        Origin::File => "file",
        Origin::Given => "given",
        Origin::Implied => "implied",
    };
    let mut origins: Vec<&str> = input.origins.iter().map(origin).collect();
    origins.dedup();
    vec![
        stage.id.clone(),
        input.name.clone(),
        input.dtype.to_string(),
        format!("{:?}", input.shape),
        if origins.is_empty() { "a scalar".to_owned() } else { origins.join(", ") },
    ]
}

fn occurs(operator: &Operator, times: usize) -> String {
    format!("{times} × {operator}")
}
