//! Which format each weight gets under a scheme.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Format, GROUP, Scheme};
use crate::{Graph, Op, WeightRole, WeightSpec, cost};

impl Format {
    /// Bits a weight as stored, scales included (a palette's 16 centroids are left out: they are per tensor).
    pub fn bits(self) -> f64 {
        match self {
            Self::F32 => 32.0,
            Self::F16 => 16.0,
            Self::Q4 => 4.5,
            Self::Q8 => 8.5,
            Self::Palette4 => 4.0,
        }
    }
}

/// Whether the few-bit schemes quantize this weight: a matrix of the bulk whose rows can be cut into groups.
pub fn is_quantizable(spec: &WeightSpec) -> bool {
    spec.role == WeightRole::Linear && spec.shape.get(1).is_some_and(|k| k.is_multiple_of(GROUP))
}

/// Multiply-accumulates of a graph's products with weights that the few-bit schemes quantize: what is done in integers where
/// activations are rounded too.
pub fn few_bit_macs(graph: &Graph) -> u64 {
    let few_bit = |op: &Op| matches!(op, Op::Linear { weight, .. } if is_quantizable(graph.weight(*weight)));
    graph.nodes.iter().filter(|node| few_bit(&node.op)).map(|node| cost::node_cost(graph, node).macs).sum()
}

/// The format of a weight under a scheme; under [`Scheme::Mixed`], the 4-bit one (see [`BitChoice`] for which get 8).
pub fn format_of(scheme: Scheme, spec: &WeightSpec) -> Format {
    match scheme {
        Scheme::F32 => Format::F32,
        Scheme::F16 => Format::F16,
        Scheme::Q4 | Scheme::Mixed if is_quantizable(spec) => Format::Q4,
        Scheme::Q8 if is_quantizable(spec) => Format::Q8,
        Scheme::Palette4 if matches!(spec.role, WeightRole::Linear | WeightRole::Conv) => Format::Palette4,
        _ => Format::F32,
    }
}

/// Bits that each element of a weight takes under a scheme, scales included: under [`Scheme::Mixed`] on average over the weights that it
/// quantizes, [`MIXED_BITS`] at most.
pub fn bits_of(scheme: Scheme, spec: &WeightSpec) -> f64 {
    match (scheme, format_of(scheme, spec)) {
        (Scheme::Mixed, Format::Q4) => MIXED_BITS + SCALE_BITS,
        (_, format) => format.bits(),
    }
}

/// Bits a weight that the scales of the group formats add: one f16 for 32 weights, in 4 bits and in 8 alike. They are
/// counted apart, as the paper's 4.3 counts none.
pub const SCALE_BITS: f64 = 16.0 / GROUP as f64;

/// Weights of the bulk that a few-bit scheme must leave in 32 bits because their rows cannot be cut into groups.
pub fn left_whole<'a>(scheme: Scheme, specs: impl IntoIterator<Item = &'a WeightSpec>) -> Vec<String> {
    let grouped = matches!(scheme, Scheme::Q4 | Scheme::Q8 | Scheme::Mixed);
    let left = specs.into_iter().filter(|spec| grouped && spec.role == WeightRole::Linear && !is_quantizable(spec));
    left.map(|spec| spec.name.clone()).collect()
}

/// Sensitivities that lack a weight: no choice can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no sensitivity is given for {count} of the weights to be quantized, the first of them \"{name}\"; measure them all"
)]
pub struct Unmeasured {
    /// The first weight without one.
    pub name: String,
    /// How many there are.
    pub count: usize,
}

/// Average bits of the weights that [`Scheme::Mixed`] quantizes, scales left out: the paper's 4.3.
pub const MIXED_BITS: f64 = 4.3;

/// Which weights [`Scheme::Mixed`] gives 8 bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BitChoice {
    /// Names of the weights in 8 bits; the other quantizable ones have 4.
    pub eight_bit: Vec<String>,
    /// Average bits of the quantizable weights, scales left out.
    pub average_bits: f64,
    /// What the sensitivities were: `output error of each layer alone`, `weight error`.
    pub measured: String,
}

