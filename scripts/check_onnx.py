#!/usr/bin/env python3
"""Checks exported ONNX files with other people's tools: the onnx checker, and ONNX Runtime against the reference.

    cargo run --release -p ditbench-ort --example export_cases -- DIR SCHEME DIALECT
    python3 scripts/check_onnx.py DIR [tolerance]

SCHEME: f32, f16, q4, q8, mixed, palette4. DIALECT: standard, ort, ort8, multihead.
The tolerance is on the relative L2 distance, 1e-5 by default (3e-2 for ort8). Needs: pip install onnx onnxruntime numpy.
Exit code 1 if a file is refused, a node has no name, a tensor has more than 5 axes, or a result is off.
"""
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort

TYPES = {onnx.TensorProto.FLOAT: np.float32, onnx.TensorProto.INT64: np.int64}


def tensor(path, info, dtype=None):
    dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
    return np.fromfile(path, dtype or TYPES[info.type.tensor_type.elem_type]).reshape(dims)


def check(folder, tolerance):
    path = folder / "model.onnx"
    onnx.checker.check_model(str(path))  # reads the external weights too
    model = onnx.load(str(path), load_external_data=False)
    names = [node.name for node in model.graph.node]
    if len(set(names)) != len(names) or not all(names):
        return "nodes without names of their own"
    for initializer in model.graph.initializer:
        entries = {e.key: e.value for e in initializer.external_data}
        if int(entries.get("offset", 0)) % 4096:
            return f"{initializer.name} is not at a page boundary"
    inferred = onnx.shape_inference.infer_shapes(model)
    if any(len(v.type.tensor_type.shape.dim) > 5 for v in inferred.graph.value_info):
        return "a tensor of more than 5 axes"
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds = {v.name: tensor(folder / f"input{i}.bin", v) for i, v in enumerate(model.graph.input)}
    for i, (found, info) in enumerate(zip(session.run(None, feeds), model.graph.output)):
        wanted = tensor(folder / f"output{i}.bin", info, np.float64)
        distance = np.linalg.norm(found - wanted) / max(np.linalg.norm(wanted), 1e-30)
        if found.shape != wanted.shape or not distance <= tolerance:
            return f"{info.name} {found.shape}: relative L2 distance {distance:.1e}, allowed {tolerance:.0e}"
    return None


def main():
    folders = sorted(p.parent for p in pathlib.Path(sys.argv[1]).glob("*/model.onnx"))
    tolerance = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-5
    failures = 0
    for folder in folders:
        try:
            problem = check(folder, tolerance)
        except Exception as error:  # whatever the tools throw is the finding
            problem = str(error).splitlines()[0]
        if problem:
            failures += 1
            print(f"{folder.name}: {problem}")
    print(f"{len(folders) - failures} of {len(folders)} files are right")
    sys.exit(1 if failures or not folders else 0)


if __name__ == "__main__":
    main()
