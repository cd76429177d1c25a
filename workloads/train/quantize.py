"""The program's few-bit formats, as values: what a backend computes with after `--precision q4`, `q8` or `mixed`.

q4 and q8 are bit for bit those of `workloads/graph/src/weights/quantize.rs` (palette4 to within rounding); `python quantize.py FILE OURS` compares a file that the program
prepared (f16 or f32 checkpoint FILE, prepared OURS) with what this module makes of the checkpoint.
"""

import json
import math
import re
import struct
import sys
from pathlib import Path

import torch

GROUP = 32
# Linear layers that keep 16 bits or more: the patch-in, final, time and text projections.
SENSITIVE = ("patch.embed", "final.out", "time.", "text_in.")


def is_quantizable(name: str, value: torch.Tensor) -> bool:
    """A matrix of the bulk whose rows can be cut into groups."""
    return (
        name.endswith(".weight")
        and value.dim() == 2
        and value.shape[1] % GROUP == 0
        and not name.startswith(SENSITIVE)
    )


def q4(weight: torch.Tensor) -> torch.Tensor:
    groups = weight.float().reshape(-1, GROUP)
    # Of equally large elements the first counts.
    largest = groups.gather(1, groups.abs().argmax(1, keepdim=True))
    scale = (largest / -8).half().float()
    inverse = torch.where(scale == 0, 0, 1 / scale)
    return ((groups * inverse).round().clamp(-8, 7) * scale).reshape(weight.shape)


def q8(weight: torch.Tensor) -> torch.Tensor:
    groups = weight.float().reshape(-1, GROUP)
    scale = (groups.abs().amax(1, keepdim=True) / 127).half().float()
    inverse = torch.where(scale == 0, 0, 1 / scale)
    return ((groups * inverse).round().clamp(-127, 127) * scale).reshape(weight.shape)


def palette_applies(name: str, value: torch.Tensor) -> bool:
    """Matrices of the bulk and kernels, the decoder's too."""
    return name.endswith(".weight") and value.dim() in (2, 4) and not name.startswith(SENSITIVE)


def palette4(weight: torch.Tensor) -> torch.Tensor:
    """16 values for the whole tensor: Lloyd's algorithm from evenly spaced quantiles, on 4096 bins for large tensors."""
    values = weight.double().flatten()
    bins, counts = values.sort().values, torch.ones_like(values)
    if len(values) > 4096:
        low, high = values.min(), values.max()
        place = ((values - low) / ((high - low) / 4096)).long().clamp(max=4095)
        counts = torch.zeros(4096, dtype=values.dtype, device=values.device).index_add_(0, place, torch.ones_like(values))
        sums = torch.zeros_like(counts).index_add_(0, place, values)
        bins, counts = (sums / counts)[counts > 0], counts[counts > 0]
    at = (torch.arange(16, dtype=values.dtype, device=values.device) + 0.5) / 16 * counts.sum()
    centroids = bins[torch.searchsorted(counts.cumsum(0), at).clamp(max=len(bins) - 1)]

    def nearest(x: torch.Tensor) -> torch.Tensor:
        return torch.searchsorted((centroids[1:] + centroids[:-1]) / 2, x)

    for _ in range(50):
        where = nearest(bins)
        weights = torch.zeros_like(centroids).index_add_(0, where, counts)
        sums = torch.zeros_like(centroids).index_add_(0, where, bins * counts)
        moved = torch.where(weights > 0, sums / weights.clamp_min(1), centroids)
        if torch.equal(moved, centroids):
            break
        centroids = moved.sort().values
    return centroids[nearest(values)].to(weight).reshape(weight.shape)


def choose(params: dict[str, torch.Tensor], errors: dict[str, float], budget: float = 4.3) -> set[str]:
    """The weights that get 8 bits: greedily by error per element until the average reaches the budget."""
    names = sorted(errors, key=lambda name: (-errors[name] / params[name].numel(), name))
    left = (budget - 4) / 4 * sum(params[name].numel() for name in names)
    chosen = set()
    for name in names:
        if params[name].numel() <= left:
            left -= params[name].numel()
            chosen.add(name)
    return chosen


def unpack(path: Path) -> dict[str, torch.Tensor]:
    """The tensors in few bits of a file that the program wrote, as values."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    packed = json.loads(header["__metadata__"]["ditbench"])["packed"]
    found = {}
    for name, about in packed.items():
        start, end = (8 + length + offset for offset in header[name]["data_offsets"])
        data = torch.frombuffer(bytearray(raw[start:end]), dtype=torch.uint8)
        if about["format"] == "palette4":
            # 16 centroids in f32, then two indices a byte.
            indices = torch.stack([data[64:] & 15, data[64:] >> 4], 1).flatten().long()
            found[name] = data[:64].contiguous().view(torch.float32)[indices][: math.prod(about["shape"])].reshape(about["shape"])
            continue
        groups = data.reshape(-1, 18 if about["format"] == "q4" else 34)
        scale = groups[:, :2].contiguous().view(torch.float16).float()
        if about["format"] == "q4":
            low, high = groups[:, 2:] & 15, groups[:, 2:] >> 4
            values = (torch.cat([low, high], 1).float() - 8) * scale
        else:
            values = groups[:, 2:].contiguous().view(torch.int8).float() * scale
        found[name] = values.reshape(about["shape"])
    return found


def main() -> None:
    from safetensors.torch import load_file

    params, ours = load_file(sys.argv[1]), unpack(Path(sys.argv[2]))

    def agrees(weight: torch.Tensor, value: torch.Tensor) -> bool:
        if len(value.unique()) > 16:
            return any(torch.equal(value, quantize(weight)) for quantize in (q4, q8))
        # A value halfway between two centroids goes either way by the last bit of a sum.
        return bool((palette4(weight.float()) - value).norm() <= 1e-3 * value.norm())

    wrong = [name for name, value in ours.items() if not agrees(params[name], value)]
    # What only the narrower nets have is not in a file of the widest.
    widest = {name: value for name, value in params.items() if not re.match(r"w\d+\.", name)}
    missed = [name for name, value in widest.items() if is_quantizable(name, value) and name not in ours]
    print(f"{len(ours)} few-bit tensors, {len(wrong)} differ, {len(missed)} missing: {(wrong + missed)[:5]}")
    sys.exit(bool(wrong or missed))


if __name__ == "__main__":
    main()
