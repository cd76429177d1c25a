//! What precision a file has: how the weights are stored that its heavy operators read.
//!
//! A file's name says little: a "q4" U-Net may hold 93 % of its weight bytes as f32, because the quantizer touched matrix
//! products alone. So weights are traced back from the operators that read them.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::error::Fault;
use super::node::{Held, Node, invalid};
use crate::DType;

/// Operators whose weights are counted.
const HEAVY: [&str; 11] = [
    "MatMul",
    "Gemm",
    "Conv",
    "NhwcConv",
    "FusedConv",
    "Attention",
    "MatMulNBits",
    "MatMulInteger",
    "Gather",
    "QLinearMatMul",
    "ConvInteger",
];
/// Operators through which a weight stays itself.
const THROUGH: [&str; 6] = ["Identity", "Transpose", "Cast", "Reshape", "Squeeze", "Unsqueeze"];
/// Smaller tensors are biases and scales.
const SMALLEST: u64 = 64;

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Storage {
    /// As numbers of a type, for the operator to use as they are.
    Plain(DType),
    /// As integers of `bits` bits.
    Integer {
        /// Bits of a weight.
        bits: u8,
        /// Whether negative numbers are stored as such.
        signed: bool,
        /// What the graph does with them.
        way: Way,
    },
    /// In groups with a scale each: `MatMulNBits`.
    Groups {
        /// Bits of a weight.
        bits: u8,
        /// Weights that share a scale.
        group: u32,
        /// `accuracy_level`: 4 has the operator round activations to 8 bits; unset leaves that to the runtime.
        accuracy: Option<u8>,
    },
}

/// What a graph does with integer weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// `DequantizeLinear` makes floats of them (QDQ).
    Dequantized,
    /// The operator multiplies integers; activations are rounded too.
    Multiplied,
}

impl Storage {
    /// The short name of a table: `f32`, `f16`, `int8`, `q4`.
    pub fn short(self) -> String {
        match self {
            Self::Plain(dtype) => dtype.to_string(),
            Self::Integer { bits, .. } => format!("int{bits}"),
            Self::Groups { bits, .. } => format!("q{bits}"),
        }
    }
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(dtype) => dtype.fmt(f),
            Self::Integer { bits, signed, way } => {
                let sign = if *signed { "" } else { "u" };
                let way = match way {
                    Way::Dequantized => "QDQ",
                    Way::Multiplied => "integer products, activations rounded",
                };
                write!(f, "{sign}int{bits} ({way})")
            }
            Self::Groups { bits, group, accuracy } => {
                write!(f, "{bits}-bit (MatMulNBits, groups of {group}, accuracy level ")?;
                match accuracy {
                    Some(level) => write!(f, "{level})"),
                    None => f.write_str("unset)"),
                }
            }
        }
    }
}

/// What a file asks of the arithmetic: what it rounds besides its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arithmetic {
    /// Nothing: 32-bit floats.
    Full,
    /// Nothing either: weights of few bits are widened before they are used.
    WeightOnly,
    /// Activations are 16-bit floats.
    Half,
    /// Activations are rounded to 8 bits by operators that say how (QDQ): every runtime must round alike.
    Stated,
    /// Activations are rounded to 8 bits as the runtime sees fit.
    Rounded,
}

impl Storage {
    fn arithmetic(self) -> Arithmetic {
        match self {
            Self::Plain(DType::F16 | DType::Bf16) => Arithmetic::Half,
            Self::Plain(_) => Arithmetic::Full,
            // Four bits are stored for weights alone.
            Self::Integer { way: Way::Dequantized, bits: 0..=4, .. } => Arithmetic::WeightOnly,
            Self::Integer { way: Way::Dequantized, .. } => Arithmetic::Stated,
            Self::Integer { way: Way::Multiplied, .. } | Self::Groups { accuracy: Some(4), .. } => Arithmetic::Rounded,
            Self::Groups { .. } => Arithmetic::WeightOnly,
        }
    }
}

/// One way of storing, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// How the weights are stored.
    pub storage: Storage,
    /// Number of weights.
    pub weights: u64,
    /// Their bytes, without scales.
    pub bytes: u64,
}

/// How the weights of a file are stored, most weights first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Precision {
    shares: Vec<Share>,
}

impl Precision {
    /// The ways of storing that occur, that of most weights first.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }

    /// Number of weights.
    pub fn weights(&self) -> u64 {
        self.shares.iter().map(|share| share.weights).sum()
    }

    /// Bits of a weight on average, without scales; `None` if there are no weights.
    pub fn bits_per_weight(&self) -> Option<f64> {
        let (bytes, weights) = (self.bytes(), self.weights());
        (weights > 0).then(|| 8.0 * bytes as f64 / weights as f64)
    }

    /// The name of a table: that of most weights, then after a `+` each that holds more than 5 % of the bytes. `q4+f32`.
    /// `None` if there are no weights.
    pub fn label(&self) -> Option<String> {
        let twentieth = self.bytes() as f64 / 20.0;
        let (first, others) = self.shares.split_first()?;
        let mut names = vec![first.storage.short()];
        for share in others.iter().filter(|share| share.bytes as f64 > twentieth) {
            let name = share.storage.short();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(names.join("+"))
    }

    /// What the file rounds most.
    pub fn arithmetic(&self) -> Arithmetic {
        self.shares.iter().map(|share| share.storage.arithmetic()).max().unwrap_or(Arithmetic::Full)
    }

    /// The shares of several files together.
    pub fn joined<'a>(files: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut joined = Self::default();
        for share in files.into_iter().flat_map(|file| &file.shares) {
            match joined.shares.iter_mut().find(|known| known.storage == share.storage) {
                Some(known) => {
                    known.weights += share.weights;
                    known.bytes += share.bytes;
                }
                None => joined.shares.push(*share),
            }
        }
        joined.shares.sort_by_key(|share| (std::cmp::Reverse(share.weights), share.storage));
        joined
    }

