"""Distils many steps into few (K-DMD, arXiv 2601.08303): distribution matching, and the teacher's outputs and features.

    python distill.py --work WORK --steps 500

Reads WORK/denoiser.pt (the teacher is its averaged net) and keeps WORK/distilled.pt, which export.py takes with
--denoiser distilled.pt; the same command goes on exactly. The student starts as the teacher and walks its own few steps from
noise; at a random one of them its clean latent is pulled by three things:

* outputs: the latent in which the teacher ends from the same noise after --teacher-steps;
* features (full width): the teacher's last layer, at the same point of the student's walk;
* distributions: the student's latent is noised again; where a critic, which has learnt to denoise what the student makes,
  and the teacher disagree about what lies under the noise, the difference is the way to go (DMD, arXiv 2311.18828). The
  critic starts as the student too and takes --critic-steps steps for each of the student's.

Noise for the critic is drawn uniformly and shifted by --shift. Where a caption has one picture there is no distribution to
match, and the third part can win nothing.
"""

import argparse
import time
from pathlib import Path

import torch

import common
import model


def at(sigma: torch.Tensor) -> torch.Tensor:
    return sigma.view(-1, 1, 1, 1)


def walk(net: model.Net, tokens: torch.Tensor, noise: torch.Tensor, levels: list[float], stop: int) -> torch.Tensor:
    """From noise by Euler's rule to levels[stop]."""
    x, text = noise, net.encode_text(tokens)
    for sigma, following in zip(levels[:stop], levels[1:]):
        x = x + (following - sigma) * (x - net.denoise(x, level(sigma, x), text)) / sigma
    return x


def level(sigma: float, like: torch.Tensor) -> torch.Tensor:
    return model.time_features(torch.full((len(like),), sigma, dtype=like.dtype, device=like.device))


def shifted(count: int, shift: float, generator: torch.Generator, where: torch.device) -> torch.Tensor:
    """Noise levels between 0.02 and 0.98, uniform before the shift."""
    t = 0.02 + 0.96 * torch.rand(count, generator=generator, device=where)
    return (shift * t / (1 + (shift - 1) * t)).clamp(0.02, 0.98)


def denoise(net: model.Net, tokens: torch.Tensor, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    return net.denoise(noisy, model.time_features(sigma), net.encode_text(tokens))


def critic_loss(critic: model.Net, tokens, made, sigma, noise) -> torch.Tensor:
    """How badly the critic finds again what the student made."""
    noisy = (1 - at(sigma)) * made + at(sigma) * noise
    error = (denoise(critic, tokens, noisy, sigma) - made).square()
    return (error / at(sigma).clamp_min(0.25)).mean()


def distribution_loss(made, critic: model.Net, teacher: model.Net, tokens, sigma, noise) -> torch.Tensor:
    """Its gradient with respect to `made` is the critic's estimate minus the teacher's, in units of the teacher's distance."""
    with torch.no_grad():
        noisy = (1 - at(sigma)) * made + at(sigma) * noise
        real = denoise(teacher, tokens, noisy, sigma)
        fake = denoise(critic, tokens, noisy, sigma)
        distance = (made - real).abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-3)
        goal = made - (fake - real) / distance
    return 0.5 * (made - goal).square().mean()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--names", type=int)
    parser.add_argument("--steps", type=int, default=500, help="of the student, those of an earlier run included")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--student-steps", type=int, default=4)
    parser.add_argument("--teacher-steps", type=int, default=28)
    parser.add_argument("--feature-weight", type=float, default=0.1)
    parser.add_argument("--distribution-weight", type=float, default=0.25, help="0: no critic")
    parser.add_argument("--critic-steps", type=int, default=5, help="for each step of the student")
    parser.add_argument("--shift", type=float, default=3.0, help="of the noise that critic and teacher are asked about")
    parser.add_argument("--save", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2)
    return parser.parse_args()