/// Gives 8 bits to the weights that lose most by 4, until the average reaches `budget` bits: greedily by error per
/// element, so by what each bit spent saves. `errors` maps a weight's name to the error that 4 bits alone cause (any
/// unit, the same for all).
///
/// # Errors
/// A quantizable weight has no error given, or one that is no number.
pub fn choose(
    specs: &[&WeightSpec],
    errors: &BTreeMap<String, f64>,
    budget: f64,
    measured: &str,
) -> Result<BitChoice, Unmeasured> {
    let mut candidates: Vec<&WeightSpec> = specs.iter().copied().filter(|spec| is_quantizable(spec)).collect();
    let mut without = candidates.iter().filter(|spec| errors.get(&spec.name).is_none_or(|error| error.is_nan()));
    if let Some(first) = without.next() {
        return Err(Unmeasured { name: first.name.clone(), count: 1 + without.count() });
    }
    let total: usize = candidates.iter().map(|spec| spec.len()).sum();
    let gain = |spec: &WeightSpec| errors.get(&spec.name).copied().unwrap_or(0.0) / spec.len() as f64;
    candidates.sort_by(|a, b| gain(b).total_cmp(&gain(a)).then_with(|| a.name.cmp(&b.name)));
    let mut left = (budget - 4.0).max(0.0) / 4.0 * total as f64;
    let mut eight_bit = Vec::new();
    let mut elements = 0;
    for spec in candidates {
        if spec.len() as f64 <= left {
            left -= spec.len() as f64;
            elements += spec.len();
            eight_bit.push(spec.name.clone());
        }
    }
    eight_bit.sort();
    let average_bits = if total == 0 { 0.0 } else { 4.0 + 4.0 * elements as f64 / total as f64 };
    Ok(BitChoice { eight_bit, average_bits, measured: measured.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttentionPattern, DType, GraphBuilder, Init};

    fn spec(name: &str, n: usize, k: usize) -> WeightSpec {
        WeightSpec { name: name.to_owned(), shape: vec![n, k], init: Init::Zeros, role: WeightRole::Linear }
    }

    #[test]
    fn mixed_takes_more_than_q4_and_less_than_q8() {
        let (bulk, odd) = (spec("a", 4, 64), spec("b", 4, 65));
        assert_eq!([Scheme::Q4, Scheme::Mixed, Scheme::Q8].map(|scheme| bits_of(scheme, &bulk)), [4.5, 4.8, 8.5]);
        assert_eq!(bits_of(Scheme::Mixed, &odd), 32.0);
    }

    #[test]
    fn rows_that_cannot_be_grouped_stay_f32() {
        assert_eq!(format_of(Scheme::Q4, &spec("a", 4, 64)), Format::Q4);
        assert_eq!(format_of(Scheme::Q4, &spec("a", 4, 65)), Format::F32);
    }

    #[test]
    fn products_with_few_bit_weights_are_counted_apart() {
        let mut b = GraphBuilder::new("toy");
        let x = b.input("x", &[1, 10, 64], DType::F32);
        let y = b.linear("bulk", x, 32);
        let z = b.linear_as("sensitive", y, 32, WeightRole::SensitiveLinear, 1.0);
        let q = b.reshape("tokens", z, &[1, 10, 1, 32]);
        let out = b.attention("attend", q, q, q, AttentionPattern::Full);
        b.output("y", out);
        let graph = b.finish().unwrap();
        assert_eq!(few_bit_macs(&graph), 10 * 32 * 64, "neither the sensitive linear nor attention");
        assert!(cost::total(&graph).macs > few_bit_macs(&graph));
    }

    #[test]
    fn the_most_sensitive_get_eight_bits_within_the_budget() {
        let specs = [spec("a", 10, 32), spec("b", 10, 32), spec("c", 180, 32)];
        let errors = BTreeMap::from([("a".to_owned(), 1.0), ("b".to_owned(), 5.0), ("c".to_owned(), 6.0)]);
        let choice = choose(&specs.iter().collect::<Vec<_>>(), &errors, 4.3, "a test").unwrap();
        assert_eq!(choice.eight_bit, ["b"], "c is worse in all, but better per element and too large");
        assert!(choice.average_bits <= 4.3 && choice.average_bits > 4.0);
    }

    #[test]
    fn a_weight_without_a_sensitivity_is_told() {
        let specs = [spec("a", 10, 32), spec("b", 10, 32), spec("c", 10, 33)];
        let errors = BTreeMap::from([("a".to_owned(), 1.0)]);
        let error = choose(&specs.iter().collect::<Vec<_>>(), &errors, 4.3, "a test").unwrap_err();
        assert_eq!(error, Unmeasured { name: "b".to_owned(), count: 1 });
        assert_eq!(left_whole(Scheme::Q4, &specs), ["c"]);
        assert!(left_whole(Scheme::Palette4, &specs).is_empty());
    }
}
