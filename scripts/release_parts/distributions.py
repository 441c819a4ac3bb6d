"""Both distributions, built, installed beside each other and looked at."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from release_parts.errors import ReleaseError

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT, ROOT / "client")
SUMS = "SHA256SUMS"

_LOOK = """
from importlib import metadata
import lorapod, lorapod.clock, lorapod.errors
print(lorapod.__version__, *(metadata.version(name) for name in ("lorapod", "lorapod-client")))
"""


def build(folder: Path, sources: Sequence[Path] = SOURCES) -> Sequence[Path]:
    """Build a source distribution and a wheel of each into the folder. The same commit makes the same files.

    Raises:
        subprocess.CalledProcessError: a build failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "LORAPOD_RELEASE": "1", "SOURCE_DATE_EPOCH": _commit_time()}
    for source in sources:
        argv = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder.resolve())]
        subprocess.run(argv, cwd=source, env=environment, check=True, stdout=subprocess.DEVNULL)
    return sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])


def check(built: Sequence[Path], version: str) -> None:
    """Install both wheels into an empty environment and import from each; compare the versions and the files.

    Raises:
        ReleaseError: they are not what they should be.
    """
    expected = {
        f"{name}-{version}{end}"
        for name in ("lorapod", "lorapod_client")
        for end in ("-py3-none-any.whl", ".tar.gz")
    }
    if {path.name for path in built} != expected:
        raise ReleaseError(f"Built were {', '.join(path.name for path in built)}, not {sorted(expected)}.")
    wheels = [path for path in built if path.suffix == ".whl"]
    shared = set.intersection(*(set(zipfile.ZipFile(wheel).namelist()) for wheel in wheels))
    if shared:
        raise ReleaseError(f"Both wheels have {', '.join(sorted(shared))}.")
    with tempfile.TemporaryDirectory() as made:
        python = Path(made, "bin", "python")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index"]
        subprocess.run([*pip, "--no-deps", *map(str, wheels)], check=True)
        told = subprocess.run(
            [python, "-I", "-c", _LOOK], cwd="/", capture_output=True, text=True, check=False
        )
    if told.stdout.split() != [version] * 3:
        raise ReleaseError(f"Installed, they say: {told.stdout}{told.stderr}")


def write_sums(folder: Path) -> Path:
    """Write the SHA-256 of each file of the folder, as `sha256sum --check` reads it."""
    target = folder / SUMS
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    target.write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in files), encoding="utf-8")
    return target


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _commit_time() -> str:
    told = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "0"
