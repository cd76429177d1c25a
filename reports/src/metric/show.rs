//! A number and a change of it, as people read them. A unit decides, and each decides for itself.

use crate::text;

use super::{Metric, Scale, Unit};

impl Unit {
    /// What it is called: `seconds`, `dB`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
            Self::Bytes => "bytes",
            Self::Joules => "joules",
            Self::Gigaflops => "10⁹ operations a second",
            Self::Share | Self::Hits => "share, 0 to 1",
            Self::Relative => "relative L2",
            Self::Decibels => "dB",
            Self::Similarity => "1 for equal",
            Self::Points => "points, 100 for equal",
            Self::Thousandths => "thousandths",
            Self::Count | Self::Events => "count",
        }
    }

    /// Whether it is time, or grows with the time that something takes.
    pub fn is_of_time(self) -> bool {
        match self {
            Self::Seconds | Self::Minutes | Self::Joules => true,
            Self::Bytes
            | Self::Gigaflops
            | Self::Share
            | Self::Hits
            | Self::Relative
            | Self::Decibels
            | Self::Similarity
            | Self::Points
            | Self::Thousandths
            | Self::Count
            | Self::Events => false,
        }
    }
}

impl Metric {
    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self.unit() {
            Unit::Seconds => text::minus(text::seconds(value)),
            Unit::Minutes => minutes(value),
            // Exact up to 2⁵³ bytes.
            Unit::Bytes => text::bytes(value.max(0.0) as u64),
            Unit::Joules => format!("{}\u{a0}J", text::significant(value, 3)),
            Unit::Gigaflops => text::operations(value),
            Unit::Share => text::percent(value),
            Unit::Hits => format!("{value:.3}"),
            Unit::Relative => text::scientific(value),
            Unit::Decibels if value == f64::INFINITY => "identical".to_owned(),
            Unit::Decibels => format!("{value:.1}\u{a0}dB"),
            Unit::Similarity => format!("{value:.4}"),
            Unit::Points => format!("{value:.1}"),
            Unit::Thousandths => text::minus(format!("{value:.1}")),
            Unit::Count => format!("{value:.0}"),
            Unit::Events => text::count(value),
        }
    }

    /// A change with its sign: `+5.1 %`, `−0.42 dB`.
    pub fn show_change(self, change: f64) -> String {
        let sign = if change < 0.0 {
            "−"
        } else if change > 0.0 {
            "+"
        } else {
            ""
        };
        let size = change.abs();
        let words = match self.scale() {
            Scale::Relative => percent(size),
            Scale::Absolute => match self.unit() {
                Unit::Share => percent(size),
                Unit::Decibels => format!("{}\u{a0}dB", text::significant(size, 3)),
                Unit::Seconds => text::seconds(size),
                Unit::Minutes => minutes(size),
                Unit::Bytes => text::bytes(size as u64),
                Unit::Joules => format!("{}\u{a0}J", text::significant(size, 3)),
                Unit::Gigaflops => text::operations(size),
                Unit::Events => text::count(size),
                Unit::Hits | Unit::Relative | Unit::Similarity | Unit::Points | Unit::Thousandths | Unit::Count => {
                    text::significant(size, 3)
                }
            },
        };
        format!("{sign}{words}")
    }
}

/// `3.2 min`; what is less than one in seconds: `41.0 s`.
fn minutes(value: f64) -> String {
    if value < 1.0 { text::seconds(60.0 * value) } else { format!("{}\u{a0}min", text::significant(value, 2)) }
}

/// Per cent to a tenth, two digits of what is below 1 %: `5.1 %`, `0.031 %`.
fn percent(share: f64) -> String {
    let per_cent = 100.0 * share;
    if per_cent >= 1.0 { format!("{per_cent:.1}\u{a0}%") } else { format!("{}\u{a0}%", text::significant(per_cent, 2)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_changes_have_their_units() {
        let plain = |words: String| words.replace('\u{a0}', " ");
        assert_eq!(plain(Metric::IMAGE.show_change(-0.0514)), "−5.1 %");
        assert_eq!(plain(Metric::PSNR.show_change(-0.42)), "−0.420 dB");
        assert_eq!(plain(Metric::PSNR.show(34.17)), "34.2 dB");
        assert_eq!(Metric::PSNR.show(f64::INFINITY), "identical");
        assert_eq!(plain(Metric::PEAK.show(1531.0 * 1048576.0)), "1.50 GiB");
        assert_eq!(Metric::RETRIEVAL.show(0.9654), "0.965");
        assert_eq!(
            [3.21, 12.4, 0.25, 0.0].map(|of| plain(Metric::FIRST_CAP.show(of))),
            ["3.2 min", "12 min", "15.0 s", "0 s"]
        );
    }
}
