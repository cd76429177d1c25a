//! Nodes of the domain `ditbench`: filled in together with the operators that read them.

use super::super::OnnxError;
use super::super::writer::Writer;
use crate::graph::Node;

/// The node's output, if it has an operator of ours.
pub(super) fn lower(_: &mut Writer<'_>, _: &Node) -> Result<Option<String>, OnnxError> {
    Ok(None)
}
