//! Numbers of plans, flags and records, each within bounds that are checked where it is read.
//!
//! Contract: a value of these types is within its bounds, whatever it was read from (a flag, a plan, a record that is
//! resumed), so nothing that is computed with it can overflow or wait for ever. The error names the bounds.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Denoiser steps of an image: the noise schedule that models are trained on has a thousand.
pub type Steps = Whole<1, 1000>;
/// Threads that computing may use.
pub type Threads = Whole<1, 4096>;
/// Threads that are kept busy beside a worker.
pub type Company = Whole<0, 4096>;
/// Launches of a cell.
pub type Launches = Whole<1, 1000>;
/// Images of a launch.
pub type Images = Whole<1, 100_000>;
/// Names that pictures are made of: those of nano's list.
pub type Names = Whole<1, 200>;
/// Parts of a plan, or the number of one.
pub type Part = Whole<1, 10_000>;
/// Seconds of waiting for a phone: a day at most.
pub type Patience = Whole<0, 86_400>;

/// A number outside its bounds, or none at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} is not a whole number from {low} to {high}")]
pub struct OutOfBounds {
    found: String,
    low: u32,
    high: u32,
}

/// A whole number from `LOW` to `HIGH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whole<const LOW: u32, const HIGH: u32>(u32);

impl<const LOW: u32, const HIGH: u32> Whole<LOW, HIGH> {
    /// A number that the source itself gives: for constants, in which a wrong one does not compile.
    pub const fn fixed(number: u32) -> Self {
        assert!(LOW <= number && number <= HIGH, "outside its bounds");
        Self(number)
    }

    /// The nearest that there is: for numbers of machines, which nobody wrote.
    pub fn nearest(number: usize) -> Self {
        Self(u32::try_from(number).unwrap_or(u32::MAX).clamp(LOW, HIGH))
    }

    /// The number.
    pub fn get(self) -> usize {
        self.0 as usize
    }

    fn refuse(found: impl fmt::Display) -> OutOfBounds {
        OutOfBounds { found: found.to_string(), low: LOW, high: HIGH }
    }
}

impl<const LOW: u32, const HIGH: u32> TryFrom<i128> for Whole<LOW, HIGH> {
    type Error = OutOfBounds;

    fn try_from(number: i128) -> Result<Self, OutOfBounds> {
        let fits = u32::try_from(number).ok().filter(|number| (LOW..=HIGH).contains(number));
        fits.map(Self).ok_or_else(|| Self::refuse(number))
    }
}

impl<const LOW: u32, const HIGH: u32> FromStr for Whole<LOW, HIGH> {
    type Err = OutOfBounds;

    fn from_str(text: &str) -> Result<Self, OutOfBounds> {
        text.trim().parse::<i128>().map_err(|_| Self::refuse(format!("\"{text}\"")))?.try_into()
    }
}

impl<const LOW: u32, const HIGH: u32> fmt::Display for Whole<LOW, HIGH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<const LOW: u32, const HIGH: u32> Serialize for Whole<LOW, HIGH> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u32(self.0)
    }
}

impl<'de, const LOW: u32, const HIGH: u32> Deserialize<'de> for Whole<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Number<const LOW: u32, const HIGH: u32>;

        impl<const LOW: u32, const HIGH: u32> de::Visitor<'_> for Number<LOW, HIGH> {
            type Value = Whole<LOW, HIGH>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                write!(f, "a whole number from {LOW} to {HIGH}")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
                i128::from(number).try_into().map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
                i128::from(number).try_into().map_err(E::custom)
            }
        }

        d.deserialize_u64(Number)
    }
}

/// The longest time that can be asked for: 100 days.
const LONGEST_S: f64 = 100.0 * 24.0 * 3600.0;

/// A time that is none, or too long.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a duration above 0 and up to 100 days; use 90s, 10m or 1h")]
pub struct BadTime(String);

/// A length of time, above 0 and up to 100 days: on the command line and in plans as `90s`, `1.5m`, `1h` or a bare number
/// of seconds, in records as a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Seconds(f64);

impl Seconds {
    /// A number that the source itself gives: for constants, in which a wrong one does not compile.
    pub const fn fixed(seconds: f64) -> Self {
        assert!(seconds > 0.0 && seconds <= LONGEST_S, "outside its bounds");
        Self(seconds)
    }

