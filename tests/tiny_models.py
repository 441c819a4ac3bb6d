"""The builtin trainer's toy base models, and LoRAs for them; made once for all tests of a run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lorapod.cached_models import CachedModels
from lorapod.model_paths import cached_repository

#: Tensors this small are slower on two threads than on one.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

#: The environment variable with the folder of one run of the suite; all its workers share it.
SHELF = "LORAPOD_TESTS_TINY"

_MAKER_S = 90.0


@cache
def tiny_model(arch: str = "sd1") -> Path:
    """A folder with a base model whose weights are random; not to be written to."""
    shelf = Path(os.environ[SHELF])
    folder = shelf / arch
    with (shelf / f"{arch}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two workers of the suite want it at once
        if not folder.exists():
            _make(shelf / f"{arch}.new", arch)
            (shelf / f"{arch}.new").rename(folder)
    return folder


def _make(folder: Path, arch: str) -> None:
    command = [sys.executable, "-m", "lorapod.trainers.builtin.tiny", str(folder)]
    subprocess.run(
        [*command, "--arch", arch, "--fit-steps", "0"],
        check=True,
        capture_output=True,
        timeout=_MAKER_S,
        env={**os.environ, **ENVIRONMENT},
    )


def place_tiny(target: Path, arch: str = "sd1") -> Path:
    """A copy of the model at `target`."""
    shutil.copytree(tiny_model(arch), target)
    return target


def keep_tiny_ready(host: Path, hub_id: str, hub_home: Path) -> None:
    """Have RunPod keep the model on the host under that id, and link it for programs with this `HF_HOME`."""
    models = CachedModels(platform=host, hub_cache=hub_home / "hub")
    shutil.copytree(tiny_model(), cached_repository(host, hub_id) / "snapshots" / ("a1" * 20))
    assert models.link() == [hub_id]


def write_lora(
    path: Path, *, seed: int = 0, arch: str = "sd1", peft_names: bool = False, rank: int = 2
) -> Path:
    """A LoRA of random weights for the attention of the tiny model's UNet.

    Args:
        path: where it goes.
        seed: of its weights.
        arch: whose model it fits.
        peft_names: name tensors as peft does, else as kohya's scripts.
        rank: its rank.
    """
    import numpy as np
    from safetensors.numpy import save_file

    random = np.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for name, (outputs, inputs) in _attention(tiny_model(arch)):
        down = random.normal(0, 0.5, (rank, inputs)).astype(np.float32)
        up = random.normal(0, 0.5, (outputs, rank)).astype(np.float32)
        if peft_names:
            tensors |= {f"unet.{name}.lora_A.weight": down, f"unet.{name}.lora_B.weight": up}
        else:
            flat = f"lora_unet_{name.replace('.', '_')}"
            tensors |= {f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up}
            tensors[f"{flat}.alpha"] = np.array(rank, dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def _attention(model: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    data = next((model / "unet").glob("*.safetensors")).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    for name, entry in json.loads(data[8 : 8 + length]).items():
        module, _, kind = name.rpartition(".")
        if kind == "weight" and module.endswith((".to_q", ".to_v")):
            yield module, tuple(entry["shape"])
