"""Fetch the browser libraries of the console and the report from npm, at pinned versions; `--write` writes them.

Without `--write` it says whether the files in the tree are those of the packages. The manifest beside the files has the
version, npm's integrity of each package and the SHA-256 of each file; a test holds the files to it without the network.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "Backend" / "lorapod" / "client"
CONSOLE = "console/assets/vendor"
REPORT = "report_page/assets"
MANIFEST = CLIENT / CONSOLE / "manifest.json"

#: Package and version; where each of its files goes, relative to the client's folder.
PACKAGES: Mapping[str, Mapping[str, str]] = {
    "preact@11.2.0": {
        "dist/preact.mjs": f"{CONSOLE}/preact.js",
        "hooks/dist/hooks.mjs": f"{CONSOLE}/hooks.js",
        "LICENSE": f"{CONSOLE}/preact-LICENSE",
    },
    "htm@3.1.1": {
        "dist/htm.mjs": f"{CONSOLE}/htm.js",
        "LICENSE": f"{CONSOLE}/htm-LICENSE",
    },
    # The report has uPlot in its page, and the console serves the same files.
    "uplot@1.6.32": {
        "dist/uPlot.iife.min.js": f"{REPORT}/uPlot.iife.min.js",
        "dist/uPlot.min.css": f"{REPORT}/uPlot.min.css",
        "LICENSE": f"{REPORT}/uPlot-LICENSE",
    },
}

#: Browsers resolve a bare name only by an import map, which would be an inline script; source maps are not shipped.
EDITS = (
    (b'from"preact"', b'from"./preact.js"'),
    (b"\n//# sourceMappingURL=preact.mjs.map", b""),
    (b"\n//# sourceMappingURL=hooks.mjs.map", b""),
)


def fetch(package: str, folder: Path) -> tuple[dict[str, bytes], str]:
    """Return the files of a package by their names in it, and npm's integrity of its archive.

    Raises:
        SystemExit: the archive is not what the registry says.
    """
    packed = subprocess.run(
        ["npm", "pack", "--json", package], cwd=folder, check=True, capture_output=True, text=True
    )
    (told,) = json.loads(packed.stdout)
    archive = folder / told["filename"]
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if told["integrity"] != f"sha512-{digest}":
        raise SystemExit(f"{package}: the archive does not have the registry's integrity.")
    files = {}
    with tarfile.open(archive) as opened:
        for name in PACKAGES[package]:
            member = opened.extractfile(f"package/{name}")
            assert member is not None
            files[name] = member.read()
    return files, told["integrity"]


def edited(content: bytes) -> bytes:
    """Return a file as it is shipped."""
    for before, after in EDITS:
        content = content.replace(before, after)
    return content


def main() -> int:
    """Fetch all packages; write them, or compare them with the tree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    manifest: dict[str, object] = {}
    different = []
    for package, places in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            files, integrity = fetch(package, Path(folder))
        digests = {}
        for name, place in places.items():
            content, path = edited(files[name]), CLIENT / place
            digests[place] = hashlib.sha256(content).hexdigest()
            if write:
                path.write_bytes(content)
            elif not path.is_file() or path.read_bytes() != content:
                different.append(place)
        manifest[package] = {"integrity": integrity, "sha256": digests}
    if write:
        MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write("".join(f"differs: {place}\n" for place in different))
    return 1 if different else 0


if __name__ == "__main__":
    raise SystemExit(main())
