"""Trains the denoiser as an elastic super-network, and the text encoder with it, on the autoencoder's latents.

    python train.py --work WORK --steps 6000

Reads WORK/data.npz and WORK/autoencoder.pt; keeps WORK/denoiser.pt, all of its state, written every --save steps: running
the command again goes on from there exactly (on the same kind of device). Every --save steps it also writes
WORK/samples.png: the data, then 4 steps at full width.

Each step trains the full net; every --narrow-every steps one narrower net too (at 1: both), on the data and on its distance
to the full net's prediction (arXiv 2601.08303). The prediction is the clean latent, its squared error weighted by
1/max(sigma, 0.25). Several processes on one machine, each on its core, take a share of every batch:

    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 train.py --work WORK --batch 32

They draw the same random numbers whatever their count, so it may change when training goes on. Noise levels: a share
(--grid, half) at the four levels of 4 steps, half of those at sigma = 1, where every picture begins and only the text can
tell which; of the rest a fifth is uniform and four fifths logit-normal(0.8, 1).
"""

import argparse
import os
import time
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file

import autoencoder as ae
import common
import model


def noise_levels(batch: int, share: float, generator: torch.Generator, where: torch.device) -> torch.Tensor:
    """A share at the levels of 4 steps, half of it where every picture begins; of the rest a fifth uniform, else logit-normal."""
    normal = torch.sigmoid(0.8 + torch.randn(batch, generator=generator, device=where))
    uniform, kind = (torch.rand(batch, generator=generator, device=where) for _ in range(2))
    sigma = torch.where(kind < 0.2 * (1 - share), uniform, normal).clamp(0.002, 1)
    grid = torch.randint(1, 4, (batch,), generator=generator, device=where) / 4
    sigma = torch.where(kind > 1 - share, grid, sigma)
    return torch.where(kind > 1 - share / 2, torch.ones_like(sigma), sigma)


def step_loss(params, narrow: tuple[int, ...], x0, tokens, sigma, noise, bf16: bool = False):
    """The loss to minimise, and without its gradient the mean weighted error of the full net and of each narrow one."""
    at = sigma.view(-1, 1, 1, 1)
    noisy, weight, features = (1 - at) * x0 + at * noise, 1 / at.clamp_min(0.25), model.time_features(sigma)
    net = model.Net(params, bf16)
    text = net.encode_text(tokens)
    full = net.denoise(noisy, features, text)
    loss = (weight * (full - x0).square()).mean()
    errors = [loss.detach()]
    for width in narrow:
        prediction = model.Net(model.cut(params, width), bf16).denoise(noisy, features, text)
        own = (weight * (prediction - x0).square()).mean()
        distance = (weight * (prediction - full.detach()).square()).mean()
        loss = loss + 0.5 * own + 0.5 * distance
        errors.append(own.detach())
    return loss, errors


