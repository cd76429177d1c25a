//! A pass that takes the scripted time and gives a made-up result.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::time::{Duration, Instant};

use ditbench_backend_api::{
    BackendError, CompileReport, MemoryReport, NodeTime, Numerics, Placement, PlacementEntry, Profile, Session,
};
use ditbench_graph::{Graph, Tensor};

use crate::Script;

/// One scripted stage.
pub struct ScriptedSession {
    name: String,
    outputs: Vec<Vec<usize>>,
    graph: Graph,
    pass: Duration,
    load_s: f64,
    error: f32,
    elsewhere: f64,
    placement_mib: usize,
    held: Vec<u8>,
    print: String,
}

impl ScriptedSession {
    pub(crate) fn new(graph: &Graph, script: Script, few_bits: bool) -> Self {
        let started = Instant::now();
        let ms = match graph.name.as_str() {
            "text_encoder" => script.text_encoder_ms,
            "denoiser" => script.denoiser_ms * larger(graph).powf(script.denoiser_grows),
            _ => script.decoder_ms,
        };
        let held = resident(script.memory_mib);
        wait(milliseconds(script.compile_ms), started);
        Self {
            name: graph.name.clone(),
            outputs: graph.outputs.iter().map(|port| graph.shape(port.value).to_vec()).collect(),
            graph: graph.clone(),
            pass: milliseconds(ms * level(script.launch_noise)),
            load_s: started.elapsed().as_secs_f64(),
            error: (script.wrong + if few_bits { script.few_bits_error } else { 0.0 }) as f32,
            elsewhere: script.elsewhere.clamp(0.0, 1.0),
            placement_mib: script.placement_mib,
            held,
            print: script.print,
        }
    }
}

/// How many times the pixels of an 8 × 8 latent the graph's first output has.
fn larger(graph: &Graph) -> f64 {
    let shape = graph.outputs.first().map_or(&[][..], |port| graph.shape(port.value));
    // Batch and channels first.
    shape.iter().skip(2).product::<usize>() as f64 / 64.0
}