def main() -> None:
    args = parse()
    where = common.device()
    data = common.Data(args.work / "data.npz", where, args.names)
    teacher = common.load(args.work / "denoiser.pt", where)["ema"]
    path, logged = args.work / "distilled.pt", args.work / "distilled.log"
    generator = torch.Generator(where).manual_seed(args.seed)
    if path.exists():
        state = common.load(path, where)
        params, fake, step, seconds = state["params"], state["critic"], state["step"], state["seconds"]
        if state["device"] == where.type:
            generator.set_state(state["generator"].cpu())
        else:
            generator.manual_seed(args.seed + step)
    else:
        state, step, seconds = None, 0, 0.0
        params, fake = ({name: value.clone() for name, value in teacher.items()} for _ in range(2))
    for value in (*params.values(), *fake.values()):
        value.requires_grad_()
    optimiser = torch.optim.Adam(list(params.values()), args.rate, (0.0, 0.99))
    critics = torch.optim.Adam(list(fake.values()), args.rate, (0.0, 0.99))
    ema = common.Ema(params, 0.99)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
        critics.load_state_dict(state["critics"])
        ema.params = state["ema"]
    levels = model.sigmas(args.student_steps)
    begun = time.time()

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        rows = torch.randint(len(data), (args.batch,), generator=generator, device=where)
        return data.plain[rows], fresh_noise()

    def fresh_noise() -> torch.Tensor:
        return torch.randn(args.batch, model.LATENT, 8, 8, generator=generator, device=where)

    def update(loss: torch.Tensor, learnt: common.Params, by: torch.optim.Optimizer) -> None:
        by.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([value for value in learnt.values() if value.grad is not None], 1.0)
        by.step()

    whole = model.Net(teacher)
    while step < args.steps:
        stop = step % args.student_steps
        width = model.WIDTHS[step // args.student_steps % len(model.WIDTHS)]
        student, critic = model.Net(model.cut(params, width)), model.Net(model.cut(fake, width))
        judged = torch.zeros(())
        for _ in range(args.critic_steps if args.distribution_weight > 0 else 0):
            tokens, noise = draw()
            somewhere = int(torch.randint(args.student_steps, (), generator=generator, device=where))
            with torch.no_grad():
                x = walk(student, tokens, noise, levels, somewhere)
                made = student.denoise(x, level(levels[somewhere], x), student.encode_text(tokens))
            judged = critic_loss(critic, tokens, made, shifted(args.batch, args.shift, generator, where), fresh_noise())
            update(judged, fake, critics)
        tokens, noise = draw()
        with torch.no_grad():
            goal = model.sample(teacher, tokens, noise, args.teacher_steps)
            x = walk(student, tokens, noise, levels, stop)
            wanted = whole.hidden(x, level(levels[stop], x), whole.encode_text(tokens))
        hidden = student.hidden(x, level(levels[stop], x), student.encode_text(tokens))
        made = student.prediction(hidden, x.shape)
        output = (made - goal).square().mean()
        loss = output
        if width == model.WIDTH:
            loss = loss + args.feature_weight * (hidden - wanted).square().mean()
        if args.distribution_weight > 0:
            sigma = shifted(args.batch, args.shift, generator, where)
            loss = loss + args.distribution_weight * distribution_loss(made, critic, whole, tokens, sigma, fresh_noise())
        update(loss, params, optimiser)
        step += 1
        ema.update(params, step)
        if step % 20 == 0 or step == args.steps:
            common.log(logged, step=step, width=width, at=levels[stop], output=float(output.detach()), critic=float(judged.detach()))
        if step % args.save == 0 or step == args.steps:
            common.save(
                path,
                {
                    "params": {name: value.detach() for name, value in params.items()},
                    "critic": {name: value.detach() for name, value in fake.items()},
                    "ema": ema.params,
                    "optimiser": optimiser.state_dict(),
                    "critics": critics.state_dict(),
                    "generator": common.rng_state(generator),
                    "device": where.type,
                    "names": len(data),
                    "step": step,
                    "seconds": seconds + time.time() - begun,
                },
            )


if __name__ == "__main__":
    main()
