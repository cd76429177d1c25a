//! What a cell ran on, where that is not plainly the machine's processor.

use serde::{Deserialize, Serialize};

/// A device. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// `cpu`, `gpu`, `npu`.
    #[serde(default)]
    pub kind: Option<String>,
    /// The hardware's own name: `NVIDIA H200`.
    #[serde(default)]
    pub hardware: Option<String>,
    /// Bytes of its own memory.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Driver, with its version.
    #[serde(default)]
    pub driver: Option<String>,
    /// `real`, `simulator`, `software`.
    #[serde(default = "real")]
    pub nature: String,
}

/// What a device is that says nothing else.
pub const REAL: &str = "real";

fn real() -> String {
    REAL.to_owned()
}

impl Device {
    /// Whether a time measured there is the device's: not of a simulator, nor of a driver that computes on the processor.
    pub fn shows_speed(&self) -> bool {
        self.nature == REAL
    }

    /// Whether the machine's processor computes, as far as is known.
    pub fn is_processor(&self) -> bool {
        self.kind.as_deref() == Some("cpu")
    }

    /// In a few words: `llvmpipe, software`.
    pub fn words(&self) -> String {
        let known = [self.hardware.clone(), (!self.shows_speed()).then(|| self.nature.clone())];
        known.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_says_nothing_of_itself_is_real() {
        let device: Device = serde_json::from_str("{}").unwrap();
        assert!(device.shows_speed() && !device.is_processor() && device.words().is_empty());
        let said = r#"{"kind": "gpu", "hardware": "llvmpipe", "nature": "software"}"#;
        let device: Device = serde_json::from_str(said).unwrap();
        assert!(!device.shows_speed());
        assert_eq!(device.words(), "llvmpipe, software");
    }
}
