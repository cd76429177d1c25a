#!/usr/bin/env python3
"""Licences of all crates in Cargo.lock, for every feature and platform, and whether the registry has withdrawn one of them.

Checked: the SPDX expression that each crate declares, against a list of licences that we may pass on; `yanked` in the
registry's index, as cargo keeps it. Not checked: the text of licences, code that a crate copied from elsewhere, and the
RustSec advisories, whose database is no part of the registry (docs/RELEASING.md says how to check those).
"""
import json
import os
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

# Permissive licences that ask for no more than their text and a name.
ALLOWED = {"MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0"}


def allowed(expression):
    """Whether an SPDX expression lets us choose licences from ALLOWED alone. A slash is the old way to write OR."""
    tokens = re.findall(r"[()]|[A-Za-z0-9.+-]+", expression.replace("/", " OR "))
    left = list(tokens)

    def either():
        value = both()
        while left and left[0] == "OR":
            left.pop(0)
            value = both() or value
        return value

    def both():
        value = one()
        while left and left[0] == "AND":
            left.pop(0)
            value = one() and value
        return value

    def one():
        if not left:
            raise ValueError(f"licence expression ends early: {expression!r}")
        token = left.pop(0)
        if token == "(":
            value = either()
            if not left or left.pop(0) != ")":
                raise ValueError(f"licence expression with an open bracket: {expression!r}")
            return value
        if left and left[0] == "WITH":  # An exception permits more, never less.
            left.pop(0)
            left.pop(0)
        return token in ALLOWED

    value = either()
    if left:
        raise ValueError(f"licence expression that cannot be read: {expression!r}")
    return value


def licence_faults(packages):
    for package in packages:
        name = f"{package['name']} {package['version']}"
        licence = package.get("license")
        if not licence:
            yield f"{name}: declares no licence"
        elif not allowed(licence):
            yield f"{name}: {licence} is not on the list in scripts/checks/licences.py"


def index_path(name):
    """Where the index has a crate, as cargo's documentation of the index says."""
    name = name.lower()
    folder = {1: "1", 2: "2", 3: f"3/{name[0]}"}.get(len(name), f"{name[:2]}/{name[2:4]}")
    return f"{folder}/{name}"


def versions(cached):
    """The versions in a file of cargo's cache of the index: one JSON object each, between zero bytes."""
    entries = [json.loads(part) for part in cached.split(b"\0") if part.startswith(b"{")]
    return {entry["vers"]: entry for entry in entries}


def yanked_faults(packages, caches):
    for package in packages:
        if not (package.get("source") or "").startswith(("registry+", "sparse+")):
            continue
        name, version = package["name"], package["version"]
        files = [cache / index_path(name) for cache in caches]
        found = [versions(file.read_bytes()).get(version) for file in files if file.is_file()]
        found = [entry for entry in found if entry]
        if not found:
            yield f"{name} {version}: not in cargo's copy of the index, so not checked; run `cargo fetch --locked`"
        elif any(entry["yanked"] for entry in found):
            yield f"{name} {version}: withdrawn (yanked); run `cargo update -p {name}`"


def oldest(packages, caches):
    """The day of the oldest file of the index that was looked at: an old copy knows of no newer withdrawal."""
    names = {package["name"] for package in packages}
    files = [cache / index_path(name) for cache in caches for name in names]
    return date.fromtimestamp(min(file.stat().st_mtime for file in files if file.is_file()))


def main():
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    caches = sorted(home.glob("registry/index/*/.cache"))
    faults = [*licence_faults(packages), *yanked_faults(packages, caches)]
    for fault in faults:
        print(fault, file=sys.stderr)
    index = f"withdrawn versions by an index as old as {oldest(packages, caches)}"
    print(f"{len(packages)} crates: licences checked, and {index}; RustSec advisories NOT checked")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
