//! Devices: what a backend can compute on, and for what is not there, why and how to get it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::BackendError;

/// What sort of processor a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// The machine's processor.
    Cpu,
    /// A graphics processor.
    Gpu,
    /// A neural accelerator.
    Npu,
}

impl DeviceKind {
    /// Its name: `cpu`, `gpu`, `npu`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Npu => "npu",
        }
    }
}

/// What stands behind a device's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceNature {
    /// The hardware itself.
    #[default]
    Real,
    /// A vendor's model of the hardware, on this machine's processor. It shows results and placement, and no speed.
    Simulator,
    /// A driver that computes on this machine's processor what a device of that kind would (lavapipe, SwiftShader). It shows
    /// results and placement; its speed is the processor's.
    Software,
}

impl DeviceNature {
    /// Its name: `real`, `simulator`, `software`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Simulator => "simulator",
            Self::Software => "software",
        }
    }

    /// Whether a time measured there is the device's.
    pub fn shows_speed(self) -> bool {
        self == Self::Real
    }
}

/// A device, present or not. What is not known of it is `None`, and never guessed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// Name to ask for: `cpu`, `cuda`, `webgpu:0`, …
    pub name: String,
    /// What else it may be asked for by: `webgpu:0` where that is the only one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What it is, in words: the execution provider, whose kernels.
    pub about: String,
    /// What sort of processor it is; `None` where that is not known, or where what is behind the name chooses among several.
    #[serde(default)]
    pub kind: Option<DeviceKind>,
    /// The hardware's own name: `NVIDIA H200`, `llvmpipe (LLVM 15.0.6, 256 bits)`.
    #[serde(default)]
    pub hardware: Option<String>,
    /// Bytes of its own memory; `None` also for a device that computes in the machine's.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Driver, with its version: `NVIDIA 570.124.06`, `Mesa 22.3.6`.
    #[serde(default)]
    pub driver: Option<String>,
    /// Whether the hardware itself is behind it.
    #[serde(default)]
    pub nature: DeviceNature,
    /// The way in which a precision is run here where the user names none, by the precision's name; the backend's first where there is
    /// none. A device that computes in 16 bits runs f16 weights as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ways: BTreeMap<String, String>,
    /// `Ok` if it can be used now; else why not, and how to get it.
    pub state: Result<(), Missing>,
}

impl DeviceFacts {
    /// A device that can be used, of which no more is known.
    pub fn new(name: &str, about: &str) -> Self {
        Self {
            name: name.to_owned(),
            aliases: Vec::new(),
            about: about.to_owned(),
            kind: None,
            hardware: None,
            memory_bytes: None,
            driver: None,
            nature: DeviceNature::Real,
            ways: BTreeMap::new(),
            state: Ok(()),
        }
    }

    /// The machine's processor under its usual name.
    pub fn cpu(about: &str) -> Self {
        Self::new("cpu", about).of_kind(DeviceKind::Cpu)
    }

    /// A GPU that this build is without, because a feature of ditbench's was off when it was built.
    pub fn not_built(name: &str, about: &str, feature: &str) -> Self {
        let missing = Missing {
            why: "this build lacks it".to_owned(),
            cure: format!("Build ditbench with `--features {feature}`: docs/TARGETS.md says what that needs"),
        };
        Self::new(name, about).of_kind(DeviceKind::Gpu).in_state(Err(missing))
    }

    /// The device of that name among all of a backend's, if it can be used.
    ///
    /// # Errors
    /// There is none of that name; it cannot be used now, and the cure.
    pub fn usable(all: Vec<Self>, backend: &'static str, name: &str) -> Result<Self, BackendError> {
        let names: Vec<String> = all.iter().map(|device| device.name.clone()).collect();
        let Some(found) = all.into_iter().find(|device| device.is_called(name)) else {
            let why = format!("it has no device \"{name}\"; it has {}", names.join(", "));
            return Err(BackendError::Unsupported { backend, why });
        };
        match &found.state {
            Ok(()) => Ok(found),
            Err(Missing { why, cure }) => {
                let (why, cure) = (format!("device \"{name}\": {why}"), format!("{cure}."));
                Err(BackendError::Unavailable { backend, why, cure })
            }
        }
    }

    /// Whether it is asked for by this name.
    pub fn is_called(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// The same, of that kind.
    pub fn of_kind(self, kind: impl Into<Option<DeviceKind>>) -> Self {
        Self { kind: kind.into(), ..self }
    }

    /// The same, in that state.
    pub fn in_state(self, state: Result<(), Missing>) -> Self {
        Self { state, ..self }
    }
}

/// Why something cannot be used, and the cure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Why not.
    pub why: String,
    /// How to get it.
    pub cure: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_an_older_program_says_no_more_than_it_did() {
        let said =
            r#"{"name": "cuda", "about": "NVIDIA GPUs", "state": {"Err": {"why": "no driver", "cure": "get one"}}}"#;
        let device: DeviceFacts = serde_json::from_str(said).unwrap();
        let missing = Missing { why: "no driver".to_owned(), cure: "get one".to_owned() };
        assert_eq!(device, DeviceFacts::new("cuda", "NVIDIA GPUs").in_state(Err(missing)));
    }

    #[test]
    fn names_are_those_of_files() {
        for kind in [DeviceKind::Cpu, DeviceKind::Gpu, DeviceKind::Npu] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        for nature in [DeviceNature::Real, DeviceNature::Simulator, DeviceNature::Software] {
            assert_eq!(serde_json::to_value(nature).unwrap(), nature.name());
        }
    }
}
