"""Distils many steps into few: the student, started from the trained net, learns to end where its teacher ends.

    python distill.py --work WORK --steps 500

Reads WORK/denoiser.pt (the teacher is its averaged net) and keeps WORK/distilled.pt, which export.py takes with
--denoiser distilled.pt. For each batch the teacher goes from noise to a latent in --teacher-steps; the student walks its own
few steps from the same noise and, at a random one of them, is pulled towards the teacher's latent and towards the teacher's
last-layer features there.

This is output and feature matching on the student's own trajectory, the second half of the paper's K-DMD. The other half,
matching distributions with a critic, is not done here: where a caption has one picture there is no distribution to match.
"""

import argparse
import time
from pathlib import Path

import torch

import common
import model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--names", type=int)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--student-steps", type=int, default=4)
    parser.add_argument("--teacher-steps", type=int, default=28)
    parser.add_argument("--feature-weight", type=float, default=0.1)
    parser.add_argument("--save", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where, args.names)
    trained = common.load(args.work / "denoiser.pt", where)
    teacher = trained["ema"]
    path, logged = args.work / "distilled.pt", args.work / "distilled.log"
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
        params = {name: value.clone() for name, value in teacher.items()}
    for value in params.values():
        value.requires_grad_()
    optimiser = torch.optim.Adam(list(params.values()), args.rate, (0.0, 0.99))
    ema = common.Ema(params, 0.99)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
        ema.params = state["ema"]
    levels = model.sigmas(args.student_steps)
    begun = time.time()
    while step < args.steps:
        rows = torch.randint(len(data), (args.batch,), generator=generator, device=where)
        tokens = data.plain[rows]
        noise = torch.randn(args.batch, model.LATENT, 8, 8, generator=generator, device=where)
        stop = step % args.student_steps
        width = model.WIDTHS[step // args.student_steps % len(model.WIDTHS)]
        student = model.Net(model.cut(params, width))
        with torch.no_grad():
            goal = model.sample(teacher, tokens, noise, args.teacher_steps)
            x, text = noise, student.encode_text(tokens)
            for sigma, following in zip(levels[:stop], levels[1:]):
                features = model.time_features(torch.full((args.batch,), sigma, device=where))
                x = x + (following - sigma) * (x - student.denoise(x, features, text)) / sigma
            features = model.time_features(torch.full((args.batch,), levels[stop], device=where))
            whole = model.Net(teacher)
            wanted = whole.hidden(x, features, whole.encode_text(tokens))
        hidden = student.hidden(x, features, student.encode_text(tokens))
        loss = (student.prediction(hidden, x.shape) - goal).square().mean()
        if width == model.WIDTH:
            loss = loss + args.feature_weight * (hidden - wanted).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([value for value in params.values() if value.grad is not None], 1.0)
        optimiser.step()
        step += 1
        ema.update(params, step)
        if step % 20 == 0:
            common.log(logged, step=step, width=width, at=levels[stop], loss=float(loss))
        if step % args.save == 0 or step == args.steps:
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


if __name__ == "__main__":
    main()
