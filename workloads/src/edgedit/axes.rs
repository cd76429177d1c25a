//! The axes of EdgeDiT beyond model, size and steps, as people write their values.

use std::fmt;
use std::str::FromStr;

use crate::Axis;
use crate::blocks::class;

/// How strongly what is asked for counts. Pipelines that users bring have the same axis.
pub(crate) const GUIDANCE: Axis = Axis {
    name: "guidance",
    help: "Guidance of a class-conditional model, or of a pipeline of your own: none, its scale for two passes a step, or (the former) its \
           scale and -batch for both in one batch, as in 4-batch",
    default: "none",
    parse: |text| text.parse().map(|guidance: Guidance| guidance.to_string()),
    show: |value| format!("guidance {value}"),
};

/// What a plan may vary.
pub(super) static AXES: [Axis; 2] = [class::AXIS, GUIDANCE];

/// Classifier-free guidance: how strongly the class counts, and how the pass without it is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Guidance {
    /// Hundredths of the scale; `None` for one pass a step.
    hundredths: Option<u16>,
    /// With and without the class in one batch, not in two passes.
    pub(super) batched: bool,
}

impl Guidance {
    /// The scale; `None` without guidance.
    pub(super) fn scale(self) -> Option<f32> {
        self.hundredths.map(|hundredths| f32::from(hundredths) / 100.0)
    }

    /// The sampler's name in records. Records read two passes a step from `+cfg`, so that the batched one is written otherwise.
    pub(super) fn sampler(self) -> String {
        match self.scale() {
            None => "ddim".to_owned(),
            Some(scale) if self.batched => format!("ddim+batched-cfg{scale}"),
            Some(scale) => format!("ddim+cfg{scale}"),
        }
    }
}

impl FromStr for Guidance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        let (scale, batched) = text.strip_suffix("-batch").map_or((text, false), |scale| (scale, true));
        match scale.parse::<f64>() {
            Ok(scale) if (0.01..=100.0).contains(&scale) => {
                Ok(Self { hundredths: Some((100.0 * scale).round() as u16), batched })
            }
            _ => Err(format!("\"{text}\" is not a guidance: use none, a scale from 0.01 to 100 as in 4, or 4-batch")),
        }
    }
}

impl fmt::Display for Guidance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scale() {
            None => f.write_str("none"),
            Some(scale) => write!(f, "{scale}{}", if self.batched { "-batch" } else { "" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guidance_has_one_way_of_writing() {
        for text in ["none", "4", "4-batch", "1.25"] {
            assert_eq!(text.parse::<Guidance>().unwrap().to_string(), text);
        }
        let samplers = ["none", "4", "4-batch"].map(|text| text.parse::<Guidance>().unwrap().sampler());
        assert_eq!(samplers, ["ddim", "ddim+cfg4", "ddim+batched-cfg4"]);
        for bad in ["", "0", "-1", "nan", "-batch", "4-batches", "1e9", "four"] {
            assert!(bad.parse::<Guidance>().is_err(), "{bad}");
        }
    }
}
