//! The value of a number as people write it: with a unit, or bare in the unit of the number's name. The other way round from
//! showing it, and as there a unit decides, each for itself.

use super::{Metric, Unit};

impl Unit {
    /// What may stand behind a value, with its size in the unit of the number's name; and an example.
    fn written(self) -> (&'static [(&'static str, f64)], &'static str) {
        const KI: f64 = 1024.0;
        match self {
            Self::Seconds => (
                &[("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("min", 60.0), ("h", 3600.0)],
                "2s or 500ms",
            ),
            Self::Minutes => (&[("s", 1.0 / 60.0), ("m", 1.0), ("min", 1.0), ("h", 60.0)], "3min or 90s"),
            Self::Bytes => (
                &[
                    ("B", 1.0),
                    ("kB", 1e3),
                    ("MB", 1e6),
                    ("GB", 1e9),
                    ("KiB", KI),
                    ("MiB", KI * KI),
                    ("GiB", KI * KI * KI),
                    ("TiB", KI * KI * KI * KI),
                ],
                "1GiB or 700MiB",
            ),
            Self::Joules => (&[("mJ", 1e-3), ("J", 1.0), ("kJ", 1e3), ("Wh", 3600.0)], "5J"),
            Self::Gigaflops => (&[("GFLOP/s", 1.0), ("TFLOP/s", 1e3)], "200GFLOP/s"),
            Self::Share | Self::Hits => (&[("%", 0.01)], "0.9 or 90%"),
            Self::Decibels => (&[("dB", 1.0)], "35dB"),
            Self::Relative => (&[], "0.01"),
            Self::Similarity => (&[], "0.95"),
            Self::Points => (&[], "70"),
            Self::Thousandths => (&[], "5"),
            Self::Count => (&[], "100"),
            Self::Events => (&[("k", 1e3), ("M", 1e6), ("G", 1e9), ("T", 1e12)], "500M or 2G"),
        }
    }

    /// Whether it is an amount: nothing less than nothing can be meant.
    fn is_amount(self) -> bool {
        self.is_of_time() || matches!(self, Self::Bytes | Self::Gigaflops | Self::Events)
    }
}

impl Metric {
    /// Reads a value of it: `2s`, `1GiB`, `5J`, `90%`, or a bare number in the unit of its name.
    ///
    /// # Errors
    /// What is no such value, and how one is written.
    pub fn read(self, text: &str) -> Result<f64, String> {
        let (units, example) = self.unit().written();
        let refuse =
            || format!("\"{text}\" is not a value of {} ({}): write {example}", self.name(), self.unit().name());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !(c.is_ascii_digit() || "+-.eE".contains(c))).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let number: f64 = number.parse().map_err(|_| refuse())?;
        let unit = unit.trim();
        let size = match unit {
            "" => 1.0,
            _ => units.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?.1,
        };
        let value = number * size;
        let possible = value.is_finite() && (value >= 0.0 || !self.unit().is_amount());
        if possible { Ok(value) } else { Err(refuse()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_and_without_their_units() {
        for (metric, text, want) in [
            (Metric::IMAGE, "2s", 2.0),
            (Metric::IMAGE, "500 ms", 0.5),
            (Metric::IMAGE, "1.5m", 90.0),
            (Metric::IMAGE, "2", 2.0),
            (Metric::named("export_s").unwrap(), "0", 0.0),
            (Metric::PEAK, "1GiB", 1_073_741_824.0),
            (Metric::PEAK, "1GB", 1e9),
            (Metric::PEAK, "5e6", 5e6),
            (Metric::ENERGY, "5J", 5.0),
            (Metric::PLACEMENT, "90%", 0.9),
            (Metric::PSNR, "35dB", 35.0),
            (Metric::SSIMULACRA2, "-3.5", -3.5),
        ] {
            let found = metric.read(text).unwrap();
            assert!((found - want).abs() <= 1e-12 * want.abs(), "{text}: {found}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_an_example() {
        for (metric, text) in [
            (Metric::IMAGE, ""),
            (Metric::IMAGE, "2 GiB"),
            (Metric::IMAGE, "-2s"),
            (Metric::IMAGE, "soon"),
            (Metric::PEAK, "1G"),
            (Metric::PEAK, "inf"),
            (Metric::SSIMULACRA2, "nan"),
            (Metric::SSIMULACRA2, "70 points"),
        ] {
            let error = metric.read(text).unwrap_err();
            assert!(error.contains(&metric.name()) && error.contains("write "), "{text}: {error}");
        }
    }

    #[test]
    fn every_example_is_read() {
        for metric in Metric::all() {
            for example in metric.unit().written().1.split(" or ") {
                assert!(metric.read(example).is_ok(), "{}: {example}", metric.name());
            }
        }
    }
}
