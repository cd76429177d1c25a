//! A workload of two stages, small enough to be read at a glance: what docs/WRITE_A_WORKLOAD.md builds.

use ditbench_graph::{DType, GraphBuilder, Tensor};
use ditbench_workloads::{
    Axis, Choice, Drive, ImageSize, Inputs, InputsError, ModelInfo, Pipeline, Role, RunError, Source, Stage,
    StageRunner, Times, Trace, Workload, WorkloadError, timed,
};

/// The workload.
pub struct Toy;

static MODELS: [ModelInfo; 1] = [ModelInfo {
    name: "toy",
    about: "one linear layer, and one more",
    usual_size: ImageSize { height: 2, width: 2 },
    usual_steps: 3,
}];

static AXES: [Axis; 1] = [Axis {
    name: "pull",
    help: "How far a step goes towards the prediction: 0 to 1",
    default: "0.5",
    parse: |text| match text.parse::<f32>() {
        Ok(pull) if (0.0..=1.0).contains(&pull) => Ok(pull.to_string()),
        _ => Err(format!("\"{text}\" is no pull: write a number from 0 to 1")),
    },
    show: |value| format!("pull {value}"),
}];

impl Workload for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn about(&self) -> &'static str {
        "Two linear layers, to show what a workload is"
    }

    fn models(&self) -> &'static [ModelInfo] {
        &MODELS
    }

    fn axes(&self) -> &'static [Axis] {
        &AXES
    }

    fn build(&self, choice: &Choice) -> Result<Pipeline, WorkloadError> {
        let ImageSize { height, width } = choice.size;
        let pixels = height * width;
        let layer = |name: &str, out: usize| {
            let mut b = GraphBuilder::new(name);
            let x = b.input("x", &[1, pixels], DType::F32);
            let y = b.linear(name, x, out);
            b.output("y", y);
            b.finish()
        };
        let stage =
            |id: &str, role, graph, passes| Stage { id: id.to_owned(), role, source: Source::Graph(graph), passes };
        let pull = choice.own("pull").unwrap_or(AXES[0].default);
        Ok(Pipeline {
            choice: choice.clone(),
            name: choice.model.clone(),
            family: choice.model.clone(),
            own: vec![("pull".to_owned(), pull.to_owned())],
            image: choice.size,
            batch: 1,
            config: serde_json::json!({ "pixels": pixels }),
            stages: vec![
                stage("denoiser", Role::Denoiser, layer("denoiser", pixels)?, choice.steps),
                stage("decoder", Role::Decoder, layer("decoder", 3 * pixels)?, 1),
            ],
            drive: Box::new(Way { size: choice.size, steps: choice.steps, pull: pull.parse().unwrap_or(0.5) }),
        })
    }
}

/// From noise to pixels.
struct Way {
    size: ImageSize,
    steps: usize,
    pull: f32,
}

impl Drive for Way {
    fn inputs(&self, prompt: &str, seed: u64) -> Result<Inputs, InputsError> {
        let pixels = self.size.height * self.size.width;
        let noise = (0..pixels).map(|i| ((i as u64 + seed) % 7) as f32 + prompt.len() as f32).collect();
        Ok(Inputs { tensors: vec![("noise".to_owned(), Tensor::f32([1, pixels], noise)?)], ..Inputs::default() })
    }

    fn image(&self, inputs: &Inputs, runner: &mut dyn StageRunner<Error = RunError>) -> Result<Trace, RunError> {
        let begun = std::time::Instant::now();
        let (mut times, mut latents) = (Times::default(), Vec::new());
        let mut x = inputs.tensor("noise").ok_or("there is no noise")?.clone();
        let mut run = |stage: &str, x: &Tensor, times: &mut Times| -> Result<Tensor, RunError> {
            let mut took = std::time::Duration::ZERO;
            let outputs = timed(runner, stage, std::slice::from_ref(x), &mut took)?;
            times.push(stage, took);
            Ok(outputs.into_iter().next().ok_or("the stage gave nothing")?)
        };
        for _ in 0..self.steps {
            let predicted = run("denoiser", &x, &mut times)?;
            let moved = x.as_f32()?.iter().zip(predicted.as_f32()?).map(|(x, p)| x + self.pull * (p - x)).collect();
            x = Tensor::f32(x.shape().to_vec(), moved)?;
            latents.push(x.as_f32()?.to_vec());
        }
        let image = run("decoder", &x, &mut times)?.into_f32()?;
        times.total = begun.elapsed();
        Ok(Trace { latents, image, size: Some(self.size), times })
    }
}
