//! What a reader should know of a cell or a run: kinds, of which words are made only to be shown.
//!
//! Contract: no program decides anything by the words. Warnings of older programs are words, and stay so; those of later
//! programs whose kind is not known here are kept as they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One warning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Warning {
    /// Of a kind.
    Of(Kind),
    /// In words, as older programs wrote all of them.
    Said(String),
    /// Of a kind that only a later program knows.
    Later(serde_json::Value),
}

/// What there is to warn of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Images of one launch differ in bytes.
    NotDeterministic,
    /// A launch that a known cause spoiled counts all the same.
    SpoiledLaunch {
        /// [`crate::Launch::index`].
        launch: u32,
        /// What spoiled it.
        why: String,
        /// Why it was not made again.
        kept: Kept,
    },
    /// A phone was still warm when a launch began.
    BeganWarm {
        /// [`crate::Launch::index`].
        launch: u32,
        /// What of it was warm.
        what: String,
        /// Seconds that were waited.
        waited_s: u64,
    },
    /// Whether a phone was cool when launches began is not known.
    WarmthNotKnown {
        /// Why not.
        why: String,
    },
    /// The mixed scheme's choice of weights for 8 bits.
    MixedWeights {
        /// How many weights have 8 bits.
        eight_bit: u64,
        /// Bits a weight, on average, scales not counted.
        average_bits: f64,
        /// What decided.
        chosen_by: String,
    },
    /// The model does not read all tensors of the weights that it was given.
    UnreadWeights {
        /// Which, the first of them by name.
        what: String,
    },
    /// A resumed run could make no launch of a cell that has some.
    NotResumed {
        /// Why not.
        why: String,
    },
    /// A cell has fewer launches than were asked for, because the budget had no room for more.
    FewerLaunches {
        /// Launches that it has.
        made: u32,
        /// Launches that were asked for.
        wanted: u32,
        /// The budget, as `--budget` takes it.
        budget: String,
        /// One that has room for the whole plan; `None` where how long that takes is not known.
        enough: Option<String>,
    },
    /// A run was resumed although something had changed since it began.
    ResumedAlthough {
        /// What differs.
        differs: String,
    },
    /// A record was put together from several.
    MergedFrom {
        /// [`crate::RunInfo::id`] of each.
        runs: Vec<String>,
    },
    /// They were put together although they differ.
    MergedAlthough {
        /// In what kind of thing.
        kind_of_difference: String,
        /// The difference itself.
        differs: String,
    },
    /// Parts differ in what forbids nothing, such as the kernel.
    MergedParts {
        /// The difference.
        differs: String,
    },
}

/// Why a launch that was spoiled is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The budget left no time to make it again.
    NoTime,
    /// So it was before the launch began: another would be no better.
    SoBefore,
    /// What disturbed it went on, so that another would be no better.
    WentOn,
    /// It was so every time.
    EveryTime {
        /// How often it was made.
        times: u32,
    },
}

impl Warning {
    /// Its kind, if this program knows one.
    pub fn kind(&self) -> Option<&Kind> {
        match self {
            Self::Of(kind) => Some(kind),
            Self::Said(_) | Self::Later(_) => None,
        }
    }
}

impl From<Kind> for Warning {
    fn from(kind: Kind) -> Self {
        Self::Of(kind)
    }
}

impl From<&str> for Warning {
    fn from(words: &str) -> Self {
        Self::Said(words.to_owned())
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(kind) => kind.fmt(f),
            Self::Said(words) => f.write_str(words),
            Self::Later(value) => write!(f, "of a kind that only a later ditbench knows: {value}"),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDeterministic => {
                f.write_str("images of one launch differ in bytes: this backend is not deterministic")
            }
            Self::SpoiledLaunch { launch, why, kept: Kept::NoTime } => {
                write!(f, "launch {launch} counts although {why}: the budget leaves no time to repeat it")
            }
            Self::SpoiledLaunch { launch, why, kept: Kept::SoBefore } => {
                write!(f, "launch {launch} counts although {why}: it was already so before the launch began")
            }
            Self::SpoiledLaunch { launch, why, kept: Kept::WentOn } => {
                write!(
                    f,
                    "launch {launch} counts although {why}: they kept running, so another launch would do no better"
                )
            }
            Self::SpoiledLaunch { launch, why, kept: Kept::EveryTime { times } } => {
                write!(f, "launch {launch} counts although {why}: this happened {times} times")
            }
            Self::BeganWarm { launch, what, waited_s } => {
                write!(f, "the phone was not cool when launch {launch} began: {what}, after {waited_s} s of waiting")
            }
            Self::WarmthNotKnown { why } => {
                write!(f, "whether the phone was cool when launches began is not known: {why}")
            }
            Self::MixedWeights { eight_bit, average_bits, chosen_by } => write!(
                f,
                "mixed: {eight_bit} weights in 8 bits, {average_bits:.2} bits on average; chosen by {chosen_by}"
            ),
            Self::UnreadWeights { what } => write!(f, "the model does not use these weights: {what}"),
            Self::NotResumed { why } => {
                write!(f, "when the run was resumed, no launch of this cell could be made: {why}")
            }
            Self::FewerLaunches { made, wanted, budget, enough } => {
                write!(f, "{made} of {wanted} launches: the budget of {budget} had no room for more")?;
                enough.iter().try_for_each(|enough| write!(f, "; --budget {enough} has room for the whole plan"))
            }
            Self::ResumedAlthough { differs } => write!(f, "resumed although this differs: {differs}"),
            Self::MergedFrom { runs } => write!(f, "merged from {}", runs.join(", ")),
            Self::MergedAlthough { kind_of_difference, differs } => {
                write!(f, "merged although the {kind_of_difference} differs: {differs}")
            }
            Self::MergedParts { differs } => write!(f, "the merged parts differ: {differs}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_words_and_what_is_not_known_yet_come_back_as_they_were() {
        let spoiled =
            Kind::SpoiledLaunch { launch: 3, why: "the machine was busy".into(), kept: Kept::EveryTime { times: 3 } };
        let warnings =
            [Kind::NotDeterministic.into(), spoiled.into(), Warning::from("launch 0 counts although it was hot")];
        for warning in &warnings {
            let json = serde_json::to_string(warning).unwrap();
            assert_eq!(serde_json::from_str::<Warning>(&json).unwrap(), *warning, "{json}");
        }
        assert_eq!(serde_json::to_string(&warnings[2]).unwrap(), "\"launch 0 counts although it was hot\"");
        let later = r#"{"kind":"moonlight","lux":0.25}"#;
        let read: Warning = serde_json::from_str(later).unwrap();
        assert!(matches!(read, Warning::Later(_)) && read.to_string().contains("moonlight"));
        assert_eq!(serde_json::to_string(&read).unwrap(), later);
    }

    #[test]
    fn words_are_made_of_kinds() {
        let says = |kept| Kind::SpoiledLaunch { launch: 1, why: "it was hot".into(), kept }.to_string();
        assert_eq!(says(Kept::EveryTime { times: 3 }), "launch 1 counts although it was hot: this happened 3 times");
        assert!(says(Kept::NoTime).ends_with("the budget leaves no time to repeat it"));
        let fewer = |enough: Option<&str>| {
            let enough = enough.map(str::to_owned);
            Kind::FewerLaunches { made: 3, wanted: 6, budget: "40s".into(), enough }.to_string()
        };
        assert_eq!(fewer(None), "3 of 6 launches: the budget of 40s had no room for more");
        assert!(fewer(Some("2m")).ends_with("for more; --budget 2m has room for the whole plan"));
    }
}
