//! Shape inference: the shape of a node's output from its inputs, or what is wrong with them.

use super::{AttentionPattern, MAX_RANK, Op, WeightSpec};

/// The output shape of `op`, given the shapes of its inputs and the weights of the graph.
pub(super) fn output_shape(op: &Op, inputs: &[&[usize]], weights: &[WeightSpec]) -> Result<Vec<usize>, String> {
    let wanted = arity(op);
    if !wanted.contains(&inputs.len()) {
        return Err(format!("takes {wanted:?} inputs, {} given", inputs.len()));
    }
    let shape_of = |id: super::WeightId| weights[id.0].shape.as_slice();
    let shape = match op {
        Op::Linear { weight, bias } => linear(inputs[0], shape_of(*weight), bias.map(shape_of))?,
        Op::Conv2d { weight, bias, stride, padding, groups } => {
            conv2d(inputs[0], shape_of(*weight), bias.map(shape_of), *stride, *padding, *groups)?
        }
        Op::Embedding { weight } => [inputs[0], &shape_of(*weight)[1..]].concat(),
        Op::Parameter { weight } => shape_of(*weight).to_vec(),
        Op::LayerNorm { weight, bias, .. } => {
            let last = last(inputs[0])?;
            for shape in [*weight, *bias].into_iter().flatten().map(shape_of) {
                same(shape, &[last], "norm weight")?;
            }
            inputs[0].to_vec()
        }
        Op::GroupNorm { groups, weight, bias, .. } => {
            let [_, channels, _, _] = four(inputs[0])?;
            if *groups == 0 || channels % groups != 0 {
                return Err(format!("{groups} groups do not divide the {channels} channels of {:?}", inputs[0]));
            }
            for id in [*weight, *bias] {
                same(shape_of(id), &[channels], "norm weight")?;
            }
            inputs[0].to_vec()
        }
        Op::RmsNorm { weight, .. } => {
            same(shape_of(*weight), &[last(inputs[0])?], "norm weight")?;
            inputs[0].to_vec()
        }
        Op::Modulate => modulated(inputs[0], &inputs[1..])?,
        Op::GatedAdd => {
            same(inputs[0], inputs[1], "second input")?;
            modulated(inputs[0], &inputs[2..])?
        }
        Op::Lerp => {
            same(inputs[0], inputs[1], "second input")?;
            same(&broadcast(inputs[0], inputs[2])?, inputs[0], "broadcast of the third input")?;
            inputs[0].to_vec()
        }
        Op::Add | Op::Mul => broadcast(inputs[0], inputs[1])?,
        Op::Scale { .. } | Op::Activation(_) => inputs[0].to_vec(),
        Op::Rope { rows, cols, .. } => {
            let [_, tokens, _, head] = four(inputs[0])?;
            if tokens != rows * cols || head % 4 != 0 {
                return Err(format!(
                    "wants {rows}·{cols} tokens and a head width divisible by 4, found {:?}",
                    inputs[0]
                ));
            }
            inputs[0].to_vec()
        }
        Op::Attention { pattern, .. } => attention(*pattern, inputs)?,
        Op::Reshape { shape } => {
            if shape.iter().product::<usize>() != inputs[0].iter().product::<usize>() {
                return Err(format!("cannot see {:?} as {shape:?}", inputs[0]));
            }
            shape.clone()
        }
        Op::Transpose { perm } => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..inputs[0].len()) {
                return Err(format!("{perm:?} is not a permutation of the axes of {:?}", inputs[0]));
            }
            perm.iter().map(|&axis| inputs[0][axis]).collect()
        }
        Op::Concat { axis } => concat(*axis, inputs)?,
        Op::Slice { axis, start, end } => {
            let extent = inputs[0].get(*axis).copied().unwrap_or(0);
            if start >= end || *end > extent {
                return Err(format!("{start}..{end} along axis {axis} is outside {:?}", inputs[0]));
            }
            let mut shape = inputs[0].to_vec();
            shape[*axis] = end - start;
            shape
        }
        Op::Upsample2x => {
            let [b, c, h, w] = four(inputs[0])?;
            vec![b, c, 2 * h, 2 * w]
        }
        Op::AveragePool2x => {
            let [b, c, h, w] = four(inputs[0])?;
            if h % 2 != 0 || w % 2 != 0 {
                return Err(format!("wants an even number of rows and columns, found {:?}", inputs[0]));
            }
            vec![b, c, h / 2, w / 2]
        }
    };
    if shape.len() > MAX_RANK {
        return Err(format!("rank {} of {shape:?} is above {MAX_RANK}", shape.len()));
    }
    Ok(shape)
}

fn arity(op: &Op) -> std::ops::RangeInclusive<usize> {
    match op {
        Op::Parameter { .. } => 0..=0,
        Op::Add | Op::Mul => 2..=2,
        Op::Modulate | Op::GatedAdd | Op::Lerp | Op::Attention { .. } => 3..=3,
        Op::Concat { .. } => 2..=usize::MAX,
        _ => 1..=1,
    }
}

fn last(shape: &[usize]) -> Result<usize, String> {
    shape.last().copied().ok_or_else(|| "wants at least one axis".to_owned())
}

fn four(shape: &[usize]) -> Result<[usize; 4], String> {
    shape.try_into().map_err(|_| format!("wants four axes, found {shape:?}"))
}

fn same(found: &[usize], wanted: &[usize], what: &str) -> Result<(), String> {
    if found == wanted { Ok(()) } else { Err(format!("{what}: wanted {wanted:?}, found {found:?}")) }
}