    /// The number of seconds.
    pub fn get(self) -> f64 {
        self.0
    }

    /// For clocks.
    pub fn duration(self) -> Duration {
        Duration::from_secs_f64(self.0)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = BadTime;

    fn try_from(seconds: f64) -> Result<Self, BadTime> {
        if seconds > 0.0 && seconds <= LONGEST_S { Ok(Self(seconds)) } else { Err(BadTime(format!("{seconds} s"))) }
    }
}

impl From<Seconds> for f64 {
    fn from(seconds: Seconds) -> Self {
        seconds.0
    }
}

impl FromStr for Seconds {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        let text = text.trim();
        let (number, factor) = match text.char_indices().next_back() {
            Some((end, 's')) => (&text[..end], 1.0),
            Some((end, 'm')) => (&text[..end], 60.0),
            Some((end, 'h')) => (&text[..end], 3600.0),
            _ => (text, 1.0),
        };
        let seconds = number.trim().parse::<f64>().ok().and_then(|number| Self::try_from(number * factor).ok());
        seconds.ok_or_else(|| BadTime(format!("\"{text}\"")))
    }
}

/// In the largest unit of which it is a whole number.
impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, seconds) in [("h", 3600.0), ("m", 60.0)] {
            if self.0 % seconds == 0.0 {
                return write!(f, "{}{unit}", self.0 / seconds);
            }
        }
        write!(f, "{}s", self.0)
    }
}

/// In a plan file a time is what people write.
pub mod time_as_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Seconds;

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Seconds>, D::Error> {
        let text = Option::<String>::deserialize(d)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }

    #[expect(clippy::ref_option, reason = "serde's `with` gives a reference to the field")]
    pub fn serialize<S: Serializer>(time: &Option<Seconds>, s: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.to_string()).serialize(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, seconds) in [("90s", 90.0), ("1.5m", 90.0), ("2h", 7200.0), ("45", 45.0), ("0.01s", 0.01)] {
            assert_eq!(text.parse::<Seconds>().unwrap().get(), seconds);
        }
        for text in ["90s", "15m", "2h", "0.01s", "100.5s"] {
            assert_eq!(text.parse::<Seconds>().unwrap().to_string(), text);
        }
        for bad in ["", "s", "-1s", "0", "ten", "1d", "inf", "nan", "1e99h", "1e19", "1e300", "101000000m"] {
            let error = bad.parse::<Seconds>().unwrap_err().to_string();
            assert!(error.contains("100 days") && error.contains("90s, 10m or 1h"), "{error}");
        }
        for bad in ["-1.0", "0", "1e19", "1e300"] {
            let error = serde_json::from_str::<Seconds>(bad).unwrap_err().to_string();
            assert!(error.contains("100 days"), "{error}");
        }
        // What is within the bounds can be added to a clock.
        let later = std::time::Instant::now().checked_add(Seconds::fixed(LONGEST_S).duration());
        assert!(later.is_some());
    }

    #[test]
    fn numbers_are_bounded_in_text_toml_and_json_and_the_bounds_are_named() {
        assert_eq!("1000".parse::<Steps>().unwrap().get(), 1000);
        for bad in ["0", "1001", "-1", "9223372036854775807", "99999999999999999999999999999999999999999", "x", "1.5"] {
            let error = bad.parse::<Steps>().unwrap_err().to_string();
            assert!(error.contains(bad) && error.contains("from 1 to 1000"), "{error}");
        }
        for bad in ["0", "1001", "-1", "18446744073709551615", "1e300", "1.5", "\"1\"", "null"] {
            let error = serde_json::from_str::<Steps>(bad).unwrap_err().to_string();
            assert!(error.contains("whole number from 1 to 1000"), "{error}");
        }
        assert_eq!(serde_json::to_string(&Steps::fixed(4)).unwrap(), "4");
        assert_eq!(serde_json::from_str::<Steps>("4").unwrap(), Steps::fixed(4));
        assert_eq!([0, 5, usize::MAX].map(|n| Threads::nearest(n).get()), [1, 5, 4096]);
    }
}
