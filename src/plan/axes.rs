//! The values that axes take, as people write them.

use std::fmt;
use std::str::FromStr;

use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::ImageSize;
use serde::{Deserialize, Serialize};

/// An image size: `512` or `768x512` (width × height).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "IntOrText", into = "String")]
pub struct Size(pub ImageSize);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse::<usize>().ok().filter(|&n| n > 0 && n <= 8192);
        let (width, height) = match text.split_once(['x', '×']) {
            Some((width, height)) => (number(width), number(height)),
            None => (number(text), number(text)),
        };
        match (width, height) {
            (Some(width), Some(height)) => Ok(Self(ImageSize { height, width })),
            _ => Err(format!("\"{text}\" is not an image size: use 512, or 768x512 for width x height")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.0.width, self.0.height)
    }
}

/// A backend and, after a colon, one of its ways of running: `candle`, `candle:stock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackendChoice {
    /// The backend's name.
    pub name: String,
    /// The way of running; `None` for the backend's default.
    pub variant: Option<String>,
}

impl FromStr for BackendChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, variant) = match text.split_once(':') {
            Some((name, variant)) => (name, Some(variant.to_owned())),
            None => (text, None),
        };
        ditbench_worker::registry::engine(name)?;
        if variant.as_deref() == Some("") {
            return Err(format!("\"{text}\": write the way of running after the colon, or leave out the colon"));
        }
        Ok(Self { name: name.to_owned(), variant })
    }
}

impl fmt::Display for BackendChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{}:{variant}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A TOML value that people write bare or quoted.
#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrText {
    Int(u64),
    Text(String),
}

macro_rules! as_text {
    ($type:ty) => {
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }

        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
    };
}

as_text!(Size);
as_text!(BackendChoice);

impl TryFrom<IntOrText> for Size {
    type Error = String;

    fn try_from(value: IntOrText) -> Result<Self, String> {
        value.text().parse()
    }
}

impl IntOrText {
    fn text(self) -> String {
        match self {
            Self::Int(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

/// A precision by its name.
pub fn parse_scheme(text: &str) -> Result<Scheme, String> {
    let names = Scheme::ALL.map(Scheme::name).join(", ");
    Scheme::ALL
        .into_iter()
        .find(|scheme| scheme.name() == text)
        .ok_or_else(|| format!("unknown precision \"{text}\": choose from {names}"))
}

/// What memory is spent on, by its name.
pub fn parse_memory(text: &str) -> Result<MemoryMode, String> {
    match text {
        "fast" => Ok(MemoryMode::Fast),
        "small" => Ok(MemoryMode::Small),
        _ => Err(format!("unknown memory mode \"{text}\": choose fast (memory for speed) or small (speed for memory)")),
    }
}

/// In TOML, an axis is one value or a list of them.
pub mod one_or_many {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<toml::Value>),
        One(toml::Value),
    }

    pub fn deserialize<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
        d: D,
    ) -> Result<Option<Vec<T>>, D::Error> {
        let values = match OneOrMany::deserialize(d)? {
            OneOrMany::Many(values) => values,
            OneOrMany::One(value) => vec![value],
        };
        // Each value is read on its own, so that the error names the value and not the list.
        let read = |value: toml::Value| T::deserialize(value).map_err(serde::de::Error::custom);
        values.into_iter().map(read).collect::<Result<_, _>>().map(Some)
    }

    #[expect(clippy::ref_option, reason = "serde's `with` gives a reference to the field")]
    pub fn serialize<S: Serializer, T: Serialize>(values: &Option<Vec<T>>, s: S) -> Result<S::Ok, S::Error> {
        values.serialize(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_write() {
        assert_eq!("768x512".parse::<Size>().unwrap().0, ImageSize { height: 512, width: 768 });
        assert_eq!("512".parse::<Size>().unwrap().to_string(), "512x512");
        for bad in ["", "0", "x", "12x", "a", "99999999999999999999", "-4"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }

    #[test]
    fn backends_and_their_ways() {
        let choice: BackendChoice = "candle:stock".parse().unwrap();
        assert_eq!((choice.name.as_str(), choice.variant.as_deref()), ("candle", Some("stock")));
        let error = "pytorch".parse::<BackendChoice>().unwrap_err();
        assert!(error.contains("unknown backend \"pytorch\"") && error.contains("tract"), "{error}");
    }
}
