#!/usr/bin/env python3
"""A build with one backend feature has that backend and no other; a build with none has none. What drives GPUs for candle and tract is in builds
with that feature, for the backends that they have, and in no other."""
import re
import subprocess
import sys

# By feature: the crates by which a backend is recognised.
BACKENDS = {
    "candle": re.compile(r"^(ditbench-candle|candle-.*)$"),
    "tract": re.compile(r"^(ditbench-tract|tract-.*)$"),
    "ort": re.compile(r"^(ditbench-ort|ort|ort-sys)$"),
}
PROGRAMS = ["ditbench", "ditbench-phone"]
# By the feature for GPUs and the backend: a crate that is needed for both, on the system where it can be used.
GPUS = {
    ("candle-cuda", "candle"): ("candle-kernels", "x86_64-unknown-linux-gnu"),
    ("cuda", "tract"): ("tract-cuda", "x86_64-unknown-linux-gnu"),
    ("metal", "candle"): ("candle-metal-kernels", "aarch64-apple-darwin"),
    ("metal", "tract"): ("tract-metal", "aarch64-apple-darwin"),
}


def crates_in(tree):
    """The crates in the output of `cargo tree --prefix none`."""
    return {line.split()[0] for line in tree.splitlines() if line.strip()}


def backends_in(tree):
    """The backends whose crates are there."""
    return {name for name, crate in BACKENDS.items() if any(crate.match(one) for one in crates_in(tree))}


def gpus_in(tree, target):
    """What drives GPUs there, of what can be used on that system."""
    return {gpu for gpu, (crate, where) in GPUS.items() if where == target and crate in crates_in(tree)}


def tree(program, features, target=None):
    command = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--package", program]
    command += ["--no-default-features", "--features", ",".join(features)]
    command += ["--target", target] if target else []
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def gpu_faults():
    for target in sorted({where for _, where in GPUS.values()}):
        for feature in [None, *sorted({feature for feature, _ in GPUS})]:
            for backends in [["candle"], ["tract"], ["ort"]]:
                found = gpus_in(tree("ditbench", backends + ([feature] if feature else []), target), target)
                wanted = {gpu for gpu, (_, where) in GPUS.items() if where == target and gpu in [(feature, name) for name in backends]}
                if found != wanted:
                    asked = " and ".join(backends + ([feature] if feature else []))
                    yield f"ditbench built with {asked} for {target} drives {sorted(found) or 'no GPU'}, not {sorted(wanted) or 'none'}"


def main():
    wrong = []
    for program in PROGRAMS:
        for features in [[], *([name] for name in BACKENDS), list(BACKENDS)]:
            found = backends_in(tree(program, features))
            if found != set(features):
                asked = " and ".join(features) or "no backend"
                wrong.append(f"{program} built with {asked} has {sorted(found) or 'none'}")
    wrong += gpu_faults()
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{' and '.join(PROGRAMS)}: each feature brings its own backend or GPUs and no other" if not wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
