"""Prints the numbers that reports/src/quality/{retrieval,kernel_distance}.rs are tested against. Needs NumPy.

Written from the definitions in workloads/train/judge.py, without its random draws."""

import numpy as np


def made_up(rows, width, shift, seed):
    row, column = np.mgrid[0:rows, 0:width].astype(np.uint64)
    place = (row * 7919 + column * 104729 + seed * 1299709) * 2654435761 % 4294967296
    return ((place >> np.uint64(16)).astype(np.float64) / 65536 + shift).astype(np.float32).astype(np.float64)


def ranks(made, data):
    centre = data.mean(0)
    unit = lambda x: (x - centre) / np.linalg.norm(x - centre, axis=1, keepdims=True)  # noqa: E731
    near = unit(made) @ unit(data).T
    return (near > near[np.arange(len(made)), np.arange(len(made))][:, None]).sum(1)


def kernel_distance(made, data):
    kernel = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3  # noqa: E731
    n = len(made)
    # Each name's own pair is left out, between the sets too.
    others = lambda k: (k.sum() - np.trace(k)) / (n * (n - 1))  # noqa: E731
    return 1000 * (others(kernel(made, made)) + others(kernel(data, data)) - 2 * others(kernel(made, data)))


print("ranks", ranks(made_up(12, 8, 0.5, 2), made_up(30, 8, 0, 1)).tolist())
print("far", repr(float(kernel_distance(made_up(30, 8, 0.5, 2), made_up(30, 8, 0, 1)))))
print("near", repr(float(kernel_distance(made_up(30, 8, 0, 2), made_up(30, 8, 0, 1)))))