/// A script may say anything: what is below 0 or no time is none, what is too long is as long as can be.
fn milliseconds(ms: f64) -> Duration {
    let seconds = (ms / 1e3).clamp(0.0, 1e6);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Memory that is there: written, because only then are its pages resident.
fn resident(mib: usize) -> Vec<u8> {
    let mut held = vec![0u8; mib << 20];
    held.iter_mut().step_by(1024).for_each(|byte| *byte = 1);
    held
}

/// The speed of this launch: 1 give or take the noise, the same for all stages of a process only by chance.
fn level(noise: f64) -> f64 {
    // The standard library's randomly keyed hasher is all the chance that is needed. The sum of twelve uniform numbers
    // less six is nearly normal.
    let uniform = || RandomState::new().build_hasher().finish() as f64 / u64::MAX as f64;
    let normal: f64 = (0..12).map(|_| uniform()).sum::<f64>() - 6.0;
    (noise * normal).exp()
}

/// Until `length` after `started`: asleep for most of it, then awake, because a sleep ends late.
fn wait(length: Duration, started: Instant) {
    let early = length.saturating_sub(Duration::from_micros(300));
    std::thread::sleep(early.saturating_sub(started.elapsed()));
    while started.elapsed() < length {
        std::hint::spin_loop();
    }
}

impl Session for ScriptedSession {
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError> {
        let started = Instant::now();
        BackendError::check_inputs(&self.graph, inputs)?;
        let mut out = std::io::stdout();
        // Nothing depends on whether anybody reads it.
        let _ = out.write_all(self.print.as_bytes()).and_then(|()| out.flush());
        // Something of the inputs goes into the result, so that steps, seeds and prompts differ.
        let phase: f32 = inputs
            .iter()
            .filter_map(|tensor| tensor.as_f32().ok())
            .map(|values| values.iter().take(64).sum::<f32>())
            .sum();
        let outputs = self.outputs.iter().map(|shape| {
            let value = |i: usize| {
                let place = i as f32;
                0.5 + 0.4 * (0.37 * place + phase).sin() + 0.4 * self.error * (1.7 * place).sin()
            };
            Tensor::f32(shape.as_slice(), (0..shape.iter().product()).map(value).collect())
        });
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        wait(self.pass, started);
        Ok(outputs)
    }

    fn compile_report(&self) -> CompileReport {
        CompileReport {
            load_s: self.load_s,
            weight_resident_bytes: Some(self.held.len() as u64),
            ..CompileReport::default()
        }
    }

    fn numerics(&self) -> Numerics {
        Numerics::F32
    }

    fn placement(&mut self) -> Placement {
        drop(std::hint::black_box(resident(self.placement_mib)));
        let nodes = self.graph.nodes.len();
        let away = (self.elsewhere * nodes as f64).round() as usize;
        let entry = |device: &str, nodes| PlacementEntry { device: device.to_owned(), nodes, time_share: None };
        let mut entries = vec![entry("cpu", nodes - away)];
        if away > 0 {
            entries.push(entry("elsewhere", away));
        }
        Placement { asked: "cpu".to_owned(), entries, source: "scripted".to_owned() }
    }

    fn memory(&self) -> MemoryReport {
        MemoryReport::default()
    }

    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError> {
        let started = Instant::now();
        self.run(inputs)?;
        let total_s = started.elapsed().as_secs_f64();
        let share = total_s / self.graph.nodes.len().max(1) as f64;
        let nodes = self.graph.nodes.iter().enumerate().map(|(index, node)| NodeTime {
            scope: Some(node.name.clone()),
            op: self.name.clone(),
            device: "cpu".to_owned(),
            start_s: share * index as f64,
            duration_s: share,
        });
        Ok(Profile { nodes: nodes.collect(), total_s })
    }
}

#[cfg(test)]
mod tests {
    use ditbench_graph::{DType, GraphBuilder, Op};

    use super::*;

    fn session(script: &str, few_bits: bool) -> ScriptedSession {
        let mut b = GraphBuilder::new("denoiser");
        let x = b.input("x", &[1, 8], DType::F32);
        let y = b.node("scale", Op::Scale { factor: 2.0 }, &[x]);
        let z = b.node("again", Op::Scale { factor: 2.0 }, &[y]);
        b.output("z", z);
        ScriptedSession::new(&b.finish().unwrap(), serde_json::from_str(script).unwrap(), few_bits)
    }

    fn pass(session: &mut ScriptedSession) -> Vec<f32> {
        let x = Tensor::f32([1, 8], vec![0.1; 8]).unwrap();
        session.run(&[x]).unwrap().pop().unwrap().into_f32().unwrap()
    }

    #[test]
    fn what_is_planted_is_there() {
        let right = pass(&mut session("{}", false));
        assert_eq!(right, pass(&mut session("{\"denoiser_ms\": 0}", false)), "the same every time");
        assert_ne!(right, pass(&mut session("{\"wrong\": 0.1}", false)));
        assert_ne!(right, pass(&mut session("{}", true)));
        let elsewhere = session("{\"elsewhere\": 0.5}", false).placement();
        assert_eq!(elsewhere.share_on_asked(), Some(0.5));
        assert_eq!(session("{\"memory_mib\": 3}", false).compile_report().weight_resident_bytes, Some(3 << 20));
        let mut slow = session("{\"denoiser_ms\": 20}", false);
        let started = Instant::now();
        pass(&mut slow);
        assert!(started.elapsed() >= Duration::from_millis(20), "it takes at least the time that it is told to take");
    }

    #[test]
    fn an_unknown_word_is_refused() {
        assert!(
            serde_json::from_str::<Script>("{\"denoiser_sm\": 5}").unwrap_err().to_string().contains("denoiser_sm")
        );
    }
}
