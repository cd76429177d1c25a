"""Writes what the program reads: the checkpoint in f16, and vectors that check the Rust graphs against this code.

    python export.py --work WORK --out models/nano

From WORK/denoiser.pt (its averaged parameters) and WORK/autoencoder.pt. With --random SEED the weights are random and
only the cross-check means anything. `nano.safetensors` holds the super-network (narrower nets are cut from it), the text
encoder and the decoder. `encoder.safetensors`, and `latents.safetensors` where pictures have latents of their own
(tune_decoder.py), are what training goes on from; the program does not read them.
`check.safetensors` holds inputs and the outputs that this code computes in f64 on the f16 weights.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

import autoencoder as ae
import common
import model


def to_f16(params: common.Params) -> common.Params:
    """Rounded to what f16 holds; fails rather than store an infinity."""
    found = {}
    for name, value in params.items():
        half = value.detach().cpu().contiguous().half()
        assert torch.isfinite(half).all(), f"{name} does not fit f16"
        found[name] = half
    return found


def vectors(params: common.Params, decoder: common.Params, data: common.Data) -> common.Params:
    """Inputs and outputs of the three graphs; the denoiser at each width."""
    wide = {name: value.double() for name, value in (params | decoder).items()}
    generator = torch.Generator().manual_seed(1)
    # Stored in f32, so that both sides read the same numbers; batch 1, as the graphs are built.
    latent = torch.randn(1, model.LATENT, 8, 8, generator=generator)
    sigma = torch.tensor([0.6], dtype=torch.float64)
    features = model.time_features(sigma).float()
    found = {"tokens": data.plain[:1].cpu().float(), "latent": latent, "time_features": features}
    with torch.no_grad():
        text = model.Net(wide).encode_text(found["tokens"].long())
        found["text"] = text.float()
        for width in model.WIDTHS:
            net = model.Net(model.cut(wide, width))
            found[f"prediction.{width}"] = net.denoise(latent.double(), features.double(), found["text"].double()).float()
        found["image"] = ae.decode(wide, latent.double()).float()
    return {name: value.contiguous() for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--denoiser", default="denoiser.pt")
    parser.add_argument("--random", type=int)
    args = parser.parse_args()
    data = common.Data(args.work / "data.npz", torch.device("cpu"))
    trained = {}
    if args.random is None:
        state = common.load(args.work / args.denoiser, torch.device("cpu"))
        params, trained = state["ema"], {"steps": str(state["step"]), "seconds": str(round(state["seconds"]))}
        autoencoder = common.load(args.work / "autoencoder.pt", torch.device("cpu"))
        decoder, latents = autoencoder["averaged"], autoencoder.get("latents")
        encoder = to_f16({name: value for name, value in decoder.items() if name.startswith("encoder.")})
    else:
        generator = torch.Generator().manual_seed(args.random)
        params = {
            # Nothing is left at 0 or 1, so that a mistake in any tensor shows.
            name: value + 0.1 * torch.randn(value.shape, generator=generator)
            for name, value in model.init(generator).items()
        }
        decoder = ae.init_decoder(generator)
    decoder = to_f16({name: value for name, value in decoder.items() if name.startswith("decoder.")})
    params = to_f16(params)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "nano.safetensors"
    save_file(params | decoder, path, {"format": "pt", **trained})
    if args.random is None:
        save_file(encoder, args.out / "encoder.safetensors")
        if latents is not None:
            save_file(to_f16({"latents": latents}), args.out / "latents.safetensors")
    save_file(vectors(params, decoder, data), args.out / "check.safetensors")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (args.out / "nano.safetensors.sha256").write_text(f"{digest}  nano.safetensors\n")
    count = sum(value.numel() for name, value in params.items() if not name.startswith(("text.", "w")))
    sizes = {width: sum(v.numel() for n, v in model.cut(params, width).items() if not n.startswith(("text.", "w"))) for width in model.WIDTHS}
    print(json.dumps({"bytes": path.stat().st_size, "sha256": digest, "denoiser parameters": sizes, "all": count}))


if __name__ == "__main__":
    main()
