"""Trains nano's tokenizer: a BPE of 2048 entries on the names of emoji.

    npm install @iconify-json/fluent-emoji-flat@1.2.6 @iconify-json/noto@1.2.9
    pip install tokenizers
    python workloads/train/tokenizer.py node_modules workloads/assets/nano.tokenizer.json

The names are data of Fluent Emoji (MIT, Microsoft) and Noto Emoji (Apache-2.0, Google), as Iconify packages them.
"""

import json
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

VOCABULARY = 2048
STYLES = ["flat", "gradient", "noto"]


def names(packages: Path) -> list[str]:
    found = set()
    for package in ("fluent-emoji-flat", "noto"):
        icons = json.loads((packages / "@iconify-json" / package / "icons.json").read_text())["icons"]
        found.update(icons)
    return sorted(name.replace("-", " ") for name in found)


def main() -> None:
    packages, output = Path(sys.argv[1]), Path(sys.argv[2])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    # Words, single digits, and everything else one character at a time.
    pattern = Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(pattern, behavior="removed", invert=True)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<start>", "<end>", "<unk>"],
        initial_alphabet=list("abcdefghijklmnopqrstuvwxyz0123456789'-.,!?"),
        end_of_word_suffix="</w>",
    )
    captions = names(packages)
    tokenizer.train_from_iterator([f"{style} {name}" for style in STYLES for name in captions] + captions, trainer)
    tokenizer.save(str(output), pretty=False)
    print(f"{output}: {tokenizer.get_vocab_size()} entries from {len(captions)} names")


if __name__ == "__main__":
    main()
