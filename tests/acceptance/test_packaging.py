from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lorapod

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
#: Both distributions are of this tree, and pip comes with each environment: they have no pin.
NOT_PINNED = {"lorapod", "lorapod-client", "pip"}
EXTRAS = frozenset(metadata.metadata("lorapod").get_all("Provides-Extra", []))
#: Gigabytes, or seconds of start-up, that a light worker must not carry.
HEAVY = {"accelerate", "diffusers", "matplotlib", "numpy", "peft", "torch", "transformers"}


def requirements(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed distribution asks for on this machine."""
    found = []
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}
        ):
            found.append(requirement)
    return found


def closure(extras: frozenset[str]) -> set[str]:
    """Every distribution that `pip install .[extras]` brings, by its canonical name."""
    seen: set[tuple[str, str]] = set()
    waiting = [("lorapod", extras)]
    while waiting:
        name, wanted = waiting.pop()
        for requirement in requirements(name, wanted):
            key = (canonicalize_name(requirement.name), ",".join(sorted(requirement.extras)))
            if key not in seen:
                seen.add(key)
                waiting.append((key[0], frozenset(requirement.extras)))
    return {name for name, _ in seen} - NOT_PINNED


def pins() -> dict[str, str]:
    lines = [line for line in LOCK.read_text("utf-8").splitlines() if not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def test_the_light_worker_brings_nothing_heavy() -> None:
    light = closure(frozenset())

    assert {"runpod", "pydantic", "safetensors"} <= light
    assert light & HEAVY == set()


@pytest.mark.torch
def test_the_builtin_extra_brings_what_training_needs() -> None:
    assert {"accelerate", "diffusers", "peft", "torch", "transformers"} <= closure(frozenset({"builtin"}))


def test_every_distribution_is_pinned_to_what_is_installed() -> None:
    locked = pins()
    # Builds of torch differ by machine and bring their own libraries (CUDA); torch itself is pinned.
    installed = {name: metadata.version(name).split("+")[0] for name in closure(EXTRAS) if name in locked}
    unpinned = {
        name for name in closure(EXTRAS) - set(locked) if not name.startswith(("cuda-", "nvidia-", "triton"))
    }

    assert unpinned == set(), "pyproject.toml asks for more than requirements.lock pins: run `make lock`"
    assert installed == {name: version for name, version in locked.items() if name in installed}


def test_the_lock_names_versions_alone() -> None:
    odd = [
        line
        for line in LOCK.read_text("utf-8").splitlines()[1:]
        if not re.fullmatch(r"[a-z0-9-]+==[\w.]+", line)
    ]

    assert odd == []


def test_the_version_has_one_source() -> None:
    assert metadata.version("lorapod") == lorapod.__version__


def test_the_console_script_is_there() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="lorapod")

    assert callable(script.load())


@pytest.mark.parametrize("entry", ["Backend/rp_handler.py", "SimpleBackend/handler.py"])
def test_building_a_worker_imports_nothing_heavy(tmp_path: Path, entry: str) -> None:
    code = (
        f"import sys, {Path(entry).stem} as entry; entry.worker();"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "WORKSPACE_PATH": str(tmp_path),
        "PYTHONPATH": str((ROOT / entry).parent),
    }

    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )

    imported = set(told.stdout.split())
    assert "lorapod" in imported
    assert imported & (HEAVY | {"boto3", "rich", "runpod", "typer"}) == set()
