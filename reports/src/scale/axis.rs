//! What times are followed over: the axes of a plan that have an order, and how their values are read and shown.

use serde::{Serialize, Serializer};

use crate::record::CellKey;
use crate::record::disturbed::several;

/// An axis along which a cost grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Pixels of an image. Latent tokens grow in proportion to them, so that the exponent is that of tokens too.
    Size,
    /// Threads that computing may use.
    Threads,
    /// Denoiser steps.
    Steps,
    /// Text tokens that the denoiser attends to.
    TextTokens,
}

/// A value on an axis. Sizes of as many pixels are different places: 512×768 and 768×512.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The axis.
    pub axis: Axis,
    /// The number that a law is fitted over: pixels of an image, threads, …
    pub x: f64,
    /// As people write it: `512×512`, `2`.
    pub says: String,
}

/// A place is shown by its words.
impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.says)
    }
}

impl Axis {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Size, Self::Threads, Self::Steps, Self::TextTokens];

    /// The name of its flag.
    pub fn name(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Threads => "threads",
            Self::Steps => "steps",
            Self::TextTokens => "text-tokens",
        }
    }

    /// What its numbers count.
    pub fn counts(self) -> &'static str {
        match self {
            Self::Size => "pixels",
            Self::Threads => "threads",
            Self::Steps => "denoiser steps",
            Self::TextTokens => "text tokens",
        }
    }

    /// Where a cell stands on it; `None` for one that has no such thing.
    pub fn place(self, key: &CellKey) -> Option<Place> {
        let of = |n: u32| (n > 0).then(|| Place { axis: self, x: f64::from(n), says: n.to_string() });
        match self {
            // A single graph of a user's own has no size.
            Self::Size => (key.width > 0 && key.height > 0).then(|| size(key.width, key.height)),
            Self::Threads => of(key.threads),
            Self::Steps => of(key.steps),
            Self::TextTokens => of(key.text_tokens()?),
        }
    }

    /// What cells that differ in nothing but this axis share.
    pub fn without(self, key: &CellKey) -> CellKey {
        let mut rest = key.clone();
        match self {
            Self::Size => (rest.width, rest.height) = (0, 0),
            Self::Threads => rest.threads = 0,
            Self::Steps => rest.steps = 0,
            Self::TextTokens => drop(rest.own.remove("text_tokens")),
        }
        rest
    }
}

impl Place {
    /// In a sentence: `512×512`, `8 steps`.
    pub fn words(&self) -> String {
        match self.axis {
            Axis::Size => self.says.clone(),
            Axis::Threads => several(&self.says, "thread"),
            Axis::Steps => several(&self.says, "step"),
            Axis::TextTokens => several(&self.says, "text token"),
        }
    }

    /// As a flag has it, so that [`read`] reads it: `size=768×512`.
    pub fn flag(&self) -> String {
        format!("{}={}", self.axis.name(), self.says)
    }
}

fn size(width: u32, height: u32) -> Place {
    Place { axis: Axis::Size, x: f64::from(width) * f64::from(height), says: format!("{width}×{height}") }
}

/// Reads what is to be predicted: `2048`, `768x512`, `steps=8`.
///
/// # Errors
/// What is no place on an axis of which times can be told without measuring.
pub fn read(text: &str) -> Result<Place, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a value to predict: write a size (2048, 768x512), or AXIS=VALUE with one of size, steps, text-tokens"
        )
    };
    let (name, value) = text.split_once('=').unwrap_or(("size", text));
    let axis = Axis::ALL.into_iter().find(|axis| axis.name() == name.trim()).ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|n| (1..=65_536).contains(n)).ok_or_else(wrong);
    match axis {
        Axis::Threads => Err(
            "what more threads bring is bounded by the machine's cores, and no law foretells it: measure it with --threads"
                .to_owned(),
        ),
        Axis::Size => match value.split_once(['x', '×']) {
            Some((width, height)) => Ok(size(number(width)?, number(height)?)),
            None => number(value).map(|side| size(side, side)),
        },
        Axis::Steps | Axis::TextTokens => {
            let n = number(value)?;
            Ok(Place { axis, x: f64::from(n), says: n.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_predicted_is_read() {
        let of = |text: &str| read(text).map(|place| (place.axis, place.x, place.says));
        assert_eq!(of("2048"), Ok((Axis::Size, 2048.0 * 2048.0, "2048×2048".to_owned())));
        assert_eq!(of("size=768x512"), Ok((Axis::Size, 768.0 * 512.0, "768×512".to_owned())));
        assert_eq!(of("steps=8"), Ok((Axis::Steps, 8.0, "8".to_owned())));
        assert_eq!(read("steps=8").unwrap().words(), "8 steps");
        for text in ["768x512", "steps=8", "text-tokens=77"] {
            let place = read(text).unwrap();
            assert_eq!(read(&place.flag()), Ok(place));
        }
        assert!(read("threads=8").unwrap_err().contains("measure it with --threads"));
        for bad in ["", "0", "x", "steps=", "batch=8", "size=-4", "colour=3", "99999999"] {
            assert!(read(bad).unwrap_err().contains("AXIS=VALUE"), "{bad}");
        }
    }

    #[test]
    fn cells_that_differ_in_one_axis_alone_share_the_rest() {
        let key = CellKey { width: 64, height: 64, threads: 2, batch: 1, steps: 4, ..CellKey::default() }
            .with("text_tokens", 16);
        let larger = CellKey { width: 128, height: 96, ..key.clone() };
        assert_eq!(Axis::Size.without(&key), Axis::Size.without(&larger));
        assert_eq!(Axis::Size.place(&larger).map(|place| (place.x, place.says)), Some((12288.0, "128×96".to_owned())));
        for axis in Axis::ALL {
            assert!(axis.place(&key).is_some() && axis.place(&axis.without(&key)).is_none(), "{axis:?}");
        }
    }
}
