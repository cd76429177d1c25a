"""Makes golden.json: what ONNX's own reference evaluator, in f64, says of small inputs.

Each ONNX model is also run in f32 by ONNX Runtime and must agree to 1e-5, so that two independent implementations
stand behind every table. Inputs are sixteenths, exact in f32. Run with onnx >= 1.18, onnxruntime and numpy:

    python generate.py > golden.json
"""

import json
import math

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(20261123)
cases = []


def numbers(*shape):
    return rng.integers(-32, 33, shape).astype(np.float64) / 16


def run(op_type, inputs, opset=23, **attributes):
    """The first output of one ONNX operator on f64 (or i64, bool) arrays; None stands for an input left out."""

    def evaluate(float_type):
        feeds = {f"i{n}": x.astype(float_type) if x.dtype == np.float64 else x for n, x in enumerate(inputs) if x is not None}
        names = ["" if x is None else f"i{n}" for n, x in enumerate(inputs)]
        kind = {"f": TensorProto.FLOAT if float_type == np.float32 else TensorProto.DOUBLE, "i": TensorProto.INT64, "b": TensorProto.BOOL}
        ports = [helper.make_tensor_value_info(n, kind[x.dtype.kind], x.shape) for n, x in feeds.items()]
        out = helper.make_tensor_value_info("y", kind["f"], None)
        node = helper.make_node(op_type, names, ["y"], **attributes)
        graph = helper.make_graph([node], "g", ports, [out])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        if float_type == np.float32:
            session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
            return session.run(None, feeds)[0]
        return ReferenceEvaluator(model).run(None, feeds)[0]

    exact, rounded = evaluate(np.float64), evaluate(np.float32)
    error = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
    assert error < 1e-5, (op_type, attributes, error)
    return exact


def add(name, inputs, output, **parameters):
    pack = lambda x: {"shape": list(x.shape), "data": [float(v) for v in x.ravel()]}
    cases.append({"name": name, "parameters": parameters, "inputs": [pack(x) for x in inputs], "output": pack(output)})


x, w, b = numbers(2, 3, 4), numbers(5, 4), numbers(5)
add("linear", [x, w, b], run("Gemm", [x.reshape(6, 4), w, b], transB=1).reshape(2, 3, 5))

for shape, kernel, stride, padding, groups in [
    ((2, 4, 5, 6), (6, 2, 3, 3), 2, 1, 2),
    ((1, 3, 4, 6), (3, 1, 2, 2), 2, 0, 3),
    ((1, 2, 4, 3), (3, 2, 2, 3), 1, 1, 1),
]:
    x, w, b = numbers(*shape), numbers(*kernel), numbers(kernel[0])
    y = run("Conv", [x, w, b], strides=[stride] * 2, pads=[padding] * 4, group=groups)
    add("conv2d", [x, w, b], y, stride=stride, padding=padding, groups=groups)

ids, table = rng.integers(0, 6, (2, 4)), numbers(6, 3)
add("embedding", [ids.astype(np.float64), table], run("Gather", [table, ids], axis=0))

for scale, eps in [(1, 2.0**-17), (2.0**-10, 2.0**-20)]:
    x, w, b = scale * numbers(2, 3, 7), numbers(7), numbers(7)
    add("layer_norm", [x, w, b], run("LayerNormalization", [x, w, b], axis=-1, epsilon=eps), eps=eps)

x = np.concatenate([numbers(20), [-100.0, -20.0, -5.0, 0.0, 5.0, 20.0, 100.0]])
# ONNX's own Gelu rounds its constants to f32: the formula in f64 is the table, ONNX's agrees to f32's precision.
for name, approximate, y in [
    ("gelu_tanh", "tanh", 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    ("gelu_erf", "none", np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])),
]:
    assert np.abs(run("Gelu", [x], approximate=approximate) - y).max() < 1e-6
    add(name, [x], y)