def captions(data: common.Data, rows: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    """Plain captions mostly, some with the style's word, few empty."""
    empty = torch.full_like(data.plain[:1], 0)
    empty[:, 0], empty[:, 1] = 1, 2
    tokens = torch.where((chance < 0.2)[:, None], data.tokens[rows], data.plain[rows])
    return torch.where((chance > 0.97)[:, None], empty, tokens)


def averaged_gradients(params: common.Params, processes: int) -> list[torch.Tensor]:
    """The gradients that this step has; the mean over all processes."""
    found = [value.grad for value in params.values() if value.grad is not None]
    if processes > 1:
        flat = torch.cat([value.flatten() for value in found])
        dist.all_reduce(flat)
        torch._foreach_copy_(found, [part.view_as(value) for part, value in zip(flat.split([v.numel() for v in found]), found)])
        torch._foreach_div_(found, processes)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--names", type=int, help="train on the first so many pictures of each style; all, if not given")
    parser.add_argument("--again", type=int, default=0, help="the first so many pictures come oftener than the rest")
    parser.add_argument("--times", type=int, default=1, help="so many times more an epoch")
    parser.add_argument("--steps", type=int, default=6000, help="all steps, those of an earlier run included")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate, falls linearly to a hundredth")
    parser.add_argument("--narrow-every", type=int, default=3, help="1: both narrower nets in every step")
    parser.add_argument("--grid", type=float, default=0.5, help="share of noise levels that are among those of 4 steps")
    parser.add_argument("--from", dest="start", type=Path, help="folder of a checkpoint to start from, if WORK has no state")
    parser.add_argument("--bf16", action="store_true", help="linear layers in bfloat16, where it is fast")
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--save", type=int, default=250)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="compile the step: for a GPU")
    args = parser.parse_args()
    where = common.device()
    rank, processes = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if processes > 1:
        dist.init_process_group("gloo")
    torch.backends.cuda.matmul.allow_tf32 = True
    data = common.Data(args.work / "data.npz", where, args.names)
    averaged, latents = ae.known(args.work, data)
    path, logged = args.work / "denoiser.pt", args.work / "denoiser.log"
    generator = torch.Generator(where).manual_seed(args.seed)
    if path.exists():
        state = common.load(path, where)
        params, step, seconds = state["params"], state["step"], state["seconds"]
        if state["device"] == where.type:
            generator.set_state(state["generator"].cpu())
        else:
            generator.manual_seed(args.seed + step)
    else:
        state, step, seconds = None, 0, 0.0
        params = model.init(torch.Generator().manual_seed(args.seed))
        if args.start is not None:
            shipped = load_file(args.start / "nano.safetensors")
            params = {name: shipped[name].float() for name in params}
        params = {name: value.to(where) for name, value in params.items()}
    for value in params.values():
        value.requires_grad_()
    decayed = [value for name, value in params.items() if value.dim() > 1 and "embedding" not in name and "table" not in name]
    others = [value for value in params.values() if not any(value is one for one in decayed)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, args.rate, (0.9, 0.98), fused=True)
    ema = common.Ema(params, args.ema)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
        ema.params = state["ema"]
    loss_of = torch.compile(step_loss, dynamic=False) if args.compile else step_loss
    begun = since = time.time()
    # 32 of the prompt list's names, or what there is of them: whole rows of 16.
    shown = torch.arange(32 if len(data) >= 32 else min(16, len(data)), device=where) * max(1, min(200, len(data)) // 32)
    first_noise = torch.randn(len(shown), *latents.shape[1:], generator=torch.Generator().manual_seed(7)).to(where)

    def finish() -> None:
        images = data.pixels(shown)
        with torch.no_grad():
            made = [
                ae.decode(averaged, model.sample(model.cut(ema.params, width), data.plain[shown], first_noise, 4))
                for width in model.WIDTHS
            ]
            ceiling = ae.decode(averaged, latents[shown])
        columns = min(16, len(shown))
        sheet = torch.cat([row for pair in zip(images.split(columns), made[0].split(columns)) for row in pair])
        common.write_png(args.work / "samples.png", common.grid(sheet, columns))
        entry = {f"psnr_{width}": common.psnr(image, images) for width, image in zip(model.WIDTHS, made)}
        common.log(logged, step=step, seconds=seconds + time.time() - begun, **entry, ceiling=common.psnr(ceiling, images))
        common.save(
            path,
            {
                "params": {name: value.detach() for name, value in params.items()},
                "ema": ema.params,
                "optimiser": optimiser.state_dict(),
                "generator": common.rng_state(generator),
                "device": where.type,
                "names": len(data),
                "step": step,
                "seconds": seconds + time.time() - begun,
            },
        )

    bf16 = args.bf16 and common.fast_bf16(where)
    losses = []
    per_epoch = max(1, (len(data) + args.again * args.times) // args.batch)
    while step < args.steps:
        rate = args.rate * min(1, (step + 1) / 100) * max(0.01, 1 - step / args.steps)
        for group in optimiser.param_groups:
            group["lr"] = rate
        # Each epoch in an order of its own, which a resumed run finds again.
        order = common.epoch(len(data), args.again, args.times, 1_000_003 * args.seed + step // per_epoch)
        place = step % per_epoch * args.batch
        rows = order[place : place + args.batch].to(where)
        if len(rows) < args.batch:
            rows = torch.cat([rows, order[: args.batch - len(rows)].to(where)])
        chance = torch.rand(args.batch, generator=generator, device=where)
        sigma = noise_levels(args.batch, args.grid, generator, where)
        noise = torch.randn(args.batch, *latents.shape[1:], generator=generator, device=where)
        narrow = ()
        if args.narrow_every == 1:
            narrow = model.WIDTHS[1:]
        elif step % args.narrow_every == 0:
            narrow = (model.WIDTHS[1 + step // args.narrow_every % (len(model.WIDTHS) - 1)],)
        share = slice(rank, None, processes)
        given = (latents[rows], captions(data, rows, chance), sigma, noise)
        loss, errors = loss_of(params, narrow, *(value[share] for value in given), bf16)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grads_with_norm_(params.values(), 1.0, torch.nn.utils.get_total_norm(averaged_gradients(params, processes)))
        optimiser.step()
        step += 1
        ema.update(params, step)
        losses.append(errors[0])
        if step % 50 == 0:
            means = torch.stack([torch.stack(losses).mean(), *errors[1:]])
            if processes > 1:
                dist.all_reduce(means)
                means /= processes
            speed, since, losses = 50 * args.batch / (time.time() - since), time.time(), []
            others = {f"loss_{width}": float(error) for width, error in zip(narrow, means[1:])}
            if rank == 0:
                common.log(logged, step=step, loss=float(means[0]), images_per_second=speed, **others)
        if rank == 0 and (step % args.save == 0 or step == args.steps):
            finish()


if __name__ == "__main__":
    main()
