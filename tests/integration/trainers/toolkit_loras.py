"""LoRAs that the real AI Toolkit has saved, where one is installed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")
PYTHON = os.environ.get("AI_TOOLKIT_PYTHON", "")
MISSING = "no AI Toolkit: set AI_TOOLKIT_PATH to a checkout and AI_TOOLKIT_PYTHON to its Python"
_CHILD = Path(__file__).with_name("toolkit_lora_child.py")
_MADE_S = 240


def is_installed() -> bool:
    return Path(ROOT, "run.py").is_file() and Path(PYTHON).is_file()


def save_loras(folder: Path, names: Sequence[str]) -> None:
    """Write `<name>.safetensors` for each of the models of `toolkit_lora_child`."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [PYTHON, str(_CHILD), ROOT, str(folder), *names]
    subprocess.run(command, check=True, capture_output=True, timeout=_MADE_S)
