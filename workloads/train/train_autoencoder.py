"""Trains the autoencoder: L1 and the L1 of edges, latents with a little noise so that the decoder bears the denoiser's.

    python train_autoencoder.py --work WORK --steps 20000

Reads WORK/data.npz, keeps WORK/autoencoder.pt (all of its state, written every --save steps; running the command again
goes on from there exactly) and WORK/autoencoder.png. With --freeze-encoder only the decoder learns, on latents that stay
what they are: denoisers that were trained on them stay good.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

import autoencoder as ae
import common


def edges(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return image[..., 1:, :] - image[..., :-1, :], image[..., 1:] - image[..., :-1]


def loss_of(image: torch.Tensor, wanted: torch.Tensor, square: float = 0.0) -> torch.Tensor:
    """`square` weighs squared errors beside the absolute ones: without them small dark spots, such as eyes, are left out."""

    def error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        loss = (a - b).abs().mean()
        return loss + square * (a - b).square().mean() if square > 0 else loss

    return error(image, wanted) + 0.5 * sum(error(a, b) for a, b in zip(edges(image), edges(wanted)))


@torch.no_grad()
def fix_normalisation(params: common.Params, data: common.Data) -> None:
    z = torch.cat([ae.encode_raw(params, data.pixels(rows)) for rows in torch.arange(len(data)).split(128)])
    params["encoder.mean"] = z.mean((0, 2, 3)).view(1, -1, 1, 1)
    params["encoder.std"] = z.std((0, 2, 3)).view(1, -1, 1, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20_000, help="all steps, those of an earlier run included")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate, falls to 0 as a cosine")
    parser.add_argument("--noise", type=float, default=0.15, help="largest standard deviation of the latents' noise")
    parser.add_argument("--square", type=float, default=10.0, help="weight of squared errors beside the absolute ones")
    parser.add_argument("--freeze-encoder", action="store_true")
    parser.add_argument("--from", dest="start", type=Path, help="folder of a checkpoint to start from, if WORK has no state")
    parser.add_argument("--bf16", action="store_true", help="the decoder's convolutions in bfloat16, where it is fast")
    parser.add_argument("--save", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where)
    path, logged = args.work / "autoencoder.pt", args.work / "autoencoder.log"
    generator = torch.Generator().manual_seed(args.seed)
    if path.exists():
        state = common.load(path, where)
        params, step, seconds = state["params"], state["step"], state["seconds"]
        if args.freeze_encoder:
            # The encoder that denoisers are trained on is the averaged one.
            params |= {name: value for name, value in state["averaged"].items() if name.startswith("encoder.")}
        generator.set_state(state["generator"].cpu())
    elif args.start is not None:
        state, step, seconds = None, 0, 0.0
        shipped = load_file(args.start / "nano.safetensors") | load_file(args.start / "encoder.safetensors")
        params = {name: value.float().to(where) for name, value in shipped.items() if name.startswith(("encoder.", "decoder."))}
    else:
        state, step, seconds = None, 0, 0.0
        components, mean = ae.patch_components(data.pixels(torch.arange(len(data))))
        params = ae.init_encoder(generator, components.cpu(), mean.cpu()) | ae.init_decoder(generator)
        params = {name: value.to(where) for name, value in params.items()}
    # Convolutions on the CPU are 1.3 times as fast with the channels innermost.
    params = {name: ae.channels_last(value) for name, value in params.items()}
    fixed = {"encoder.mean", "encoder.std"}
    if args.freeze_encoder:
        fixed |= {name for name in params if name.startswith("encoder.")}
    learnt = {name: value.requires_grad_() for name, value in params.items() if name not in fixed}
    optimiser = torch.optim.Adam(learnt.values(), args.rate, (0.9, 0.98))
    ema = common.Ema(learnt, 0.995)
    if state is not None and state["learnt"] == list(learnt):
        optimiser.load_state_dict(state["optimiser"])
        ema.params = state["ema"]
    begun, since = time.time(), time.time()

    def finish() -> None:
        averaged = {name: value.detach() for name, value in params.items()} | ema.params
        if not args.freeze_encoder:
            fix_normalisation(averaged, data)
            params.update({name: averaged[name] for name in ("encoder.mean", "encoder.std")})
        with torch.no_grad():
            shown = torch.arange(0, len(data), max(1, len(data) // 128), device=where)[:128]
            images = data.pixels(shown)
            back = ae.decode(averaged, ae.encode(averaged, images))
        common.log(logged, step=step, seconds=seconds + time.time() - begun, psnr=common.psnr(back, images))
        common.write_png(args.work / "autoencoder.png", common.grid(torch.stack([images, back], 1)[:64].flatten(0, 1), 16))
        common.save(
            path,
            {
                "params": params,
                "ema": ema.params,
                "averaged": averaged,
                "learnt": list(learnt),
                "optimiser": optimiser.state_dict(),
                "generator": common.rng_state(generator),
                "step": step,
                "seconds": seconds + time.time() - begun,
            },
        )

    losses = []
    while step < args.steps:
        rate = args.rate * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        for group in optimiser.param_groups:
            group["lr"] = max(rate, 1e-5)
        rows = torch.randint(len(data), (args.batch,), generator=generator).to(where)
        images = data.pixels(rows)
        if args.freeze_encoder:
            with torch.no_grad():
                z = ae.encode(params, images)
        else:
            z = ae.batch_norm(ae.encode_raw(params, images))
        level = args.noise * torch.rand(args.batch, 1, 1, 1, generator=generator)
        z = z + (level * torch.randn(z.shape, generator=generator)).to(where)
        with torch.autocast(where.type, torch.bfloat16, enabled=args.bf16 and common.fast_bf16(where)):
            back = ae.decode(params, ae.channels_last(z))
        loss = loss_of(back.float(), images, args.square)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learnt.values(), 1.0)
        optimiser.step()
        step += 1
        ema.update(learnt, step)
        losses.append(loss.detach())
        if step % 50 == 0:
            speed = 50 * args.batch / (time.time() - since)
            since = time.time()
            common.log(logged, step=step, loss=float(torch.stack(losses).mean()), images_per_second=speed)
            losses = []
        if step % args.save == 0 or step == args.steps:
            finish()


if __name__ == "__main__":
    main()
