from __future__ import annotations

from typing import Any

import pytest

from lorapod.engines.comfyui.server_probe import held_bytes, is_local


@pytest.mark.parametrize(
    ("devices", "held"),
    [
        ([{"type": "cuda", "torch_vram_total": 5}, {"type": "cuda", "torch_vram_total": 7}], 12),
        ([{"type": "cpu", "torch_vram_total": 5}], 0),
        ([{"type": "cuda"}, None], 0),
        (None, 0),
    ],
)
def test_only_memory_of_gpus_counts(devices: Any, held: int) -> None:
    assert held_bytes({"devices": devices}) == held


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8188", True),
        ("http://localhost:8188", True),
        ("http://[::1]:8188", True),
        ("http://0.0.0.0:8188", True),
        ("http://10.0.0.7:8188", False),
        ("https://comfy.example", False),
    ],
)
def test_this_machines_addresses_are_known(url: str, *, local: bool) -> None:
    assert is_local(url) is local
