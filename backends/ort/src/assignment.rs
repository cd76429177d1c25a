//! Which provider took which node of a graph, by ONNX Runtime's own account.
//!
//! Contract: a session tells it only if it was made with [`RECORD`]. Nodes are those of the graph before providers join them,
//! so that one that becomes a single node on its device still counts as what it was.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};

use ditbench_backend_api::{Placement, PlacementEntry};
use ort::AsPointer;
use ort::session::Session;
use ort::sys::OrtStatusPtr;

use crate::profile;

/// The entry of a session's configuration that makes ONNX Runtime keep the account.
pub(crate) const RECORD: (&str, &str) = ("session.record_ep_graph_assignment_info", "1");

/// A node that a provider took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The provider.
    pub(crate) provider: String,
    /// The node's type: `MatMul`.
    pub(crate) op: String,
    /// Its name in the file; what ONNX Runtime itself has added may have none.
    pub(crate) name: String,
}

/// Every node with the provider that took it; `None` where the library cannot tell.
pub(crate) fn of(session: &Session) -> Option<Vec<Taken>> {
    read(session).ok()
}

fn read(session: &Session) -> ort::Result<Vec<Taken>> {
    let api = ort::api();
    let mut taken = Vec::new();
    let (mut subgraphs, mut count) = (std::ptr::null(), 0);
    // SAFETY: the session lives throughout. Each call gets a place for what it gives, and its status is turned into an error before
    // that is used. The arrays and strings belong to the session.
    unsafe {
        ort::Error::result_from_status((api.Session_GetEpGraphAssignmentInfo)(
            session.ptr(),
            &mut subgraphs,
            &mut count,
        ))?;
        for index in 0..count {
            let subgraph = *subgraphs.add(index);
            let provider = text(|out| (api.EpAssignedSubgraph_GetEpName)(subgraph, out))?;
            let (mut nodes, mut node_count) = (std::ptr::null(), 0);
            ort::Error::result_from_status((api.EpAssignedSubgraph_GetNodes)(subgraph, &mut nodes, &mut node_count))?;
            for index in 0..node_count {
                let node = *nodes.add(index);
                taken.push(Taken {
                    provider: provider.clone(),
                    op: text(|out| (api.EpAssignedNode_GetOperatorType)(node, out))?,
                    name: text(|out| (api.EpAssignedNode_GetName)(node, out))?,
                });
            }
        }
    }
    Ok(taken)
}

/// A text of ONNX Runtime's.
fn text(get: impl FnOnce(*mut *const c_char) -> OrtStatusPtr) -> ort::Result<String> {
    let mut pointer = std::ptr::null();
    let status = get(&mut pointer);
    // SAFETY: the status is the call's own; where it is good, the pointer is null or leads to a zero-terminated string.
    unsafe {
        ort::Error::result_from_status(status)?;
        Ok(if pointer.is_null() { String::new() } else { CStr::from_ptr(pointer).to_string_lossy().into_owned() })
    }
}

/// The nodes that another provider than this one took, in words: `2 of 70 nodes: Det (1: odd/det), Cast (1: x)`; `None` if there is none.
pub(crate) fn elsewhere(taken: &[Taken], provider: &str) -> Option<String> {
    let others = taken.iter().filter(|node| node.provider != provider);
    let others = others.map(|node| (node.op.as_str(), node.name.as_str()));
    ditbench_backend_api::nodes_in_words(others, taken.len())
}

/// The placement of a session all of whose nodes the device took; `None` if it did not, or nobody tells.
pub(crate) fn whole(taken: &[Taken], (device, provider): &(String, String)) -> Option<Placement> {
    let source = "ONNX Runtime's account of the nodes that each provider took";
    let is_whole = !taken.is_empty() && elsewhere(taken, provider).is_none();
    is_whole.then(|| Placement::all_on(device, taken.len(), source))
}

/// A measured placement with nodes as they are counted here, and with the operations that another provider took.
pub(crate) fn counted(measured: Placement, taken: &[Taken], (device, provider): &(String, String)) -> Placement {
    let Some(elsewhere) = elsewhere(taken, provider) else { return measured };
    let mut nodes: BTreeMap<String, usize> = BTreeMap::new();
    for node in taken {
        *nodes.entry(device_of(&node.provider, device, provider)).or_default() += 1;
    }
    let share =
        |name: &str| measured.entries.iter().find(|entry| entry.device == name).and_then(|entry| entry.time_share);
    let entries =
        nodes.into_iter().map(|(name, nodes)| PlacementEntry { time_share: share(&name), device: name, nodes });
    Placement {
        entries: entries.collect(),
        source: format!(
            "ONNX Runtime's account of the nodes that each provider took, time by its profiler; not on the device: {elsewhere}"
        ),
        asked: measured.asked,
    }
}

/// What profiles call a provider.
fn device_of(provider: &str, device: &str, own: &str) -> String {
    if provider == own { device.to_owned() } else { profile::short(provider) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_elsewhere_is_named_by_operation() {
        let node = |provider: &str, op: &str, name: &str| Taken {
            provider: provider.to_owned(),
            op: op.to_owned(),
            name: name.to_owned(),
        };
        let mut taken = vec![node("Npu", "MatMul", "a"), node("Npu", "Softmax", "b")];
        assert_eq!(elsewhere(&taken, "Npu"), None);
        taken.push(node("Cpu", "Det", "odd/det"));
        assert_eq!(elsewhere(&taken, "Npu").unwrap(), "1 of 3 nodes: Det (1: odd/det)");
        taken.extend(["x", "y", "z"].map(|name| node("Cpu", "Cast", name)));
        taken.push(node("Cpu", "MemcpyToHost", ""));
        let words = "5 of 7 nodes: Cast (3: x, y, …), Det (1: odd/det), MemcpyToHost (1)";
        assert_eq!(elsewhere(&taken, "Npu").unwrap(), words);
    }

    #[test]
    fn a_marked_row_has_the_nodes_as_they_were_and_the_time_as_measured() {
        let node = |provider: &str, op: &str| Taken { provider: provider.into(), op: op.into(), name: String::new() };
        let taken = [node("Npu", "MatMul"), node("Npu", "Add"), node("CPUExecutionProvider", "Det")];
        // Under the profiler the two are one.
        let entry = |device: &str, share| PlacementEntry { device: device.into(), nodes: 1, time_share: Some(share) };
        let measured = Placement {
            asked: "npu".into(),
            entries: vec![entry("cpu", 0.25), entry("npu", 0.75)],
            source: "measured".into(),
        };
        let place = ("npu".to_owned(), "Npu".to_owned());
        let counted = counted(measured, &taken, &place);
        let entries: Vec<_> =
            counted.entries.iter().map(|entry| (entry.device.as_str(), entry.nodes, entry.time_share)).collect();
        assert_eq!(entries, [("cpu", 1, Some(0.25)), ("npu", 2, Some(0.75))]);
        assert!(counted.source.ends_with("not on the device: 1 of 3 nodes: Det (1)"), "{}", counted.source);
    }
}
