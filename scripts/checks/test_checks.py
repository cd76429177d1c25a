"""The checks must be able to fail: `python3 -m unittest discover scripts/checks`."""
import json
import tempfile
import unittest
from pathlib import Path

import features
import licences
import links
import rust_version


class Licences(unittest.TestCase):
    def test_expressions(self):
        for good in [
            "MIT", "MIT OR GPL-3.0", "GPL-3.0 OR Apache-2.0", "MIT/Apache-2.0", "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception", "LGPL-2.1-or-later OR MIT AND ISC",
        ]:
            self.assertTrue(licences.allowed(good), good)
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MPL-2.0", "GPL-2.0 WITH Classpath-exception-2.0"]:
            self.assertFalse(licences.allowed(bad), bad)
        for broken in ["", "MIT OR", "(MIT", "MIT ISC"]:
            with self.assertRaises(ValueError, msg=broken):
                licences.allowed(broken)

    def test_a_crate_without_a_licence_is_a_fault(self):
        found = list(licences.licence_faults([
            {"name": "a", "version": "1.0.0", "license": "MIT"},
            {"name": "b", "version": "1.0.0", "license": None},
            {"name": "c", "version": "1.0.0", "license": "AGPL-3.0"},
        ]))
        self.assertEqual([fault.split()[0] for fault in found], ["b", "c"])

    def test_withdrawn_and_unknown_versions_are_faults(self):
        lines = [json.dumps({"vers": v, "yanked": y}).encode() for v, y in [("1.0.0", True), ("1.0.1", False)]]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "te" / "st" / "testing"
            file.parent.mkdir(parents=True)
            file.write_bytes(b"\x03\x02\0\0\0etag: x\0" + b"\0".join(b"v\0" + line for line in lines) + b"\0")
            crate = lambda version: {"name": "testing", "version": version, "source": "registry+https://example.org"}
            found = lambda version: list(licences.yanked_faults([crate(version)], [Path(folder)]))
            self.assertIn("withdrawn", found("1.0.0")[0])
            self.assertEqual(found("1.0.1"), [])
            self.assertIn("not checked", found("2.0.0")[0])
            own = [{"name": "own", "version": "1.0.0", "source": None}]
            self.assertEqual(list(licences.yanked_faults(own, [Path(folder)])), [])

    def test_places_in_the_index(self):
        self.assertEqual([licences.index_path(n) for n in ["a", "ab", "abc", "Abcde"]], ["1/a", "2/ab", "3/a/abc", "ab/cd/abcde"])


class RustVersion(unittest.TestCase):
    def test_older_newer_and_equal(self):
        crates = [{"name": "a", "version": "1.0.0", "rust_version": v} for v in ["1.9", "1.95", None]]
        readme = "Rust 1.95 or newer"
        self.assertIsNone(rust_version.fault("1.95", crates, readme))
        self.assertIsNone(rust_version.fault("1.95.0", crates, readme))
        self.assertIn("a 1.0.0 wants 1.95", rust_version.fault("1.92", crates, readme))
        self.assertIn("the newest", rust_version.fault("1.96", crates, readme))
        self.assertIn("README", rust_version.fault("1.95", crates, "Rust 1.92 or newer"))
        self.assertIn("broken", rust_version.fault("1.95", [], readme))


class Features(unittest.TestCase):
    def test_backends_are_recognised(self):
        self.assertEqual(features.backends_in("ditbench v0.1.0\nserde v1.0.0\nditbench-reference v0.1.0"), set())
        self.assertEqual(features.backends_in("ort v2.0.0\n\ntract-core v0.23.9 (*)\nsort v1.0.0"), {"ort", "tract"})
        self.assertEqual(features.backends_in("candle-core v0.11.1"), {"candle"})


class Links(unittest.TestCase):
    def test_missing_files_and_headings_are_faults(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "a.md"
            (Path(folder) / "b.md").write_text("# One idea: `x`\n\n```sh\n# no heading\n```\n\n## Twice\n\n## Twice\n")
            file.write_text(
                "[1](b.md) [2](b.md#one-idea-x) [3](b.md#twice-1) [web](https://example.org) `[x](none)`\n"
                "```\n[x](none)\n```\n![bad](none.png) [bad](b.md#no-heading) [bad](#nowhere) <img src=\"gone.png\">\n"
            )
            bad = [fault.split(": ")[1] for fault in links.faults([file])]
            self.assertEqual(bad, ["none.png", "b.md#no-heading", "#nowhere", "gone.png"])


if __name__ == "__main__":
    unittest.main()
