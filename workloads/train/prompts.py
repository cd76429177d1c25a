"""Made assets/nano.prompts.json once: 200 names from the data and 50 compositions that are no name in it.

    python prompts.py

The names are drawn from those that all three styles share, a fixed number from each category, by hash: nobody chose
them for looking well. The compositions were written by hand, before any model was trained.
"""

import hashlib
import json
from pathlib import Path

from data import HERE, STYLES, icons

SHARE = {
    "Smileys & Emotion": 25,
    "People & Body": 20,
    "Animals & Nature": 35,
    "Food & Drink": 35,
    "Objects": 40,
    "Activities": 15,
    "Travel & Places": 20,
    "Symbols": 10,
}
COMPOSITIONS = """blue apple; purple banana; green strawberry; red lemon; black tomato; orange heart with arrow; green rose;
blue tulip; pink elephant; purple frog; blue dog face; green cat face; red panda; yellow pig face; white horse face;
orange whale; pink shark; blue fox; cat with crown; dog with sunglasses; robot with top hat; bear with scarf;
penguin with umbrella; monkey with banana; frog with crown; face with moustache; crying robot; smiling sun; smiling pizza;
smiling apple; angry cat; sleeping bear; green automobile; purple bus; yellow rocket; blue fire; red snowflake;
green star; purple crescent moon; red book; black guitar; pink trumpet; blue candle; green crown; two apples; three stars;
burning house; house with rainbow; fish in glass; tree with hearts"""


def main() -> None:
    packages = HERE / "node_modules"
    shared = set.intersection(*(set(icons(packages, package)) for package in STYLES.values()))
    metadata = packages / "@iconify-json" / STYLES["flat"] / "metadata.json"
    names = []
    for category, members in json.loads(metadata.read_text())["categories"].items():
        found = {member.replace("-", " ") for member in members} & shared
        ranked = sorted(found, key=lambda name: hashlib.sha256(f"prompts 1 {name}".encode()).digest())
        names += ranked[: SHARE.get(category, 0)]
    compositions = [" ".join(text.split()) for text in COMPOSITIONS.split(";")]
    assert len(set(names)) == 200 and len(set(compositions)) == 50 and not set(compositions) & shared
    path: Path = HERE.parent / "assets" / "nano.prompts.json"
    path.write_text(json.dumps({"names": names, "compositions": compositions}, indent=1) + "\n")
    print(f"{path}: {len(names)} names of {len(shared)}, {len(compositions)} compositions")


if __name__ == "__main__":
    main()
