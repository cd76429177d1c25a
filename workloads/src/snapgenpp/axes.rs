//! The axes of SnapGen++ beyond model, size and steps, as people write their values.

use std::fmt;
use std::str::FromStr;

use super::pipeline::Rule;
use super::{Layout, Rung};
use crate::Axis;

/// What a plan may vary.
pub static AXES: [Axis; 5] = [
    Axis {
        name: "rung",
        help: "Architectures, from the paper's baseline to its last step: pixart-mqa, three-stage, assa, final; final-dense is final with dense attention",
        default: "final",
        parse: |text| parse_rung(text).map(|rung| rung.name().to_owned()),
        show: str::to_owned,
    },
    Axis {
        name: "layout",
        help: "Block layouts, Down-Middle-Up: 8-10-10, 6-20-10",
        default: "",
        parse: written::<LayoutChoice>,
        show: str::to_owned,
    },
    Axis {
        name: "width",
        help: "Widths of the elastic super-network, as shares of the model's: 1, 0.5, 0.375",
        default: "1",
        parse: written::<Width>,
        show: |value| format!("width {value}"),
    },
    Axis {
        name: "text-tokens",
        help: "Text tokens: 77 (the text encoder alone, as on the phone) or 333 (with a language model's 256); nano \
               has 16 instead of 77",
        default: "77",
        parse: written::<TextTokens>,
        show: |_| "with a language model's 256 tokens".to_owned(),
    },
    Axis {
        name: "sampler",
        help: "Samplers: euler, renoise (DMD2's); append +cfgN for classifier-free guidance with scale N, as in euler+cfg4",
        default: "euler",
        parse: written::<Sampler>,
        show: str::to_owned,
    },
];

/// A value in its one way of writing.
fn written<T: FromStr<Err = String> + fmt::Display>(text: &str) -> Result<String, String> {
    text.parse().map(|value: T| value.to_string())
}

/// A rung by its name.
///
/// # Errors
/// Names those there are.
pub fn parse_rung(text: &str) -> Result<Rung, String> {
    let names = Rung::ALL.map(Rung::name).join(", ");
    Rung::ALL
        .into_iter()
        .find(|rung| rung.name() == text)
        .ok_or_else(|| format!("unknown rung \"{text}\": choose from {names}"))
}

/// How many text tokens the denoiser reads: the text encoder's own, or with a language model's beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
                "\"{text}\" is not a sampler: use euler or renoise, and append +cfgN for classifier-free guidance with \
                 scale N, as in euler+cfg4"
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
            _ => Err(format!("\"{text}\" is not a width: use the share of the widest net, as in 1, 0.5 or 0.375")),
        }
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.share())
    }
}

/// A block layout: `8-10-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayoutChoice(pub Layout);

impl FromStr for LayoutChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let counts: Option<Vec<usize>> = text.split('-').map(|part| part.parse().ok().filter(|&n| n <= 64)).collect();
        match counts.as_deref() {
            Some(&[down, middle, up]) if down + middle + up > 0 => Ok(Self(Layout { down, middle, up })),
            _ => Err(format!("\"{text}\" is not a layout: use the blocks of Down, Middle and Up, as in 8-10-10")),
        }
    }
}

impl fmt::Display for LayoutChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.0.down, self.0.middle, self.0.up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
