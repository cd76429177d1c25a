//! From a runtime's names of nodes back to the file's, and to the part of the model that a node is of.
//!
//! Runtimes append words to names when they join, split or re-lay nodes, so the longest beginning that is known counts.

use std::collections::HashMap;
use std::path::Path;

use prost::Message;

use super::error::{Fault, ReadError};
use super::fields::Field;
use super::message::{self, field};
use super::parse::walk;
use super::with_bytes;

/// What torch's exporter keeps of the modules that a node is of, in a list as Python writes it.
const MODULES: &str = "pkg.torch.onnx.name_scopes";

/// The nodes of a file by name, each with its place in the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(HashMap<String, String>);

impl Scopes {
    /// Reads the names of a file's nodes.
    ///
    /// # Errors
    /// As [`super::Model::open`].
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        with_bytes(path, Self::parse)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let mut nodes = Vec::new();
        for graph in walk(bytes, "the file") {
            let Field { number: field::MODEL_GRAPH, payload: graph, .. } = graph? else { continue };
            for node in walk(graph, "the graph") {
                let Field { number: field::GRAPH_NODE, payload, .. } = node? else { continue };
                let Some(node) = named(payload)? else { continue };
                let module = modules(&node).or_else(|| by_name(&node.name));
                nodes.push((node, module));
            }
        }
        let wrapper = wrapper(nodes.iter().filter_map(|(_, module)| module.as_deref()));
        let mut scopes = HashMap::new();
        for (node, module) in nodes {
            let inner = module.as_deref().map(|module| module.strip_prefix(wrapper.as_str()).unwrap_or(module));
            let place = inner.map_or_else(|| node.name.clone(), str::to_owned);
            // tract calls a node after its output where it has no name of its own.
            for output in &node.output {
                scopes.entry(output.clone()).or_insert_with(|| place.clone());
            }
            scopes.insert(node.name, place);
        }
        Ok(Self(scopes))
    }

    /// The place in the model of a runtime's node, `down_blocks.0.attentions.0.to_q`, if its name leads back to the file.
    pub fn of(&self, runtimes: &str) -> Option<&str> {
        let mut end = runtimes.len();
        loop {
            if let Some(place) = self.0.get(&runtimes[..end]) {
                return Some(place);
            }
            end = runtimes[..end].rfind(['/', '.', '_', '#', '-', ':', ' '])?;
        }
    }
}

/// A node's name, outputs and metadata; `None` for one without a name.
fn named(bytes: &[u8]) -> Result<Option<message::Named>, Fault> {
    let mut kept = Vec::new();
    for part in walk(bytes, "a node") {
        let part = part?;
        if matches!(part.number, field::NODE_NAME | field::NODE_OUTPUT | field::NODE_METADATA) {
            kept.extend_from_slice(part.whole);
        }
    }
    let node = message::Named::decode(&kept[..]).map_err(|error| super::node::invalid("a node", &error.to_string()))?;
    Ok((!node.name.is_empty()).then_some(node))
}

/// The innermost module that the exporter noted: of `['', 'down_blocks.0', 'down_blocks.0.resnets.0', 'conv2d']` the last but
/// one, since the last is the operator's own.
fn modules(node: &message::Named) -> Option<String> {
    let noted = node.metadata.iter().find(|entry| entry.key == MODULES)?;
    let words: Vec<&str> = noted.value.split('\'').skip(1).step_by(2).collect();
    let module = words[..words.len().checked_sub(1)?].iter().rfind(|word| !word.is_empty())?;
    Some((*module).to_owned())
}

/// Of `/down_blocks.0/resnets.0/conv1/Conv` what stands before the operator: `down_blocks.0.resnets.0.conv1`; `None` of a name
/// without a module in it.
fn by_name(name: &str) -> Option<String> {
    let (module, _) = name.trim_start_matches('/').rsplit_once('/')?;
    Some(module.replace('/', "."))
}

/// What all modules begin with, a wrapper's name that says nothing: `m.`; empty if they have no such name.
fn wrapper<'a>(modules: impl Iterator<Item = &'a str>) -> String {
    let mut common: Option<String> = None;
    let mut is_inside = false;
    for module in modules {
        let (first, rest) = module.split_once('.').unwrap_or((module, ""));
        is_inside |= !rest.is_empty();
        match &common {
            None => common = Some(first.to_owned()),
            Some(known) if known == first => {}
            Some(_) => return String::new(),
        }
    }
    common.filter(|_| is_inside).map_or_else(String::new, |first| format!("{first}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, output: &str, noted: Option<&str>) -> Vec<u8> {
        let entry = |value: &str| message::Entry { key: MODULES.to_owned(), value: value.to_owned() };
        let node = message::Named {
            output: vec![output.to_owned()],
            name: name.to_owned(),
            metadata: noted.map(entry).into_iter().collect(),
        };
        let bytes = node.encode_to_vec();
        [&[10, u8::try_from(bytes.len()).unwrap()][..], &bytes].concat()
    }

    #[test]
    fn a_wrapper_around_the_whole_model_is_left_out() {
        let wrapper = |modules: &[&str]| super::wrapper(modules.iter().copied());
        assert_eq!(wrapper(&["m", "m.blocks.0", "m.out"]), "m.");
        assert_eq!(wrapper(&["down_blocks.0", "up_blocks.0"]), "");
        assert_eq!(wrapper(&["layer", "layer"]), "", "it is all that there is");
        assert_eq!(wrapper(&[]), "");
        let graph = [node("/m/blocks.0/MatMul", "a", None), node("/m/Shape", "b", None)].concat();
        let file = [&[58, u8::try_from(graph.len()).unwrap()][..], &graph].concat();
        let scopes = Scopes::parse(&file).unwrap();
        assert_eq!((scopes.of("/m/blocks.0/MatMul"), scopes.of("/m/Shape")), (Some("blocks.0"), Some("m")));
    }

    #[test]
    fn names_of_both_exporters_lead_to_the_models_parts() {
        let graph = [
            node("/down_blocks.0/resnets.0/conv1/Conv", "/down_blocks.0/resnets.0/conv1/Conv_output_0", None),
            node("node_conv2d_16", "conv2d_16", Some("['', 'mid', 'mid.conv', 'conv2d_16']")),
            node("Add_3", "sum", None),
            node("", "nameless", None),
        ]
        .concat();
        let file = [&[58, 0x80 | (graph.len() & 0x7f) as u8, (graph.len() >> 7) as u8][..], &graph].concat();
        let scopes = Scopes::parse(&file).unwrap();
        for (name, place) in [
            ("/down_blocks.0/resnets.0/conv1/Conv", Some("down_blocks.0.resnets.0.conv1")),
            ("/down_blocks.0/resnets.0/conv1/Conv_nchwc", Some("down_blocks.0.resnets.0.conv1")),
            ("/down_blocks.0/resnets.0/conv1/Conv_output_0_token_7", Some("down_blocks.0.resnets.0.conv1")),
            ("node_conv2d_16.bias", Some("mid.conv")),
            ("Add_3", Some("Add_3")),
            ("Reorder_token_1", None),
            ("", None),
        ] {
            assert_eq!(scopes.of(name), place, "{name}");
        }
    }
}
