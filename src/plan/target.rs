//! Where to run: this machine, or phones.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where to run, as `--on` and plans say it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// This machine.
    Local,
    /// The one phone that is there.
    OnlyPhone,
    /// Every phone that is there.
    AllPhones,
    /// A phone by its serial.
    Phone(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "local" => Ok(Self::Local),
            "adb" => Ok(Self::OnlyPhone),
            "adb:*" => Ok(Self::AllPhones),
            other => match other.strip_prefix("adb:") {
                Some(serial) if !serial.is_empty() => Ok(Self::Phone(serial.to_owned())),
                _ => Err(format!("\"{text}\" is not a place to run: use local, adb, adb:SERIAL or adb:*")),
            },
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::OnlyPhone => f.write_str("adb"),
            Self::AllPhones => f.write_str("adb:*"),
            Self::Phone(serial) => write!(f, "adb:{serial}"),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}
