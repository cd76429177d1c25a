#!/usr/bin/env python3
"""The Rust version in Cargo.toml is the one that the locked dependencies want: no older, or the build fails; no newer, or
people are turned away for nothing. README.md names the same."""
import json
import re
import subprocess
import sys
from pathlib import Path


def parsed(version):
    return tuple(int(part) for part in (version.split(".") + ["0", "0"])[:3])


def fault(declared, packages, readme):
    """What is wrong, or None. `packages` are those of others."""
    wanted = [p for p in packages if p.get("rust_version")]
    if not wanted:
        return "no dependency declares a Rust version: the search itself is broken"
    most = max(wanted, key=lambda p: parsed(p["rust_version"]))
    newest = parsed(most["rust_version"])
    if parsed(declared) != newest:
        return (
            f"Cargo.toml declares Rust {declared}, but {most['name']} {most['version']} wants {most['rust_version']}, "
            "the newest of all dependencies: declare that, or choose another version of the crate"
        )
    named = re.search(r"Rust (\d+\.\d+(?:\.\d+)?) or newer", readme)
    if not named or parsed(named[1]) != newest:
        return f"README.md should say \"Rust {declared} or newer\""
    return None


def main():
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    declared = next(p["rust_version"] for p in packages if p["name"] == "ditbench" and not p["source"])
    wrong = fault(declared, [p for p in packages if p["source"]], Path("README.md").read_text())
    if wrong:
        print(wrong, file=sys.stderr)
        return 1
    print(f"Rust {declared}: what the locked dependencies want")
    return 0


if __name__ == "__main__":
    sys.exit(main())