add("sigmoid", [x], run("Sigmoid", [x]))
add("silu", [x], x * run("Sigmoid", [x]))
add("quick_gelu", [x], x * run("Sigmoid", [1.702 * x]))
add("tanh", [x], run("Tanh", [x]))
add("relu", [x], run("Relu", [x]))
add("relu6", [4 * x], run("Clip", [4 * x, np.array(0.0), np.array(6.0)]))

for name, tq, tk, heads, kv_heads, blocks, radius in [
    ("full", 5, 7, 6, 2, 0, 0),
    ("full", 4, 4, 3, 1, 0, 0),
    ("causal", 6, 6, 4, 2, 0, 0),
    ("blockwise", 12, 12, 4, 2, 4, 1),
    ("blockwise", 10, 10, 2, 2, 5, 2),
]:
    q, k, v = numbers(2, tq, heads, 8), numbers(2, tk, kv_heads, 8), numbers(2, tk, kv_heads, 8)
    query, key = np.meshgrid(np.arange(tq), np.arange(tk), indexing="ij")
    if name == "causal":
        mask = key <= query
    elif name == "blockwise":
        mask = np.abs(query * blocks // tq - key * blocks // tk) <= radius
    else:
        mask = np.ones((tq, tk), bool)
    heads_first = [np.ascontiguousarray(t.transpose(0, 2, 1, 3)) for t in (q, k, v)]
    onnx = run("Attention", [*heads_first, mask], scale=0.375).transpose(0, 2, 1, 3)
    # ONNX's own rounds the scale's root to f32: again the formula in f64 is the table.
    kv = np.arange(heads) // (heads // kv_heads)
    scores = np.exp(0.375 * np.einsum("bqhd,bkhd->bhqk", q, k[:, :, kv])) * mask
    y = np.einsum("bhqk,bkhd->bqhd", scores / scores.sum(-1, keepdims=True), v[:, :, kv])
    assert np.abs(onnx - y).max() < 1e-6
    add(name, [q, k, v], y, scale=0.375, blocks=blocks, radius=radius)

for rows, cols, width in [(2, 3, 8), (4, 1, 16)]:
    x = numbers(2, rows * cols, 3, width)
    frequencies = 100.0 ** -(np.arange(width // 4) / (width // 4))
    row, col = np.divmod(np.arange(rows * cols), cols)
    angles = np.concatenate([np.outer(row, frequencies), np.outer(col, frequencies)], axis=1)
    cache = [f(angles).astype(np.float32).astype(np.float64) for f in (np.cos, np.sin)]
    positions = np.tile(np.arange(rows * cols), (2, 1))
    y = run("RotaryEmbedding", [x.transpose(0, 2, 1, 3).copy(), *cache, positions], interleaved=0)
    add("rope", [x], y.transpose(0, 2, 1, 3), rows=rows, cols=cols, theta=100.0)

x = numbers(2, 2, 2, 3)
add("upsample", [x], np.repeat(np.repeat(x, 2, axis=2), 2, axis=3))

a, c = numbers(2, 1, 3), numbers(4, 1)
add("add", [a, c], run("Add", [a, c]))
add("mul", [a, c], run("Mul", [a, c]))
x, y, gate, w = numbers(2, 3, 4), numbers(2, 3, 4), numbers(2, 1, 4), numbers(2, 3, 1)
shift, scale = numbers(2, 1, 4), numbers(2, 1, 4)
add("modulate", [x, shift, scale], x * (1 + scale) + shift)
add("gated_add", [x, y, gate], x + gate * y)
add("lerp", [x, y, w], (1 - w) * x + w * y)
x = numbers(2, 3, 2, 4, 3)
add("transpose", [x], run("Transpose", [x], perm=[0, 2, 4, 1, 3]), perm=[0, 2, 4, 1, 3])
x, y = numbers(2, 3, 4), numbers(2, 2, 4)
add("concat", [x, y], run("Concat", [x, y], axis=1), axis=1)
x = numbers(2, 5, 3)
bounds = [np.array([n], np.int64) for n in (1, 4, 1)]
add("slice", [x], run("Slice", [x, *bounds]), axis=1, start=1, end=4)

print("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
