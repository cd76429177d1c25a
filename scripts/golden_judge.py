"""Makes tests/data/judge/expected.safetensors: what the judge's Python original says of three photos and two data pictures.

    python scripts/golden_judge.py

Needs what workloads/train/requirements.txt and requirements-judge.txt list, and Pillow. The photos are of scikit-image's data
(cat and espresso CC0, rocket public domain), their middle square made smaller; the pictures are the first two of the prompt
list. Prints the class that each photo is taken for.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workloads" / "train"))
import judge  # noqa: E402


def tensor(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1)[None].float() / 255


def main() -> None:
    torch.set_num_threads(1)
    net = judge.network(torch.device("cpu"))
    folder = ROOT / "tests" / "data" / "judge"
    pictures = {name: tensor(Image.open(folder / f"{name}.png")) for name in ("cat", "espresso", "rocket")}
    sheet = Image.open(ROOT / "models" / "nano" / "names.png")
    for index in range(2):
        pictures[f"name{index}"] = tensor(sheet.crop((64 * index, 0, 64 * index + 64, 64)))
    expected = {}
    with torch.no_grad():
        for name, picture in pictures.items():
            features = judge.features(net, picture)
            classes = net._fc(features)
            expected |= {f"{name}.features": features[0], f"{name}.classes": classes[0]}
            print(f"{name}: class {int(classes.argmax())}")
    save_file(expected, folder / "expected.safetensors")


if __name__ == "__main__":
    main()
