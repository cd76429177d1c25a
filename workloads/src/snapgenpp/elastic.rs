//! Narrower nets cut from one set of weights: SnapGen++'s elastic super-network.
//!
//! Contract: the file holds the widest net under the graph's own names. A net of width w takes the leading channels of
//! every tensor that is shared, and its own copies, stored as `w<width>.<name>`, of what is not: norms and modulation
//! (stated). Where several streams or tokens lie side by side along an axis, it takes the leading channels of each.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ditbench_graph::Graph;
use ditbench_graph::weights::file::WeightFile;
use ditbench_graph::weights::{WeightData, WeightStore, WeightTensor, Weights, WeightsError};

/// How many equal parts lie side by side along an axis of a tensor of the denoiser: two streams before a long skip, four
/// tokens at the merge and the split.
fn pieces(name: &str, axis: usize) -> usize {
    match (name, axis) {
        ("merge.project.weight", 1) | ("split.project.weight" | "split.project.bias", 0) => 4,
        (name, 1) if name.ends_with(".skip.weight") => 2,
        _ => 1,
    }
}

/// Whether each width has its own copy of a tensor: norms and modulation. As `own_at_each_width` in `train/model.py`.
fn is_own(name: &str) -> bool {
    let mut parts = name.rsplit('.');
    let (last, parent) = (parts.next(), parts.next());
    name.starts_with("time.") || last == Some("table") || matches!(parent, Some("q_norm" | "k_norm" | "v_norm"))
}

/// The name of a width's own copy of a tensor.
fn own_name(width: usize, name: &str) -> String {
    format!("w{width}.{name}")
}

/// The name of the tensor of which a tensor is a width's own copy; else its own.
pub(super) fn shared_name(name: &str) -> &str {
    let own = name.strip_prefix('w').and_then(|rest| rest.split_once('.'));
    own.filter(|(width, _)| width.parse::<usize>().is_ok()).map_or(name, |(_, shared)| shared)
}

/// The widths of which a store has own copies, the widest net's not among them.
fn widths(store: &dyn WeightStore) -> BTreeSet<usize> {
    let prefix = |name: &String| name.strip_prefix('w')?.split_once('.')?.0.parse().ok();
    store.names().iter().filter_map(prefix).collect()
}

/// A narrower net's tensors, cut from a wider one's when they are asked for.
struct Cut<S> {
    store: S,
    width: usize,
    /// The shapes that the narrower net wants.
    shapes: BTreeMap<String, Vec<usize>>,
}

impl<S: WeightStore> WeightStore for Cut<S> {
    fn get(&self, name: &str) -> Option<WeightTensor<'_>> {
        let shape = self.shapes.get(name)?;
        if let Some(own) = self.store.get(&own_name(self.width, name)) {
            return Some(own);
        }
        if is_own(name) {
            // The widest net's may even have the right shape, and would be wrong all the same.
            return None;
        }
        let tensor = self.store.get(name)?;
        // What cannot be cut is given as it is: whoever asked finds that its shape is wrong.
        Some(leading(name, &tensor, shape).unwrap_or(tensor))
    }

    fn unreadable(&self, name: &str) -> Option<String> {
        self.store.unreadable(&own_name(self.width, name)).or_else(|| self.store.unreadable(name))
    }

    fn release(&self, name: &str) {
        self.store.release(&own_name(self.width, name));
        self.store.release(name);
    }

    fn names(&self) -> Vec<String> {
        self.shapes.keys().filter(|name| self.get(name).is_some()).cloned().collect()
    }
}

