"""Goes on from a shipped checkpoint: tunes the decoder and one free latent for each picture.

    python tune_decoder.py --work WORK --from ../../models/nano --names 200 --steps 6000

Latents start as those that FROM comes with (latents.safetensors); without them, its denoiser says where its pictures lie
in the latent space (its own samples, averaged over seeds). From there each latent and the decoder are learnt together, an
auto-decoder (DeepSDF's word) in place of an autoencoder. Latents move little, so that the denoiser can be trained on from
where it stands; with --latent-rate 0 they stay. An encoder is fitted to the latents at the end: it is what training on
more pictures starts from. Reads WORK/data.npz; keeps WORK/decoder-tuning.pt (all of its state: the same command goes on
exactly) and, when done, WORK/autoencoder.pt, which train.py reads: its `latents` are those of the first NAMES pictures.
"""

import argparse
import math
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

import autoencoder as ae
import common
import model
from train_autoencoder import loss_of


@torch.no_grad()
def known_latents(params: common.Params, captions: torch.Tensor, seeds: int = 3) -> torch.Tensor:
    """What a trained denoiser makes of each caption: the mean over seeds of 4-step samples."""
    found = torch.zeros(len(captions), model.LATENT, 8, 8, device=captions.device)
    for seed in range(seeds):
        noise = torch.randn(found.shape, generator=torch.Generator().manual_seed(seed)).to(found)
        found += model.sample(params, captions, noise, 4) / seeds
    return found


@torch.no_grad()
def start_latents(folder: Path, shipped: common.Params, data: common.Data, known: int | None) -> torch.Tensor:
    """Those that a checkpoint comes with, else what its denoiser makes of the captions that it knows; for the rest the
    encoder's."""
    if (folder / "latents.safetensors").exists():
        found = load_file(folder / "latents.safetensors")["latents"][: len(data)].float().to(data.images.device)
    else:
        found = known_latents(shipped, data.plain[:known])
    if len(found) < len(data):
        encoder = {name: value.float().to(found.device) for name, value in load_file(folder / "encoder.safetensors").items()}
        rest = torch.arange(len(found), len(data), device=found.device).split(256)
        found = torch.cat([found, *(ae.encode(encoder, data.pixels(rows)) for rows in rest)])
    return found


