#!/usr/bin/env python3
"""Every relative link in the Markdown files leads to a file, and to a heading in it where it names one. Links to the web
are not followed."""
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|(?:src|href)=\"([^\"]+)\"")


def without_code(text):
    """The text without fenced blocks and code spans: brackets there are no links."""
    text = re.sub(r"^( *)(```|~~~).*?^ *\2[^\n]*$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def links(text):
    return [a or b for a, b in LINK.findall(without_code(text))]


def anchors(text):
    """Names of headings, as GitHub makes them."""
    text = re.sub(r"^( *)(```|~~~).*?^ *\2[^\n]*$", "", text, flags=re.M | re.S)
    names, seen = set(), {}
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", text, flags=re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def faults(files):
    for file in files:
        for link in links(file.read_text(encoding="utf-8")):
            if re.match(r"[a-z][a-z0-9+.-]*:", link):
                continue
            path, _, anchor = link.partition("#")
            target = file.parent / urllib.parse.unquote(path) if path else file
            if not target.exists():
                yield f"{file}: {link}: there is no {target}"
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
                yield f"{file}: {link}: {target} has no such heading"


def main():
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.md"], check=True, capture_output=True, text=True)
    files = [Path(name) for name in names.stdout.splitlines()]
    count = sum(len(links(file.read_text(encoding="utf-8"))) for file in files)
    if count < 20:
        print(f"only {count} links were found: the search itself is broken", file=sys.stderr)
        return 1
    found = list(faults(files))
    for fault in found:
        print(fault, file=sys.stderr)
    print(f"{count} links in {len(files)} files" + ("" if found else ": all lead somewhere"))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
