//! What we ask an engine and what it answers, a JSON object on a line each. docs/PROTOCOL.md says it in words.
//!
//! Contract: within a version fields are only added; an engine passes over those that it does not know, and so do we.

use std::collections::HashSet;
use std::path::Path;

use ditbench_backend_api::{DeviceFacts, DeviceKind, DeviceNature, Missing, Numerics, PlacementEntry};
use ditbench_graph::onnx::{Dialect, QuantizedLinear};
use ditbench_graph::weights::Scheme;
use serde::{Deserialize, Serialize};

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// A question, with the number that its answer carries too.
#[derive(Serialize)]
pub(crate) struct Request<'a> {
    pub id: u64,
    #[serde(flatten)]
    pub ask: &'a Ask<'a>,
}

/// A question.
#[derive(Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub(crate) enum Ask<'a> {
    Describe {
        protocol: u32,
    },
    Compile {
        session: u64,
        name: &'a str,
        model: &'a Path,
        inputs: Vec<Port<'a>>,
        outputs: Vec<Port<'a>>,
        way: &'a str,
        device: &'a str,
        threads: usize,
        memory: ditbench_backend_api::MemoryMode,
        cache: &'a Path,
    },
    Run {
        session: u64,
        inputs: &'a Path,
        outputs: &'a Path,
        profile: bool,
    },
    Placement {
        session: u64,
    },
    Memory {
        session: u64,
    },
    Close {
        session: u64,
    },
    Quit,
}

/// An input or output of a graph, under its name in the file.
#[derive(Serialize)]
pub(crate) struct Port<'a> {
    pub name: &'a str,
    /// The graph's own element type: `f32` and `i64` of ours, any of ONNX's of a user's file.
    pub dtype: String,
    /// `None` of the outputs of a user's file, which only running it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<&'a [usize]>,
}

/// An answer: what was asked for, or why not.
#[derive(Deserialize)]
pub(crate) struct Answer {
    pub id: u64,
    pub error: Option<Refusal>,
    #[serde(flatten)]
    pub rest: serde_json::Map<String, serde_json::Value>,
}

/// Why an engine does not do what it was asked.
#[derive(Deserialize)]
pub(crate) struct Refusal {
    pub kind: Kind,
    pub why: String,
    #[serde(default)]
    pub cure: String,
}

/// What kind of refusal.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The engine cannot do that.
    Unsupported,
    /// Something that it needs is not there.
    Unavailable,
    /// It tried and failed.
    Failed,
}

/// What an engine says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Description {
    pub version: String,
    #[serde(default)]
    pub details: Vec<String>,
    pub devices: Vec<Device>,
    pub ways: Vec<Way>,
}

/// A device, present or not.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Device {
    pub name: String,
    #[serde(default)]
    pub about: String,
    #[serde(default)]
    pub kind: Option<DeviceKind>,
    #[serde(default)]
    pub hardware: Option<String>,
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    #[serde(default)]
    pub driver: Option<String>,
    #[serde(default)]
    pub nature: DeviceNature,
    #[serde(default)]
    pub missing: Option<Missing>,
}

impl Device {
    /// As every backend says it.
    pub fn facts(&self) -> DeviceFacts {
        let Self { name, about, kind, hardware, memory_bytes, driver, nature, missing } = self.clone();
        let state = missing.map_or(Ok(()), Err);
        DeviceFacts { kind, hardware, memory_bytes, driver, nature, state, ..DeviceFacts::new(&name, &about) }
    }
}

/// A way of running weights.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Way {
    pub name: String,
    pub about: String,
    pub precisions: Vec<Scheme>,
    pub operators: Operators,
    #[serde(default)]
    pub accuracy_level: Option<i64>,
    #[serde(default)]
    pub expands: bool,
    /// Whether it also runs a user's own ONNX file, as it is.
    #[serde(default)]
    pub files: bool,
}

/// The operators that a file may hold, by what a reader says that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operators {
    /// Those of ONNX alone; weights of few bits are written as f32.
    Standard,
    /// And `com.microsoft::MatMulNBits` for linears of 4 and 8 bits.
    MatMulNBits,
    /// And others of ONNX Runtime's own: `RotaryEmbedding`, `QuickGelu`.
    OnnxRuntime,
}

impl Operators {
    /// How a graph is written with them.
    pub fn dialect(self) -> Dialect {
        let unpacked = QuantizedLinear::Unpacked;
        let nbits = QuantizedLinear::MatMulNBits { accuracy_level: 1 };
        let standard = Dialect { q4: unpacked, q8: unpacked, nbits_barrier: false, ..Dialect::standard() };
        match self {
            Self::Standard => standard,
            Self::MatMulNBits => Dialect { q4: nbits, q8: nbits, ..standard },
            Self::OnnxRuntime => {
                Dialect { q4: nbits, q8: nbits, nbits_bias: true, quick_gelu: true, rotary: true, ..standard }
            }
        }
    }
}

