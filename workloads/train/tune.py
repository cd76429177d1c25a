"""Few-bit weights, and biases and norms tuned to them by self-distillation against the unquantized net (full width).

    python tune.py --work WORK --checkpoint models/nano/nano.safetensors --scheme mixed --steps 200

q4, q8, palette4 and mixed. Writes WORK/tuned/<scheme>.safetensors (quantized, not tuned) and <scheme>-tuned.safetensors: values in f32, for evaluate.py
and for `--weights`, where the same scheme finds the same integers again. For `mixed`, a layer's sensitivity is the squared
error of the prediction when that layer alone is in 4 bits.
"""

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import autoencoder as ae
import common
import model
import quantize
from train import noise_levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--scheme", choices=["q4", "q8", "palette4", "mixed"], required=True)
    parser.add_argument("--names", type=int)
    parser.add_argument("--steps", type=int, default=200, help="0: quantize only")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()
    where = common.device()
    data = common.Data(args.work / "data.npz", where, args.names)
    exact = {name: value.float().to(where) for name, value in load_file(args.checkpoint).items()}
    wide = {name: value for name, value in exact.items() if not name.startswith(("w128.", "w96.", "decoder."))}
    _, latents = ae.known(args.work, data)
    generator = torch.Generator(where).manual_seed(args.seed)

    def batch(count: int):
        rows = torch.randint(len(data), (count,), generator=generator, device=where)
        sigma = noise_levels(count, 0.5, generator, where)
        noise = torch.randn(count, *latents.shape[1:], generator=generator, device=where)
        at = sigma.view(-1, 1, 1, 1)
        return data.plain[rows], (1 - at) * latents[rows] + at * noise, model.time_features(sigma)

    def predict(params, tokens, noisy, features):
        net = model.Net(params)
        return net.denoise(noisy, features, net.encode_text(tokens))

    palette = args.scheme == "palette4"
    bulk = [name for name, value in wide.items() if (quantize.palette_applies if palette else quantize.is_quantizable)(name, value)]
    eight: set[str] = set(bulk) if args.scheme == "q8" else set()
    if args.scheme == "mixed":
        with torch.no_grad():
            probe = batch(16)
            clean = predict(wide, *probe)
            errors = {
                name: float((predict(wide | {name: quantize.q4(wide[name])}, *probe) - clean).square().mean())
                for name in bulk
            }
        eight = quantize.choose(wide, errors)
    four = quantize.palette4 if palette else quantize.q4
    few = {name: (quantize.q8 if name in eight else four)(wide[name]) for name in bulk}
    bits = sum((8 if name in eight else 4) * wide[name].numel() for name in bulk) / sum(wide[n].numel() for n in bulk)
    out = args.work / "tuned"
    out.mkdir(exist_ok=True)
    about = {"scheme": args.scheme, "average_bits": f"{bits:.3f}", "eight_bit": json.dumps(sorted(eight))}

    def write(name: str, params: common.Params) -> None:
        stored = {key: value.detach().cpu().contiguous() for key, value in (exact | params).items()}
        save_file(stored, out / f"{name}.safetensors", about)

    # The program's palettes reach into the decoder; its group formats do not.
    kernels = {name: four(exact[name]) for name in exact if palette and name.startswith("decoder.") and name.endswith(".weight")}
    write(args.scheme, few | kernels)
    student = {name: few.get(name, value).clone() for name, value in wide.items()}
    tuned = [name for name, value in wide.items() if value.dim() == 1 or name.endswith("table")]
    for name in tuned:
        student[name].requires_grad_()
    optimiser = torch.optim.Adam([student[name] for name in tuned], args.rate, (0.9, 0.98))
    losses = []
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = args.rate * (1 - step / args.steps)
        given = batch(args.batch)
        with torch.no_grad():
            wanted = predict(wide, *given)
        loss = (predict(student, *given) - wanted).square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
        if len(losses) == 20:
            print(time.strftime("%H:%M:%S"), json.dumps({"step": step + 1, "loss": round(float(sum(losses)) / 20, 6)}), flush=True)
            losses = []
    if args.steps:
        write(f"{args.scheme}-tuned", student | kernels)
    print(f"{args.scheme}: {bits:.3f} bits on average, {len(eight)} of {len(bulk)} weights in 8 bits, {len(tuned)} tensors tuned")


if __name__ == "__main__":
    main()