/// The leading channels of a tensor along each axis. `None` where it has the shape already, or another rank, or is
/// narrower, or is packed into few bits.
fn leading(name: &str, tensor: &WeightTensor<'_>, shape: &[usize]) -> Option<WeightTensor<'static>> {
    let fits = |axis: usize| {
        let (wanted, has, parts) = (shape[axis], tensor.shape[axis], pieces(name, axis));
        wanted <= has && wanted.is_multiple_of(parts) && has.is_multiple_of(parts)
    };
    if tensor.shape == shape || tensor.shape.len() != shape.len() || !(0..shape.len()).all(fits) {
        return None;
    }
    // For each axis, the indices that are kept.
    let kept: Vec<Vec<usize>> = (0..shape.len())
        .map(|axis| {
            let parts = pieces(name, axis);
            let (wanted, has) = (shape[axis] / parts, tensor.shape[axis] / parts);
            (0..parts).flat_map(|part| (0..wanted).map(move |i| part * has + i)).collect()
        })
        .collect();
    let mut places = vec![0];
    for (axis, kept) in kept.iter().enumerate() {
        places = places.iter().flat_map(|place| kept.iter().map(move |i| place * tensor.shape[axis] + i)).collect();
    }
    let data = match &tensor.data {
        WeightData::F32(values) => WeightData::F32(Cow::Owned(places.iter().map(|&i| values[i]).collect())),
        WeightData::F16(values) => WeightData::F16(Cow::Owned(places.iter().map(|&i| values[i]).collect())),
        WeightData::Q4(_) | WeightData::Q8(_) | WeightData::Palette4 { .. } => return None,
    };
    Some(WeightTensor { shape: shape.to_vec(), data })
}

/// The weights of graphs of this width in a file, which may hold a wider super-network: the width is then cut from it. Every
/// name and shape is checked.
///
/// # Errors
/// Tensors that are missing or of another shape; a super-network without this width.
pub fn fit(file: WeightFile, path: &Path, graphs: &[&Graph], width: usize) -> Result<Weights, WeightsError> {
    let widest = file.get("patch.embed.weight").and_then(|tensor| tensor.shape.first().copied());
    let narrower = widths(&file);
    let weights = match widest {
        Some(widest) if widest != width && narrower.contains(&width) => {
            let specs = graphs.iter().flat_map(|graph| &graph.weights);
            let shapes = specs.map(|spec| (spec.name.clone(), spec.shape.clone())).collect();
            Weights::new(Cut { store: file, width, shapes })
        }
        Some(widest) if widest != width && !narrower.is_empty() => {
            let has = narrower.iter().rev().map(|w| format!(", {w}")).collect::<String>();
            return Err(WeightsError::File {
                path: path.to_owned(),
                why: format!("it has nets of widths {widest}{has}, but none of {width}"),
            });
        }
        _ => Weights::new(file),
    };
    weights.check(graphs, path)?;
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize]) -> WeightTensor<'static> {
        let len: usize = shape.iter().product();
        WeightTensor { shape: shape.to_vec(), data: WeightData::F32((0..len).map(|i| i as f32).collect()) }
    }

    fn cut(name: &str, has: &[usize], wanted: &[usize]) -> Option<Vec<f32>> {
        leading(name, &tensor(has), wanted).map(|tensor| tensor.to_f32().into_owned())
    }

    #[test]
    fn leading_channels_are_taken_of_each_piece() {
        assert_eq!(cut("down.0.attn.q.weight", &[3, 4], &[2, 2]).unwrap(), [0.0, 1.0, 4.0, 5.0]);
        // Two streams of two channels: of each the first.
        assert_eq!(cut("middle.2.skip.weight", &[2, 4], &[1, 2]).unwrap(), [0.0, 2.0]);
        assert_eq!(cut("split.project.bias", &[8], &[4]).unwrap(), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(cut("down.0.ffn.up.bias", &[8], &[4]).unwrap(), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(cut("down.0.attn.assa.global.k.weight", &[2, 1, 1, 2], &[1, 1, 1, 2]).unwrap(), [0.0, 1.0]);
    }

    #[test]
    fn what_cannot_be_cut_is_left_for_the_check() {
        assert_eq!(cut("a", &[2, 2], &[2, 2]), None);
        assert_eq!(cut("a", &[2, 2], &[3, 2]), None);
        assert_eq!(cut("a", &[2, 2], &[2]), None);
    }

    #[test]
    fn a_widths_own_copy_comes_first() {
        let store: BTreeMap<String, WeightTensor<'static>> = BTreeMap::from([
            ("n".to_owned(), tensor(&[4])),
            ("w2.n".to_owned(), WeightTensor { shape: vec![2], data: WeightData::F32(vec![7.0, 8.0].into()) }),
            ("m".to_owned(), tensor(&[4])),
        ]);
        assert_eq!(widths(&store), BTreeSet::from([2]));
        let shapes = ["n", "m", "absent"].map(|name| (name.to_owned(), vec![2])).into();
        let cut = Cut { store, width: 2, shapes };
        assert_eq!(cut.get("n").unwrap().to_f32()[..], [7.0, 8.0]);
        assert_eq!(cut.get("m").unwrap().to_f32()[..], [0.0, 1.0]);
        assert_eq!(cut.names(), ["m", "n"]);
    }

    #[test]
    fn norms_and_modulation_are_never_cut_from_the_widest() {
        let own = ["time.up.weight", "time.final_table", "down.0.modulation.table", "up.1.attn.q_norm.weight"];
        let shared = ["split.lerp", "text_in.clip_norm.bias", "text.token_embedding", "down.0.attn.q.weight"];
        let names = own.into_iter().chain(shared);
        // As in the file: the widest net has all of them, the narrower one has a copy of the first alone.
        let mut store: BTreeMap<_, _> = names.clone().map(|name| (name.to_owned(), tensor(&[4]))).collect();
        store.insert("w2.time.up.weight".to_owned(), tensor(&[2]));
        let cut = Cut { store, width: 2, shapes: names.map(|name| (name.to_owned(), vec![2])).collect() };
        assert!(cut.get("time.up.weight").is_some());
        assert!(own[1..].iter().all(|name| cut.get(name).is_none()), "{:?}", cut.names());
        assert!(shared.iter().all(|name| cut.get(name).is_some_and(|found| found.shape == [2])), "{:?}", cut.names());
    }
}
