"""Tunes the decoder, and nothing else, on what the denoiser itself makes: 4-step samples of every width.

    python tune_on_samples.py --work WORK --names 200 --steps 1000

Reads WORK/autoencoder.pt and WORK/denoiser.pt; writes the decoder back into WORK/autoencoder.pt (latents and encoder stay).
Half of the samples are the full net's, a quarter each narrower net's, so that the decoder bears the mistakes that a net
makes always, whatever the noise. Stopped in between, nothing is written and it starts anew: it is short.
"""

import argparse
import math
import time
from pathlib import Path

import torch

import autoencoder as ae
import common
import model
from train_autoencoder import loss_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--names", type=int)
    parser.add_argument("--again", type=int, default=0, help="the first so many pictures come oftener than the rest")
    parser.add_argument("--times", type=int, default=1, help="so many times more")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=5e-4, help="learning rate, falls to 0 as a cosine")
    parser.add_argument("--square", type=float, default=10.0, help="weight of squared errors beside the absolute ones")
    parser.add_argument("--seeds", type=int, default=2, help="samples of each caption and width; other seeds judge")
    parser.add_argument("--seed", type=int, default=4)
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where, args.names)
    path, logged = args.work / "autoencoder.pt", args.work / "tune-on-samples.log"
    state = common.load(path, where)
    denoiser = common.load(args.work / "denoiser.pt", where)["ema"]
    generator = torch.Generator().manual_seed(args.seed)

    def samples(width: int, seed: int) -> torch.Tensor:
        noise = torch.randn(len(data), model.LATENT, 8, 8, generator=torch.Generator().manual_seed(seed)).to(where)
        return model.sample(model.cut(denoiser, width), data.plain, noise, 4)

    made = {width: torch.stack([samples(width, 1000 + seed) for seed in range(args.seeds)]) for width in model.WIDTHS}
    images = ae.channels_last(data.pixels(torch.arange(len(data), device=where)))
    names = [name for name in state["averaged"] if name.startswith("decoder.")]
    params = {name: ae.channels_last(state["averaged"][name]).requires_grad_() for name in names}
    optimiser = torch.optim.Adam(params.values(), args.rate, (0.9, 0.98))
    chances = torch.tensor([0.5, *[0.5 / (len(model.WIDTHS) - 1)] * (len(model.WIDTHS) - 1)])
    begun = time.time()

    def show(step: int) -> None:
        with torch.no_grad():
            figures = {
                f"psnr_{width}": common.psnr(torch.cat([ae.decode(params, part) for part in found[0].split(50)]), images)
                for width, found in made.items()
            }
        common.log(logged, step=step, seconds=time.time() - begun, **figures)

    show(0)
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = args.rate * min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        rows = common.epoch(len(data), args.again, args.times, args.steps * args.seed + step)[: args.batch]
        widths = torch.multinomial(chances, args.batch, True, generator=generator)
        seeds = torch.randint(args.seeds, (args.batch,), generator=generator)
        z = torch.stack([made[model.WIDTHS[w]][s, r] for w, s, r in zip(widths, seeds, rows)])
        with torch.autocast(where.type, torch.bfloat16, enabled=common.fast_bf16(where)):
            image = ae.decode(params, ae.channels_last(z))
        loss = loss_of(image.float(), images[rows.to(where)], args.square)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        optimiser.step()
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            show(step + 1)
    state["averaged"] |= {name: value.detach() for name, value in params.items()}
    state["tuned_on_samples"] = args.steps
    common.save(path, state)


if __name__ == "__main__":
    main()