fn linear(x: &[usize], weight: &[usize], bias: Option<&[usize]>) -> Result<Vec<usize>, String> {
    let &[n, k] = weight else { return Err(format!("linear weight wants two axes, found {weight:?}")) };
    same(&[last(x)?], &[k], "last axis of the input")?;
    if let Some(bias) = bias {
        same(bias, &[n], "bias")?;
    }
    Ok([&x[..x.len() - 1], &[n]].concat())
}

fn conv2d(
    x: &[usize],
    weight: &[usize],
    bias: Option<&[usize]>,
    stride: usize,
    padding: usize,
    groups: usize,
) -> Result<Vec<usize>, String> {
    let [b, i, h, w] = four(x)?;
    let [o, i_group, kh, kw] = four(weight)?;
    if groups == 0
        || stride == 0
        || i != i_group * groups
        || o % groups != 0
        || h + 2 * padding < kh
        || w + 2 * padding < kw
    {
        return Err(format!(
            "a kernel {weight:?} with {groups} groups, stride {stride}, padding {padding} does not fit {x:?}"
        ));
    }
    if let Some(bias) = bias {
        same(bias, &[o], "bias")?;
    }
    Ok(vec![b, o, (h + 2 * padding - kh) / stride + 1, (w + 2 * padding - kw) / stride + 1])
}

fn modulated(x: &[usize], vectors: &[&[usize]]) -> Result<Vec<usize>, String> {
    let &[b, _, d] = x else { return Err(format!("wants three axes, found {x:?}")) };
    for vector in vectors {
        same(vector, &[b, 1, d], "per-channel vector")?;
    }
    Ok(x.to_vec())
}

fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let rank = a.len().max(b.len());
    let at = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
    (0..rank)
        .map(|axis| match (at(a, axis), at(b, axis)) {
            (x, y) if x == y || y == 1 => Ok(x),
            (1, y) => Ok(y),
            _ => Err(format!("{a:?} and {b:?} do not broadcast")),
        })
        .collect()
}

fn attention(pattern: AttentionPattern, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    let [b, tq, h, hd] = four(inputs[0])?;
    let [kb, tk, kv, kd] = four(inputs[1])?;
    same(inputs[2], inputs[1], "values")?;
    if kb != b || kd != hd || kv == 0 || h % kv != 0 {
        return Err(format!("queries {:?} and keys {:?} do not go together", inputs[0], inputs[1]));
    }
    match pattern {
        AttentionPattern::Full => {}
        AttentionPattern::Causal if tq == tk => {}
        AttentionPattern::Blockwise { blocks, .. } if blocks > 0 && tq == tk && tq % blocks == 0 => {}
        _ => return Err(format!("{pattern:?} does not fit {tq} queries and {tk} keys")),
    }
    Ok(inputs[0].to_vec())
}

fn concat(axis: usize, inputs: &[&[usize]]) -> Result<Vec<usize>, String> {
    let mut shape = inputs[0].to_vec();
    if axis >= shape.len() {
        return Err(format!("axis {axis} is outside {shape:?}"));
    }
    for other in &inputs[1..] {
        let fits = other.len() == shape.len() && (0..shape.len()).all(|i| i == axis || other[i] == shape[i]);
        if !fits {
            return Err(format!("{:?} and {other:?} do not join along axis {axis}", inputs[0]));
        }
        shape[axis] += other[axis];
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_is_numpys() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]).unwrap(), [2, 4, 3]);
        assert!(broadcast(&[2, 3], &[2]).is_err());
    }

    #[test]
    fn groups_must_divide_the_channels() {
        let (weight, bias) = (crate::WeightId(0), crate::WeightId(0));
        let spec = WeightSpec {
            name: "w".to_owned(),
            shape: vec![6],
            init: crate::Init::Ones,
            role: crate::WeightRole::Small,
        };
        let shape = |groups| {
            output_shape(
                &Op::GroupNorm { groups, eps: 1e-5, weight, bias },
                &[&[1, 6, 2, 2]],
                std::slice::from_ref(&spec),
            )
        };
        assert_eq!(shape(3).unwrap(), [1, 6, 2, 2]);
        assert!(shape(4).unwrap_err().contains("4 groups do not divide the 6 channels"));
    }

    #[test]
    fn an_image_is_halved_only_if_its_sides_are_even() {
        assert_eq!(output_shape(&Op::AveragePool2x, &[&[1, 3, 4, 6]], &[]).unwrap(), [1, 3, 2, 3]);
        assert!(output_shape(&Op::AveragePool2x, &[&[1, 3, 4, 5]], &[]).unwrap_err().contains("even"));
    }

    #[test]
    fn a_rank_above_five_is_refused() {
        let error = output_shape(&Op::Reshape { shape: vec![1; 6] }, &[&[1]], &[]).unwrap_err();
        assert!(error.contains("rank 6"), "{error}");
    }

    #[test]
    fn attention_wants_heads_that_divide() {
        let pattern = AttentionPattern::Full;
        let op = Op::Attention { pattern, scale: 1.0 };
        assert!(output_shape(&op, &[&[1, 4, 3, 8], &[1, 4, 2, 8], &[1, 4, 2, 8]], &[]).is_err());
        assert_eq!(output_shape(&op, &[&[1, 4, 4, 8], &[1, 6, 2, 8], &[1, 6, 2, 8]], &[]).unwrap(), [1, 4, 4, 8]);
    }

    #[test]
    fn a_blockwise_pattern_must_divide_the_tokens() {
        let op = Op::Attention { pattern: AttentionPattern::Blockwise { blocks: 3, radius: 1 }, scale: 1.0 };
        let shape: &[usize] = &[1, 8, 1, 4];
        assert!(output_shape(&op, &[shape, shape, shape], &[]).unwrap_err().contains("does not fit"));
    }
}
