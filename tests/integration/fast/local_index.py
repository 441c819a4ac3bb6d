"""A package index of one folder, with wheels of a few bytes that pip installs for real.

`heavy` brings no code of its own but a path to the packages of the Python that runs the tests: an environment that has
it can run the real worker, and takes a second to make instead of minutes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path


def put_wheel(folder: Path, name: str, files: dict[str, bytes], *, version: str = "1.0") -> Path:
    """A pure wheel with these files."""
    info = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{path},sha256={_digest(data)},{len(data)}" for path, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in content.items():
            archive.writestr(path, data)
    return wheel


def put_heavy(folder: Path, *, version: str = "1.0") -> None:
    """The package that makes an environment fit for the real worker."""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    put_wheel(folder, "heavy", {"heavy.pth": "\n".join([*packages, ""]).encode()}, version=version)


def put_lock(path: Path, *pins: str) -> Path:
    """A lock file."""
    path.write_text("# Pins for a test.\n" + "".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    return path


def pip_environment(index: Path) -> dict[str, str]:
    """What has pip look there and nowhere else."""
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "PIP_CONFIG_FILE": "/dev/null"}


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


_BACKEND = """
import pathlib, sys, time, zipfile

gate = pathlib.Path({gate!r})


def prepare_metadata_for_build_wheel(folder, settings=None):
    info = pathlib.Path(folder, "gated-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: gated\\nVersion: 1.0\\n")
    return info.name


def build_wheel(folder, settings=None, metadata=None):
    gate.with_suffix(".reached").touch()
    while not gate.exists():
        time.sleep(0.02)
    with zipfile.ZipFile(pathlib.Path(folder, "gated-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("gated-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: gated\\nVersion: 1.0\\n")
        wheel.writestr("gated-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("gated-1.0.dist-info/RECORD", "")
    return "gated-1.0-py3-none-any.whl"
"""


def put_gated(folder: Path, gate: Path) -> None:
    """The package `gated`: pip stands still in it until the file `gate` is there; `gate.reached` tells that it does."""
    project = (
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "gated"\nversion = "1.0"\n'
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "gated-1.0.tar.gz", "w:gz") as archive:
        for name, text in (
            ("pyproject.toml", project),
            ("backend.py", _BACKEND.format(gate=str(gate))),
            ("PKG-INFO", "Metadata-Version: 2.1\nName: gated\nVersion: 1.0\n"),
        ):
            entry = tarfile.TarInfo(f"gated-1.0/{name}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
