"""Model files of a few bytes that look like real ones."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LORA: Mapping[str, Any] = {
    "unet.a.lora_A.weight": {"dtype": "F16", "shape": [4, 8], "data_offsets": [0, 64]},
    "unet.a.lora_B.weight": {"dtype": "F16", "shape": [8, 4], "data_offsets": [64, 128]},
}
WHOLE: Mapping[str, Any] = {"unet.a.weight": {"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128]}}


def put_model(
    path: Path,
    tensors: Mapping[str, Any] = LORA,
    *,
    data: bytes = bytes(128),
    metadata: Mapping[str, str] | None = None,
    **notes: str,
) -> Path:
    """A safetensors file, with the folders that it needs; `notes` are metadata too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"__metadata__": {**(metadata or {}), **notes}, **tensors}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path
