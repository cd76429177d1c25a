"""Makes data.npz: emoji at 64 x 64 pixels, their names, and the token ids of their captions.

    npm ci                                   (in this folder: fetches the pictures, pinned by version and hash)
    python data.py --out WORK/data.npz

The pictures are Fluent Emoji (MIT, Microsoft) and Noto Emoji (Apache-2.0, Google) as Iconify packages them. Skin-tone
variants, hidden icons and second names of the same picture are left out. A caption is the name for the flat style, and
the style's word before the name for every style ("noto red apple").

The rows are ordered so that the first N of a style are always the same pictures, and the names of the prompt list come
first: a run on part of the data (--names N) is a run on a prefix.
"""

import argparse
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image
from tokenizers import Tokenizer

HERE = Path(__file__).parent
SIZE = 64
TOKENS = 16
START, END, PAD = 1, 2, 0
# Style: the word in captions, and the package.
STYLES = {"flat": "fluent-emoji-flat", "gradient": "fluent-emoji", "noto": "noto"}
TONE = re.compile(r"-(light|medium-light|medium|medium-dark|dark)(-skin-tone)?$")


def icons(packages: Path, package: str) -> dict[str, tuple[str, int, int]]:
    """Name (words apart) to SVG body, width and height, without skin tones and hidden icons."""
    data = json.loads((packages / "@iconify-json" / package / "icons.json").read_text())
    found = data["icons"]
    size = data.get("width", 16), data.get("height", 16)

    def toned(name: str) -> bool:
        bare = TONE.sub("", TONE.sub("", name))
        return bare != name and (bare in found or TONE.sub("", name) in found)

    return {
        name.replace("-", " "): (icon["body"], icon.get("width", size[0]), icon.get("height", size[1]))
        for name, icon in found.items()
        if not icon.get("hidden") and not toned(name)
    }


def rasterise(body: str, width: int, height: int) -> np.ndarray:
    """An SVG body on white, [SIZE, SIZE, 3] in 0..255."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{SIZE}" height="{SIZE}">{body}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE, background="white")
    from io import BytesIO

    return np.asarray(Image.open(BytesIO(bytes(png))).convert("RGB"))


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids as the pipeline makes them: start, the text (cut if it is too long), end, padding."""
    ids = [START, *tokenizer.encode(text, add_special_tokens=False).ids[: TOKENS - 2], END]
    return ids + [PAD] * (TOKENS - len(ids))


def order(names: list[str], first: list[str]) -> list[str]:
    """The prompt list's names first, then the rest in an order that is random and the same everywhere."""
    rest = sorted(set(names) - set(first), key=lambda name: hashlib.sha256(f"order 1 {name}".encode()).digest())
    return [name for name in first if name in set(names)] + rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=HERE / "node_modules")
    parser.add_argument("--styles", default="flat", help="comma-separated, of flat, gradient, noto")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(HERE.parent / "assets" / "nano.tokenizer.json"))
    prompts = json.loads((HERE.parent / "assets" / "nano.prompts.json").read_text())
    images, names, styles, tokens, plain = [], [], [], [], []
    for style in args.styles.split(","):
        found = icons(args.packages, STYLES[style])
        seen = {}
        for name in order(list(found), prompts["names"]):
            image = rasterise(*found[name])
            key = image.tobytes()
            if key in seen:
                print(f"{style}: {name} is the same picture as {seen[key]}, left out")
                continue
            seen[key] = name
            images.append(image)
            names.append(name)
            styles.append(style)
            tokens.append(encode(tokenizer, f"{style} {name}"))
            # Without a style's word a caption means the flat style, if that has the name.
            plain.append(encode(tokenizer, name if style == "flat" else f"{style} {name}"))
        print(f"{style}: {len(seen)} pictures")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        args.out,
        images=np.stack(images),
        names=np.array(names),
        styles=np.array(styles),
        tokens=np.array(tokens, np.int64),
        plain=np.array(plain, np.int64),
        compositions=np.array(prompts["compositions"]),
        composition_tokens=np.array([encode(tokenizer, text) for text in prompts["compositions"]], np.int64),
        prompts=np.array(len(prompts["names"])),
    )
    digest = hashlib.sha256(np.stack(images).tobytes()).hexdigest()
    print(f"{args.out}: {len(images)} pictures, SHA-256 of the pixels {digest}")


if __name__ == "__main__":
    main()
