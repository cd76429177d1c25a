//! From an engine's names of nodes back to the graph's.

use std::collections::HashSet;

use ditbench_graph::Graph;

/// The names of a graph's nodes.
pub(crate) struct Names<'a>(HashSet<&'a str>);

impl<'a> Names<'a> {
    pub fn of(graph: &'a Graph) -> Self {
        Self(graph.nodes.iter().map(|node| node.name.as_str()).collect())
    }

    /// The graph's node behind a node of the engine's. The file has the graph's names, with `/…` after them where one node
    /// became several; engines append words of their own where they join or add nodes. So the longest known beginning counts.
    pub fn scope(&self, name: &str) -> Option<&'a str> {
        let name = name.split(['/', ':']).next().unwrap_or(name);
        let mut end = name.len();
        loop {
            if let Some(&found) = self.0.get(&name[..end]) {
                return Some(found);
            }
            end = name[..end].rfind(['.', '_', '#', '-', ' '])?;
        }
    }
}

#[cfg(test)]
mod tests {
    use ditbench_graph::{DType, GraphBuilder, Op};

    use super::*;

    #[test]
    fn the_longest_beginning_that_is_known_counts() {
        let mut b = GraphBuilder::new("g");
        let x = b.input("x", &[1], DType::F32);
        let y = b.node("up.3.attn", Op::Scale { factor: 2.0 }, &[x]);
        let z = b.node("up.3.attn.v", Op::Scale { factor: 2.0 }, &[y]);
        b.output("z", z);
        let graph = b.finish().unwrap();
        let names = Names::of(&graph);
        for (name, wanted) in [
            ("up.3.attn.v/product", Some("up.3.attn.v")),
            ("up.3.attn.v_nchwc", Some("up.3.attn.v")),
            ("up.3.attn_fused-1", Some("up.3.attn")),
            ("up.3", None),
            ("Cast_7", None),
            ("", None),
        ] {
            assert_eq!(names.scope(name), wanted, "{name}");
        }
    }
}
