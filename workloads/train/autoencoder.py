"""The autoencoder: an encoder that only training needs, and the pipeline's tiny decoder.

Images [B, 3, H, W] in 0..1; latents [B, 16, H/8, W/8], each channel with mean 0 and standard deviation 1 over the data.
Parameters are a dict by name; the decoder's names and shapes are those of the Rust graph.
"""

import math
from pathlib import Path

import torch
from torch.nn import functional as F

from common import Data, Params, load

CHANNELS = 32
BLOCKS = (3, 3, 3, 1)
LATENT = 16


def _conv(params: Params, name: str, inputs: int, outputs: int, kernel: int, gain: float, generator) -> None:
    std = gain * math.sqrt(2 / (inputs * kernel * kernel))
    params[f"{name}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator) * std
    params[f"{name}.bias"] = torch.zeros(outputs)


def channels_last(value: torch.Tensor) -> torch.Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


def init_decoder(generator: torch.Generator) -> Params:
    params: Params = {}
    _conv(params, "decoder.in", LATENT, CHANNELS, 3, 1.0, generator)
    for level, blocks in enumerate(BLOCKS):
        if level > 0:
            _conv(params, f"decoder.{level}.conv", CHANNELS, CHANNELS, 3, 1.0, generator)
        for block in range(blocks):
            for i, gain in enumerate((1.0, 1.0, 0.2)):
                _conv(params, f"decoder.{level}.{block}.conv{i}", CHANNELS, CHANNELS, 3, gain, generator)
    _conv(params, "decoder.out", CHANNELS, 3, 3, 0.3, generator)
    params["decoder.out.bias"] += 0.7
    return params


def decode(params: Params, latent: torch.Tensor) -> torch.Tensor:
    """Latent to image, not clamped."""

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, params[f"decoder.{name}.weight"], params[f"decoder.{name}.bias"], padding=1)

    x = 3 * torch.tanh(latent / 3)
    x = F.relu(conv("in", x))
    for level, blocks in enumerate(BLOCKS):
        if level > 0:
            x = conv(f"{level}.conv", F.interpolate(x, scale_factor=2, mode="nearest"))
        for block in range(blocks):
            y = F.relu(conv(f"{level}.{block}.conv0", x))
            y = F.relu(conv(f"{level}.{block}.conv1", y))
            x = F.relu(x + conv(f"{level}.{block}.conv2", y))
    return conv("out", x)


# The encoder looks at 8 x 8 patches (a convolution of stride 8, started at the data's principal components) and adds
# what a small network at strides 4 and 8 finds.
WIDTHS = (48, 64)


def init_encoder(generator: torch.Generator, components: torch.Tensor, mean: torch.Tensor) -> Params:
    """`components` [16, 3*8*8] and `mean` [3*8*8]: the principal components of the data's patches, whitened."""
    params: Params = {}
    params["encoder.patch.weight"] = components.reshape(LATENT, 3, 8, 8).clone()
    params["encoder.patch.bias"] = -(components @ mean)
    _conv(params, "encoder.in", 3, WIDTHS[0], 4, 1.0, generator)
    _conv(params, "encoder.0", WIDTHS[0], WIDTHS[0], 3, 1.0, generator)
    _conv(params, "encoder.down", WIDTHS[0], WIDTHS[1], 2, 1.0, generator)
    for i in range(2):
        _conv(params, f"encoder.1.{i}.conv0", WIDTHS[1], WIDTHS[1], 3, 1.0, generator)
        _conv(params, f"encoder.1.{i}.conv1", WIDTHS[1], WIDTHS[1], 3, 0.2, generator)
    _conv(params, "encoder.out", WIDTHS[1], LATENT, 3, 0.3, generator)
    return params


def encode_raw(params: Params, image: torch.Tensor) -> torch.Tensor:
    """Image to latent, before the channels are normalised."""

    def conv(name: str, x: torch.Tensor, stride: int = 1, padding: int = 1) -> torch.Tensor:
        return F.conv2d(x, params[f"encoder.{name}.weight"], params[f"encoder.{name}.bias"], stride, padding)

    linear = conv("patch", image, 8, 0)
    x = F.relu(conv("in", image - 0.5, 4, 0))
    x = F.relu(x + conv("0", x))
    x = F.relu(conv("down", x, 2, 0))
    for i in range(2):
        x = F.relu(x + conv(f"1.{i}.conv1", F.relu(conv(f"1.{i}.conv0", x))))
    return linear + conv("out", x)


def batch_norm(z: torch.Tensor) -> torch.Tensor:
    """While training: over the batch."""
    mean = z.mean((0, 2, 3), keepdim=True)
    std = z.std((0, 2, 3), keepdim=True, correction=0)
    return (z - mean) / (std + 1e-4)


def encode(params: Params, image: torch.Tensor) -> torch.Tensor:
    """Image to latent, with the normalisation that `fix_normalisation` has measured over the data."""
    return (encode_raw(params, image) - params["encoder.mean"]) / params["encoder.std"]


def patch_components(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Principal components of all 8 x 8 patches of [N, 3, H, W]: whitened rows [16, 192], and the mean [192]."""
    patches = F.unfold(images, 8, stride=8).transpose(1, 2).reshape(-1, 192).double()
    mean = patches.mean(0)
    values, vectors = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    values, vectors = values.flip(0)[:LATENT], vectors.flip(1)[:, :LATENT]
    return (vectors / values.sqrt()).T.float(), mean.float()


@torch.no_grad()
def known(work: Path, data: Data) -> tuple[Params, torch.Tensor]:
    """WORK/autoencoder.pt: its averaged parameters, and the latents [N, 16, 8, 8] of the data's pictures: those that
    `tune_decoder.py` has found for the first of them, else the encoder's."""
    state = load(work / "autoencoder.pt", data.images.device)
    averaged, found = state["averaged"], state.get("latents")
    if found is None or len(found) < len(data):
        rest = torch.arange(0 if found is None else len(found), len(data), device=data.images.device)
        encoded = torch.cat([encode(averaged, data.pixels(rows)) for rows in rest.split(256)])
        found = encoded if found is None else torch.cat([found, encoded])
    return averaged, found[: len(data)].contiguous()
