//! The same graph with its sizes written into it.
//!
//! Numbers in the inputs' shapes are not enough for every runtime: shapes that an exporter or a quantizer inferred and
//! stored hold the old names, and tract then fails with `Impossible to unify Sym(batch) with Val(1)`. So these are left
//! out, and every runtime gets the same file. With numbers in it, ONNX Runtime also folds a third of a graph's nodes.

use std::path::{Path, PathBuf};

use prost::Message;

use super::error::{Fault, ReadError};
use super::fields::Field;
use super::message::{self, field};
use super::node::invalid;
use super::parse::walk;
use super::{DataFile, Model, recognise, with_bytes};
use crate::axes::FixedInput;

/// A model's bytes with the inputs' sizes in place of names, without stored inner shapes and without the outputs' shapes;
/// all else is kept byte for byte. Weights in files of their own stay there: the result belongs into the same folder as
/// links to them.
///
/// # Errors
/// [`Fault`] if the bytes are no model, or an input is named that it does not have.
pub fn prepare(bytes: &[u8], inputs: &[FixedInput]) -> Result<Vec<u8>, Fault> {
    recognise(bytes)?;
    let mut prepared = Vec::with_capacity(bytes.len());
    let mut found = false;
    for part in walk(bytes, "the file") {
        let part = part?;
        if part.number == field::MODEL_GRAPH {
            found = true;
            let graph = message::Part { graph: Some(graph(part.payload, inputs)?), ..Default::default() };
            prepared.extend(graph.encode_to_vec());
        } else {
            prepared.extend_from_slice(part.whole);
        }
    }
    if found { Ok(prepared) } else { Err(Fault::NoGraph) }
}

/// A model with its sizes written into it, in a folder of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The graph.
    pub model: PathBuf,
    /// Bytes of weights that had to be copied because the folder is on another file system.
    pub copied: u64,
}

/// Prepares a model into another folder, under its own file name. Weights in files of their own become hard links to what
/// the files beside the model lead to: a runtime takes those, but neither tract nor ONNX Runtime takes a rewritten graph
/// beside a symbolic link.
///
/// # Errors
/// [`ReadError`]: the model or its weights cannot be read, the folder cannot be written or is the model's own.
pub fn prepare_into(model: &Path, inputs: &[FixedInput], folder: &Path) -> Result<Prepared, ReadError> {
    let beside = model.parent().unwrap_or(Path::new(""));
    let (prepared, data) = with_bytes(model, |bytes| {
        let parsed = Model::parse(bytes)?;
        parsed.check_data(beside)?;
        Ok((prepare(bytes, inputs)?, parsed.data))
    })?;
    let name = model.file_name().unwrap_or(model.as_os_str());
    let target = folder.join(name);
    let fail = |path: &Path, fault: Fault| ReadError { path: path.to_owned(), fault };
    let write = |path: &Path, error: std::io::Error| fail(path, Fault::Write(error));
    std::fs::create_dir_all(folder).map_err(|error| write(folder, error))?;
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    // `beside` of a bare file name is empty, which is no folder to the system.
    let own = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
    if same(folder, own) {
        return Err(fail(model, Fault::Overwrite));
    }
    let mut copied = 0;
    for file in &data {
        copied += link(file, beside, folder).map_err(|error| write(&folder.join(&file.location), error))?;
    }
    let unfinished = folder.join(format!("{}.unfinished", name.to_string_lossy()));
    std::fs::write(&unfinished, prepared)
        .and_then(|()| std::fs::rename(&unfinished, &target))
        .map_err(|error| write(&target, error))?;
    Ok(Prepared { model: target, copied })
}

/// Links a data file into a folder, or copies it; gives the bytes copied.
fn link(file: &DataFile, beside: &Path, folder: &Path) -> std::io::Result<u64> {
    let source = beside.join(&file.location).canonicalize()?;
    let target = folder.join(&file.location);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    // A link of an earlier time may lead to weights that were exported anew since.
    match std::fs::remove_file(&target) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    match std::fs::hard_link(&source, &target) {
        Ok(()) => Ok(0),
        Err(_) => std::fs::copy(&source, &target),
    }
}

fn graph(bytes: &[u8], inputs: &[FixedInput]) -> Result<Vec<u8>, Fault> {
    let mut prepared = Vec::with_capacity(bytes.len());
    let mut left: Vec<&FixedInput> = inputs.iter().collect();
    for part in walk(bytes, "the graph") {
        let part = part?;
        match part.number {
            field::GRAPH_VALUE_INFO => (),
            field::GRAPH_INPUT => {
                let info = info(part)?;
                match left.iter().position(|input| input.name == info.name) {
                    Some(index) => {
                        let input = Some(fixed(info, left.swap_remove(index)));
                        prepared.extend(message::Part { input, ..Default::default() }.encode_to_vec());
                    }
                    None => prepared.extend_from_slice(part.whole),
                }
            }
            field::GRAPH_OUTPUT => {
                let mut info = info(part)?;
                match info.r#type.as_mut().and_then(|value| value.tensor_type.as_mut()) {
                    Some(tensor) => {
                        tensor.shape = None;
                        prepared.extend(message::Part { output: Some(info), ..Default::default() }.encode_to_vec());
                    }
                    // No tensor: nothing to fix in it.
                    None => prepared.extend_from_slice(part.whole),
                }
            }
            _ => prepared.extend_from_slice(part.whole),
        }
    }
    match left.first() {
        None => Ok(prepared),
        Some(input) => Err(invalid("the graph", &format!("it has no input \"{}\"", input.name))),
    }
}

fn info(part: Field<'_>) -> Result<message::ValueInfo, Fault> {
    message::ValueInfo::decode(part.payload).map_err(|error| invalid("an input or output", &error.to_string()))
}

fn fixed(mut info: message::ValueInfo, input: &FixedInput) -> message::ValueInfo {
    let dim = |&extent: &usize| message::Dimension { dim_value: Some(extent as i64), dim_param: None };
    let shape = message::Shape { dim: input.shape.iter().map(dim).collect() };
    let tensor = message::TensorType { elem_type: input.dtype.code(), shape: Some(shape) };
    info.r#type = Some(message::Type { tensor_type: Some(tensor) });
    info
}
