#!/usr/bin/env python3
"""Times an ONNX file under Python's onnxruntime: prints the median seconds of a pass.

onnxruntime_session.py MODEL.onnx THREADS PASSES

Inputs are standard normal. Needs the packages onnxruntime and numpy. `cargo bench -p ditbench-ort --bench python` runs
it in turns with ditbench's own session.
"""

import statistics
import sys
import time

import numpy as np
import onnxruntime as ort


def main():
    path, threads, passes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(1)
    feed = {port.name: generator.standard_normal(port.shape, dtype=np.float32) for port in session.get_inputs()}
    session.run(None, feed)
    session.run(None, feed)
    times = []
    for _ in range(passes):
        begun = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - begun)
    print(statistics.median(times))


if __name__ == "__main__":
    main()