impl Way {
    /// How a graph is written for it.
    pub fn dialect(&self) -> Dialect {
        let dialect = self.operators.dialect();
        match self.accuracy_level {
            Some(level) => dialect.with_accuracy_level(level),
            None => dialect,
        }
    }

    /// Whether weights of a scheme take more memory than they are stored in.
    pub fn expands(&self, scheme: Scheme) -> bool {
        let written_as_f32 = match scheme {
            Scheme::F32 => false,
            Scheme::F16 | Scheme::Palette4 => true,
            Scheme::Q4 | Scheme::Q8 | Scheme::Mixed => self.operators == Operators::Standard,
        };
        self.expands || written_as_f32
    }
}

impl Description {
    /// Whether it can be used.
    pub fn check(self) -> Result<Self, String> {
        let mut names = HashSet::new();
        if let Some(way) = self.ways.iter().find(|way| way.name.is_empty() || !names.insert(&way.name)) {
            return Err(format!("it describes the way of running \"{}\" twice, or without a name", way.name));
        }
        let mut names = HashSet::new();
        match self.devices.iter().find(|device| device.name.is_empty() || !names.insert(&device.name)) {
            Some(device) => Err(format!("it describes the device \"{}\" twice, or without a name", device.name)),
            None => Ok(self),
        }
    }
}

/// A session is ready.
#[derive(Deserialize)]
pub(crate) struct Compiled {
    pub seconds: f64,
    pub numerics: Numerics,
    #[serde(default)]
    pub resident_bytes: Option<u64>,
}

/// A pass is done.
#[derive(Deserialize)]
pub(crate) struct Ran {
    pub seconds: f64,
    #[serde(default)]
    pub nodes: Option<Vec<Node>>,
}

/// One node's time.
#[derive(Deserialize)]
pub(crate) struct Node {
    #[serde(default)]
    pub node: String,
    pub op: String,
    pub device: String,
    pub start_s: f64,
    pub seconds: f64,
}

/// Where nodes ran.
#[derive(Deserialize)]
pub(crate) struct Placed {
    pub entries: Vec<PlacementEntry>,
    pub source: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_flat_object() {
        let ask = Ask::Run { session: 3, inputs: Path::new("/a"), outputs: Path::new("/b"), profile: false };
        let text = serde_json::to_string(&Request { id: 7, ask: &ask }).unwrap();
        assert_eq!(text, r#"{"id":7,"ask":"run","session":3,"inputs":"/a","outputs":"/b","profile":false}"#);
        assert_eq!(serde_json::to_string(&Request { id: 8, ask: &Ask::Quit }).unwrap(), r#"{"id":8,"ask":"quit"}"#);
    }

    #[test]
    fn a_device_is_what_its_engine_says_and_no_more() {
        let facts = |text: &str| serde_json::from_str::<Device>(text).unwrap().facts();
        assert_eq!(facts(r#"{"name": "cuda"}"#), DeviceFacts::new("cuda", ""));
        let said = facts(
            r#"{"name": "webgpu", "kind": "gpu", "hardware": "llvmpipe", "driver": "Mesa 22.3.6", "nature": "software"}"#,
        );
        assert_eq!((said.kind, said.nature), (Some(DeviceKind::Gpu), DeviceNature::Software));
        assert_eq!((said.hardware.as_deref(), said.memory_bytes), (Some("llvmpipe"), None));
        assert!(!said.nature.shows_speed() && said.state.is_ok());
    }

    #[test]
    fn a_way_reads_what_it_says_that_it_reads() {
        let way = |operators: &str, level: &str| -> Way {
            let text =
                format!(r#"{{"name": "w", "about": "", "precisions": ["q4"], "operators": "{operators}"{level}}}"#);
            serde_json::from_str(&text).unwrap()
        };
        let standard = way("standard", "");
        assert_eq!(standard.dialect().q4, QuantizedLinear::Unpacked);
        assert!(standard.expands(Scheme::Q4) && !standard.expands(Scheme::F32));
        let nbits = way("matmulnbits", ", \"accuracy_level\": 4");
        assert_eq!(nbits.dialect().q8, QuantizedLinear::MatMulNBits { accuracy_level: 4 });
        assert!(!nbits.dialect().rotary && !nbits.expands(Scheme::Q4) && nbits.expands(Scheme::F16));
        assert!(way("onnxruntime", "").dialect().rotary);
        assert!(serde_json::from_str::<Operators>("\"tensorflow\"").unwrap_err().to_string().contains("matmulnbits"));
    }
}
