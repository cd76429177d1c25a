//! Statistics against SciPy, and against published examples. `scripts/golden_stats.py` writes the table and says where each
//! value is from.

use ditbench_reports::stats::changepoints::best_split;
use ditbench_reports::stats::{fdr, interval, normal, outliers, power, ranks, sequence, shift, trend};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("data/stats-golden.json")).unwrap()
}

fn rows(table: &Value, name: &str) -> Vec<Value> {
    let rows = table[name].as_array().unwrap().clone();
    assert!(!rows.is_empty(), "{name}");
    rows
}

fn list(row: &Value, name: &str) -> Vec<f64> {
    row[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row}"))
}

/// Within 1e-9, and where the value is small but not zero, within 1e-9 of itself.
#[track_caller]
fn near(found: f64, want: f64, what: &Value) {
    let scale = if want == 0.0 { 1.0 } else { want.abs().min(1.0) };
    assert!((found - want).abs() <= 1e-9 * scale, "{found:e} is not {want:e}: {what}");
}

#[test]
fn normal_distribution() {
    let table = golden();
    for row in rows(&table, "normal") {
        near(normal::cdf(number(&row, "z")), number(&row, "cdf"), &row);
        near(normal::upper(number(&row, "z")), number(&row, "upper"), &row);
    }
    for row in rows(&table, "normal_quantile") {
        near(normal::quantile(number(&row, "share")), number(&row, "z"), &row);
    }
}

#[test]
fn rank_tests() {
    let table = golden();
    for row in rows(&table, "mann_whitney") {
        let (base, head) = (list(&row, "base"), list(&row, "head"));
        let found = ranks::mann_whitney(&base, &head).unwrap();
        near(found.statistic, number(&row, "u"), &row);
        near(found.p, number(&row, "p"), &row);
        near(ranks::cliffs_delta(&base, &head).unwrap(), number(&row, "delta"), &row);
        assert_eq!(found.exact, row["exact"].as_bool().unwrap(), "{row}");
    }
    for row in rows(&table, "signed_rank") {
        let found = ranks::signed_rank(&list(&row, "differences")).unwrap();
        near(found.statistic, number(&row, "plus"), &row);
        near(found.p, number(&row, "p"), &row);
    }
}

#[test]
fn shifts_and_intervals() {
    let table = golden();
    let check = |found: shift::Shift, row: &Value| {
        near(found.estimate, number(row, "estimate"), row);
        assert!(found.exact);
        match (found.interval, row["low"].as_f64().zip(row["high"].as_f64())) {
            (None, None) => {}
            (Some(found), Some((low, high))) => {
                near(found.low, low, row);
                near(found.high, high, row);
            }
            (found, want) => panic!("{found:?} is not {want:?}: {row}"),
        }
    };
    for row in rows(&table, "shift") {
        check(shift::independent(&list(&row, "base"), &list(&row, "head"), number(&row, "confidence")).unwrap(), &row);
    }
    for row in rows(&table, "paired_shift") {
        check(shift::paired(&list(&row, "differences"), number(&row, "confidence")).unwrap(), &row);
    }
    for row in rows(&table, "median_depth") {
        let n = row["n"].as_u64().unwrap() as u32;
        let values: Vec<f64> = (1..=n).map(f64::from).collect();
        let depth = interval::median_interval(&values, number(&row, "confidence")).map_or(0.0, |found| found.low);
        near(depth, number(&row, "depth"), &row);
    }
}

#[test]
fn the_rest() {
    let table = golden();
    for row in rows(&table, "fdr") {
        let found = fdr::benjamini_hochberg(&list(&row, "p"));
        for (found, want) in found.iter().zip(list(&row, "q")) {
            near(*found, want, &row);
        }
    }
    for row in rows(&table, "outliers") {
        let values = list(&row, "values");
        let places = |name| list(&row, name).iter().map(|place| *place as usize).collect::<Vec<_>>();
        near(outliers::mad(&values).unwrap(), number(&row, "mad"), &row);
        assert_eq!(outliers::tukey_outliers(&values), places("tukey"));
        assert_eq!(outliers::mad_outliers(&values), places("far"));
    }
    for row in rows(&table, "energy") {
        let (at, strength) = best_split(&list(&row, "values"), row["least"].as_u64().unwrap() as usize).unwrap();
        near(at as f64, number(&row, "at"), &row);
        near(strength, number(&row, "strength"), &row);
    }
    for row in rows(&table, "spending") {
        near(sequence::spent(number(&row, "alpha"), number(&row, "t")), number(&row, "spent"), &row);
    }
    for row in rows(&table, "fewest") {
        let confidence = number(&row, "confidence");
        near(power::fewest_independent(confidence) as f64, number(&row, "independent"), &row);
        near(power::fewest_paired(confidence) as f64, number(&row, "paired"), &row);
    }
}

/// Examples printed in Hollander and Wolfe, *Nonparametric Statistical Methods* (1973, pages 27 and 69), and in the
/// documentation of R's `wilcox.test`, which prints one-sided p-values.
// One of the printed values happens to be 3.14.
#[allow(clippy::approx_constant)]
#[test]
fn published_examples() {
    let first = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30];
    let second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
    let fallen: Vec<f64> = first.iter().zip(second).map(|(first, second)| first - second).collect();
    let depression = ranks::signed_rank(&fallen).unwrap();
    assert_eq!(depression.statistic, 40.0);
    assert!((depression.p / 2.0 - 0.01953).abs() < 5e-6);
    assert!((shift::paired(&fallen, 0.95).unwrap().estimate - 0.46).abs() < 1e-9);
    let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    let early = [1.15, 0.88, 0.90, 0.74, 1.21];
    let permeability = ranks::mann_whitney(&early, &term).unwrap();
    assert_eq!(permeability.statistic, 35.0);
    assert!((permeability.p / 2.0 - 0.1272).abs() < 5e-5);
    assert!((shift::independent(&early, &term, 0.95).unwrap().estimate - 0.305).abs() < 1e-9);
}

#[test]
fn trends() {
    for row in rows(&golden(), "trend") {
        let found = trend::of(&[list(&row, "values")]).unwrap();
        near(found.p, number(&row, "p"), &row);
        near(found.slope, number(&row, "slope"), &row);
    }
}
