//! What is kept of nodes and stored tensors while a file is read.

use super::Operator;
use super::error::Fault;
use crate::DType;

/// A node, as far as weights are traced through it.
pub(crate) struct Node {
    pub(crate) operator: Operator,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    /// Integer attributes by name.
    pub(crate) numbers: Vec<(String, i64)>,
}

impl Node {
    /// An integer attribute.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.numbers.iter().find(|(key, _)| key == name).map(|&(_, value)| value)
    }
}

/// A tensor that the file holds: its type and size.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    pub(crate) dtype: DType,
    pub(crate) elements: u64,
}

/// A file that breaks the format's rules at a place.
pub(crate) fn invalid(place: &str, why: &str) -> Fault {
    Fault::Invalid { place: place.to_owned(), why: why.to_owned() }
}