    /// Bytes of the weights, without scales.
    pub fn bytes(&self) -> u64 {
        self.shares.iter().map(|share| share.bytes).sum()
    }

    /// Traces each heavy operator's inputs back to tensors of the file; each tensor counts once.
    pub(crate) fn of(nodes: &[Node], tensors: &HashMap<String, Held>) -> Result<Self, Fault> {
        let mut makers: HashMap<&str, &Node> = HashMap::new();
        for node in nodes {
            makers.extend(node.outputs.first().map(|output| (output.as_str(), node)));
        }
        let trace = Trace { makers, tensors };
        let (mut precision, mut seen) = (Self::default(), HashSet::new());
        for node in nodes.iter().filter(|node| HEAVY.contains(&node.operator.name.as_str())) {
            for (index, input) in node.inputs.iter().enumerate() {
                let Some((name, held, dequantized)) = trace.back(input) else { continue };
                if held.elements < SMALLEST || matches!(held.dtype, DType::I64 | DType::I32) || !seen.insert(name) {
                    continue;
                }
                if node.operator.name == "MatMulNBits" {
                    // Scales and zero points are read by it too.
                    if index == 1 {
                        precision.add(grouped(node)?)?;
                    }
                    continue;
                }
                precision.add(stored(node, held, dequantized))?;
            }
        }
        precision.shares.sort_by_key(|share| (std::cmp::Reverse(share.weights), share.storage));
        Ok(precision)
    }

    fn add(&mut self, more: Share) -> Result<(), Fault> {
        let index = self.shares.iter().position(|share| share.storage == more.storage);
        let index = index.unwrap_or_else(|| {
            self.shares.push(Share { weights: 0, bytes: 0, ..more });
            self.shares.len() - 1
        });
        let sum = |a: u64, b: u64| {
            // Below 2^60 nothing that adds these up again can overflow.
            a.checked_add(b).filter(|&sum| sum < 1 << 60).ok_or_else(|| invalid("the graph", "it has too many weights"))
        };
        let share = &mut self.shares[index];
        share.weights = sum(share.weights, more.weights)?;
        share.bytes = sum(share.bytes, more.bytes)?;
        Ok(())
    }
}

/// Who made each value, and what the file holds.
struct Trace<'a> {
    makers: HashMap<&'a str, &'a Node>,
    tensors: &'a HashMap<String, Held>,
}

impl<'a> Trace<'a> {
    /// The tensor of the file that a value is, perhaps transposed or cast or made of integers, and whether it is that.
    fn back(&self, value: &'a str) -> Option<(&'a str, Held, bool)> {
        let (mut value, mut dequantized) = (value, false);
        // A valid graph has no circle; an invalid one has one that ends here.
        for _ in 0..64 {
            if let Some(&held) = self.tensors.get(value) {
                return Some((value, held, dequantized));
            }
            let maker = self.makers.get(value)?;
            let operator = maker.operator.name.as_str();
            if operator == "DequantizeLinear" {
                dequantized = true;
            } else if !THROUGH.contains(&operator) {
                return None;
            }
            value = maker.inputs.first()?;
        }
        None
    }
}

fn stored(node: &Node, held: Held, dequantized: bool) -> Share {
    let integer = |bits, signed| {
        let multiplied = matches!(node.operator.name.as_str(), "MatMulInteger" | "ConvInteger" | "QLinearMatMul");
        match (dequantized, multiplied) {
            (true, _) => Storage::Integer { bits, signed, way: Way::Dequantized },
            (false, true) => Storage::Integer { bits, signed, way: Way::Multiplied },
            (false, false) => Storage::Plain(held.dtype),
        }
    };
    let storage = match held.dtype {
        DType::I8 => integer(8, true),
        DType::U8 => integer(8, false),
        DType::I4 => integer(4, true),
        DType::U4 => integer(4, false),
        other => Storage::Plain(other),
    };
    Share { storage, weights: held.elements, bytes: held.dtype.bytes(held.elements).unwrap_or_default() }
}

fn grouped(node: &Node) -> Result<Share, Fault> {
    let fail = |what: &str| invalid("a MatMulNBits node", &format!("its attribute {what} is missing or out of range"));
    let (n, k) = (node.number("N"), node.number("K"));
    let bits = node.number("bits").unwrap_or(4);
    let bits = u8::try_from(bits).ok().filter(|bits| (1..=8).contains(bits)).ok_or_else(|| fail("bits"))?;
    let group =
        node.number("block_size").and_then(|size| u32::try_from(size).ok()).ok_or_else(|| fail("block_size"))?;
    let accuracy = node.number("accuracy_level").map(|level| u8::try_from(level).map_err(|_| fail("accuracy_level")));
    let weights = n.zip(k).and_then(|(n, k)| u64::try_from(n).ok()?.checked_mul(u64::try_from(k).ok()?));
    let weights = weights.filter(|&weights| weights < 1 << 60).ok_or_else(|| fail("N or K"))?;
    let storage = Storage::Groups { bits, group, accuracy: accuracy.transpose()? };
    Ok(Share { storage, weights, bytes: weights.saturating_mul(u64::from(bits)) / 8 })
}