def fit_encoder(images: torch.Tensor, latents: torch.Tensor, steps: int, generator: torch.Generator) -> common.Params:
    """An encoder that finds the given latents in their pictures, by least squares."""
    components, mean = ae.patch_components(images)
    params = ae.init_encoder(generator, components.cpu(), mean.cpu())
    # Least squares of the latents on the patches: a better start than the principal components.
    patches = torch.nn.functional.unfold(images, 8, stride=8).transpose(1, 2).reshape(-1, 192).double()
    wide = torch.cat([patches, torch.ones_like(patches[:, :1])], 1)
    gram = wide.T @ wide + 1e-2 * len(wide) / 192 * torch.eye(193, dtype=wide.dtype, device=wide.device)
    found = torch.linalg.solve(gram, wide.T @ latents.flatten(2).transpose(1, 2).reshape(-1, ae.LATENT).double()).float()
    params["encoder.patch.weight"] = found[:192].T.reshape(ae.LATENT, 3, 8, 8).contiguous()
    params["encoder.patch.bias"] = found[192].contiguous()
    params["encoder.out.weight"] *= 0.1
    params = {name: value.to(images.device).requires_grad_() for name, value in params.items()}
    optimiser = torch.optim.Adam(params.values(), 2e-3, (0.9, 0.98))
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        rows = torch.randint(len(images), (32,), generator=generator).to(images.device)
        loss = (ae.encode_raw(params, images[rows]) - latents[rows]).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    params = {name: value.detach() for name, value in params.items()}
    one = torch.ones(1, ae.LATENT, 1, 1, device=images.device)
    return params | {"encoder.mean": 0 * one, "encoder.std": one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--from", dest="start", type=Path, required=True, help="folder with nano.safetensors")
    parser.add_argument("--names", type=int, help="tune the first so many; all, if not given")
    parser.add_argument("--known", type=int, help="the denoiser of FROM knows the first so many; all, if not given; the encoder finds the rest")
    parser.add_argument("--again", type=int, default=0, help="the first so many pictures come oftener than the rest")
    parser.add_argument("--times", type=int, default=1, help="so many times more an epoch")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate of the decoder, falls to 0 as a cosine")
    parser.add_argument("--latent-rate", type=float, default=6e-3, help="learning rate of the latents, likewise")
    parser.add_argument("--noise", type=float, default=0.1, help="largest standard deviation of the latents' noise")
    parser.add_argument("--square", type=float, default=0.0, help="weight of squared errors beside the absolute ones")
    parser.add_argument("--encoder-steps", type=int, default=1500)
    parser.add_argument("--save", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where, args.names)
    images = ae.channels_last(data.pixels(torch.arange(len(data), device=where)))
    path, logged = args.work / "decoder-tuning.pt", args.work / "decoder-tuning.log"
    generator = torch.Generator().manual_seed(args.seed)
    if path.exists():
        state = common.load(path, where)
        params, latents, step, seconds = state["params"], state["latents"], state["step"], state["seconds"]
        first, second, visits = state["first"], state["second"], state["visits"]
        generator.set_state(state["generator"].cpu())
    else:
        shipped = {name: value.float().to(where) for name, value in load_file(args.start / "nano.safetensors").items()}
        state, step, seconds = None, 0, 0.0
        params = {name: value for name, value in shipped.items() if name.startswith("decoder.")}
        latents = start_latents(args.start, shipped, data, args.known)
        # Adam for the latents, in which only those of a batch take part in a step.
        first, second, visits = torch.zeros_like(latents), torch.zeros_like(latents), torch.zeros(len(data), 1, 1, 1, device=where)
    params = {name: ae.channels_last(value).requires_grad_() for name, value in params.items()}
    optimiser = torch.optim.Adam(params.values(), args.rate, (0.9, 0.98))
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    begun = since = time.time()

    @torch.no_grad()
    def finish() -> None:
        back = torch.cat([ae.decode(params, part) for part in latents.split(50)])
        common.log(logged, step=step, seconds=seconds + time.time() - begun, psnr=common.psnr(back, images))
        common.write_png(args.work / "decoder-tuning.png", common.grid(torch.stack([images, back], 1)[:64].flatten(0, 1), 16))
        common.save(
            path,
            {
                "params": {name: value.detach() for name, value in params.items()},
                "latents": latents,
                "first": first,
                "second": second,
                "visits": visits,
                "optimiser": optimiser.state_dict(),
                "generator": common.rng_state(generator),
                "step": step,
                "seconds": seconds + time.time() - begun,
            },
        )

    losses = []
    per_epoch = max(1, (len(data) + args.again * args.times) // args.batch)
    while step < args.steps:
        fall = min(1, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / args.steps))
        for group in optimiser.param_groups:
            group["lr"] = args.rate * fall
        order = common.epoch(len(data), args.again, args.times, 1_000_003 * args.seed + step // per_epoch)
        rows = order[step % per_epoch * args.batch :][: args.batch].unique().to(where)
        z = latents[rows].requires_grad_()
        level = args.noise * torch.rand(len(rows), 1, 1, 1, generator=generator)
        noisy = z + (level * torch.randn(z.shape, generator=generator)).to(where)
        with torch.autocast(where.type, torch.bfloat16, enabled=common.fast_bf16(where)):
            made = ae.decode(params, ae.channels_last(noisy))
        loss = loss_of(made.float(), images[rows], args.square)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params.values(), 1.0)
        optimiser.step()
        with torch.no_grad():
            visits[rows] += 1
            first[rows] = 0.9 * first[rows] + 0.1 * z.grad
            second[rows] = 0.98 * second[rows] + 0.02 * z.grad.square()
            mean, square = first[rows] / (1 - 0.9 ** visits[rows]), second[rows] / (1 - 0.98 ** visits[rows])
            latents[rows] -= args.latent_rate * fall * mean / (square.sqrt() + 1e-9)
        step += 1
        losses.append(loss.detach())
        if step % 250 == 0:
            speed, since = 250 * args.batch / (time.time() - since), time.time()
            common.log(logged, step=step, loss=float(torch.stack(losses).mean()), images_per_second=speed)
            losses = []
        if step % args.save == 0 or step == args.steps:
            finish()
    decoder = {name: value.detach() for name, value in params.items()}
    averaged = decoder | fit_encoder(images, latents, args.encoder_steps, generator)
    with torch.no_grad():
        back = torch.cat([ae.decode(averaged, ae.encode(averaged, part)) for part in images.split(50)])
    common.log(logged, step=step, psnr_by_encoder=common.psnr(back, images))
    common.save(args.work / "autoencoder.pt", {"averaged": averaged, "latents": latents, "step": step})


if __name__ == "__main__":
    main()
