"""What every training script shares: the data, checkpoints that resume exactly, a log, pictures in a grid."""

import functools
import json
import math
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

Params = dict[str, torch.Tensor]


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@functools.cache
def fast_bf16(where: torch.device) -> bool:
    """Whether bfloat16 pays: on a GPU, and on processors that multiply one layer's matrices in less than half of f32's time.
    Their instructions do not tell: with AVX-512's alone nano's whole step takes 0.6 times as long as in f32 on a Zen 5,
    and 1.3 to 1.5 times as long on a Xeon without tiles."""
    if where.type == "cuda":
        return True

    def seconds(kind: torch.dtype) -> float:
        tokens, weight = torch.ones(1024, 256, dtype=kind), torch.ones(1024, 256, dtype=kind)
        best = math.inf
        for _ in range(10):
            begun = time.perf_counter()
            F.linear(tokens, weight)
            best = min(best, time.perf_counter() - begun)
        return best

    return seconds(torch.bfloat16) < 0.5 * seconds(torch.float32)


class Data:
    """data.npz, on a device; with `names`, the first that many rows of each style."""

    def __init__(self, path: Path, where: torch.device, names: int | None = None):
        file = np.load(path)
        styles = file["styles"]
        kept = np.concatenate([np.flatnonzero(styles == style)[:names] for style in dict.fromkeys(styles)])
        self.names = [str(name) for name in file["names"][kept]]
        self.styles = [str(style) for style in styles[kept]]
        self.prompts = int(file["prompts"])
        self.compositions = [str(text) for text in file["compositions"]]
        self.images = torch.from_numpy(file["images"][kept]).to(where)
        self.tokens = torch.from_numpy(file["tokens"][kept]).to(where)
        self.plain = torch.from_numpy(file["plain"][kept]).to(where)
        self.composition_tokens = torch.from_numpy(file["composition_tokens"]).to(where)

    def __len__(self) -> int:
        return len(self.names)

    def pixels(self, rows: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in 0..1."""
        return self.images[rows].permute(0, 3, 1, 2).float() / 255


def epoch(pictures: int, again: int, times: int, seed: int) -> torch.Tensor:
    """All rows in an order of its own, the first `again` of them `times` times more."""
    order = torch.randperm(pictures + again * times, generator=torch.Generator().manual_seed(seed))
    return torch.where(order < pictures, order, (order - pictures) % max(1, again))


def save(path: Path, state: dict) -> None:
    """Writes a checkpoint whole or not at all."""
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load(path: Path, where: torch.device) -> dict:
    return torch.load(path, map_location=where, weights_only=True)


def rng_state(generator: torch.Generator) -> torch.Tensor:
    return generator.get_state().cpu()


def log(path: Path, **entry) -> None:
    """Appends a line of JSON and shows it."""
    line = json.dumps({key: round(value, 6) if isinstance(value, float) else value for key, value in entry.items()})
    with path.open("a") as file:
        file.write(line + "\n")
    print(time.strftime("%H:%M:%S"), line, flush=True)


def grid(images: torch.Tensor, columns: int) -> np.ndarray:
    """[N, 3, H, W] in 0..1 to one picture, [rows*H, columns*W, 3] in 0..255, filled row by row."""
    count, _, height, width = images.shape
    rows = -(-count // columns)
    sheet = torch.ones(rows * columns, 3, height, width)
    sheet[:count] = images.detach().float().cpu().clamp(0, 1)
    sheet = sheet.view(rows, columns, 3, height, width).permute(0, 3, 1, 4, 2)
    return (sheet.reshape(rows * height, columns * width, 3) * 255).round().byte().numpy()


def write_png(path: Path, picture: np.ndarray) -> None:
    """8-bit RGB as PNG, without an imaging library: the machine that trains may have none."""
    height, width, _ = picture.shape
    raw = b"".join(b"\0" + picture[row].tobytes() for row in range(height))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Mean over pictures of the peak signal-to-noise ratio in dB; values in 0..1 are clamped first."""
    error = (a.clamp(0, 1) - b.clamp(0, 1)).square().flatten(1).mean(1).clamp_min(1e-10)
    return float((-10 * error.log10()).mean())


class Ema:
    """Exponential moving average of parameters; young averages follow faster."""

    def __init__(self, params: Params, decay: float):
        self.decay = decay
        self.params = {name: value.detach().clone() for name, value in params.items()}

    @torch.no_grad()
    def update(self, params: Params, step: int) -> None:
        rate = 1 - min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.params.values()), [params[name] for name in self.params], rate)
