//! The values that axes take, as people write them.

use std::fmt;
use std::str::FromStr;

use ditbench_backend_api::MemoryMode;
use ditbench_graph::weights::Scheme;
use ditbench_workloads::models::{ImageSize, Layout, Rung};
use ditbench_workloads::pipeline::Rule;
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
            _ => Err(format!("\"{text}\" is no image size: write 512, or 768x512 for width x height")),
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
        if !ditbench_worker::registry::NAMES.contains(&name) {
            return Err(format!(
                "unknown backend \"{name}\": choose from {}",
                ditbench_worker::registry::listed().collect::<Vec<_>>().join(", ")
            ));
        }
        if variant.as_deref() == Some("") {
            return Err(format!("\"{text}\": write the way of running after the colon, or leave the colon out"));
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

/// How many text tokens the denoiser reads: the text encoder's own, or with a language model's beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "IntOrText", into = "String")]
pub enum TextTokens {
    /// The text encoder's tokens alone: 77, as on the phone.
    Clip,
    /// With the language model's 256: 333.
    ClipAndGemma,
}

impl FromStr for TextTokens {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "77" => Ok(Self::Clip),
            "333" => Ok(Self::ClipAndGemma),
            _ => Err(format!(
                "\"{text}\" text tokens: choose 77 (the text encoder alone) or 333 (with a language model)"
            )),
        }
    }
}

impl fmt::Display for TextTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Clip { "77" } else { "333" })
    }
}

/// How a step moves the latent, and how strongly the prompt counts: `euler`, `renoise`, `euler+cfg4`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sampler {
    /// The rule of a step.
    pub rule: Rule,
    /// Hundredths of the scale of classifier-free guidance; `None` for one pass a step, as in a distilled model.
    guidance: Option<u16>,
}

impl Sampler {
    /// The scale of classifier-free guidance; `None` without it.
    pub fn guidance(self) -> Option<f32> {
        self.guidance.map(|hundredths| f32::from(hundredths) / 100.0)
    }
}

impl FromStr for Sampler {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is no sampler: write euler or renoise, and for classifier-free guidance its scale behind it, as in euler+cfg4"
            )
        };
        let (rule, guidance) = match text.split_once("+cfg") {
            Some((rule, scale)) => (rule, Some(scale)),
            None => (text, None),
        };
        let rule = match rule {
            "euler" => Rule::Euler,
            "renoise" => Rule::Renoise,
            _ => return Err(wrong()),
        };
        let hundredths = |scale: &str| {
            let scale: f64 = scale.parse().ok()?;
            (scale > 0.0 && scale <= 100.0).then(|| (100.0 * scale).round() as u16)
        };
        let guidance = guidance.map(|scale| hundredths(scale).ok_or_else(wrong)).transpose()?;
        Ok(Self { rule, guidance })
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.rule {
            Rule::Euler => "euler",
            Rule::Renoise => "renoise",
        })?;
        self.guidance().map_or(Ok(()), |scale| write!(f, "+cfg{scale}"))
    }
}

/// A width of an elastic super-network as a share of the widest: `1`, `0.5`, `0.375`. In thousandths, so that it can be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "NumberOrText", into = "String")]
pub struct Width(u16);

impl Width {
    /// The whole width.
    pub const FULL: Self = Self(1000);

    /// The share, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl FromStr for Width {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let thousandths = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0).map(|s| 1000.0 * s);
        match thousandths {
            Some(thousandths) if (thousandths - thousandths.round()).abs() < 1e-9 => {
                Ok(Self(thousandths.round() as u16))
            }
            _ => Err(format!("\"{text}\" is no width: write the share of the widest net, as in 1, 0.5 or 0.375")),
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.share())
    }
}

/// A block layout: `8-10-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayoutChoice(pub Layout);

impl FromStr for LayoutChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let counts: Option<Vec<usize>> = text.split('-').map(|part| part.parse().ok().filter(|&n| n <= 64)).collect();
        match counts.as_deref() {
            Some(&[down, middle, up]) if down + middle + up > 0 => Ok(Self(Layout { down, middle, up })),
            _ => Err(format!("\"{text}\" is no layout: write the blocks of Down, Middle and Up, as in 8-10-10")),
        }
    }
}

impl fmt::Display for LayoutChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.0.down, self.0.middle, self.0.up)
    }
}

/// A TOML value that people write bare or quoted.
#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrText {
    Int(u64),
    Text(String),
}

/// As [`IntOrText`], with fractions.
#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl TryFrom<NumberOrText> for Width {
    type Error = String;

    fn try_from(value: NumberOrText) -> Result<Self, String> {
        match value {
            NumberOrText::Number(number) => number.to_string().parse(),
            NumberOrText::Text(text) => text.parse(),
        }
    }
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
as_text!(TextTokens);
as_text!(LayoutChoice);
as_text!(Sampler);

impl From<Width> for String {
    fn from(value: Width) -> Self {
        value.to_string()
    }
}

impl TryFrom<IntOrText> for Size {
    type Error = String;

    fn try_from(value: IntOrText) -> Result<Self, String> {
        value.text().parse()
    }
}

impl TryFrom<IntOrText> for TextTokens {
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

/// A parser for clap whose error is the type's own.
pub fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: fmt::Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
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

/// A rung by its name.
pub fn parse_rung(text: &str) -> Result<Rung, String> {
    let names = Rung::ALL.map(Rung::name).join(", ");
    Rung::ALL
        .into_iter()
        .find(|rung| rung.name() == text)
        .ok_or_else(|| format!("unknown rung \"{text}\": choose from {names}"))
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
    use ditbench_workloads::models::Variant;

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

    #[test]
    fn samplers() {
        let sampler: Sampler = "euler+cfg4.5".parse().unwrap();
        assert_eq!((sampler.rule, sampler.guidance()), (Rule::Euler, Some(4.5)));
        for text in ["euler", "renoise", "euler+cfg4", "renoise+cfg1.25"] {
            assert_eq!(text.parse::<Sampler>().unwrap().to_string(), text);
        }
        for bad in ["", "ddim", "euler+cfg", "euler+cfg0", "euler+cfg-1", "euler+cfgnan", "euler+cfg1e9", "+cfg4"] {
            assert!(bad.parse::<Sampler>().is_err(), "{bad}");
        }
    }

    #[test]
    fn widths() {
        assert_eq!("0.375".parse::<Width>().unwrap().share(), 0.375);
        assert_eq!("1".parse::<Width>().unwrap(), Width::FULL);
        for bad in ["", "0", "-0.5", "1.5", "nan", "0.33333"] {
            assert!(bad.parse::<Width>().is_err(), "{bad}");
        }
    }

    #[test]
    fn layouts() {
        assert_eq!("6-20-10".parse::<LayoutChoice>().unwrap().to_string(), "6-20-10");
        assert!("6-20".parse::<LayoutChoice>().is_err());
    }

    #[test]
    fn an_unknown_model_names_those_there_are() {
        assert!(parse::<Variant>("huge").unwrap_err().contains("nano, tiny"));
    }
}
