#!/usr/bin/env python3
"""A build with one backend feature has that backend and no other; a build with none has none."""
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


def backends_in(tree):
    """The backends whose crates are in the output of `cargo tree --prefix none`."""
    crates = {line.split()[0] for line in tree.splitlines() if line.strip()}
    return {name for name, crate in BACKENDS.items() if any(crate.match(one) for one in crates)}


def tree(program, features):
    command = ["cargo", "tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--package", program]
    command += ["--no-default-features", "--features", ",".join(features)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main():
    wrong = []
    for program in PROGRAMS:
        for features in [[], *([name] for name in BACKENDS), list(BACKENDS)]:
            found = backends_in(tree(program, features))
            if found != set(features):
                asked = " and ".join(features) or "no backend"
                wrong.append(f"{program} built with {asked} has {sorted(found) or 'none'}")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{' and '.join(PROGRAMS)}: each backend feature brings its own backend and no other" if not wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
