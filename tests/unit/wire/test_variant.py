"""What is special to a training of a sweep, in words."""

from __future__ import annotations

from typing import Any

import pytest

from lorapod.wire.variant import variant_label


@pytest.mark.parametrize(
    ("variant", "label"),
    [
        ({}, ""),
        ({"rank": 8, "learning_rate": 0.1 + 0.2}, "rank 8, learning rate 0.3"),
        ({"network": {"type": "lokr", "rank": 4}}, "network type lokr, network rank 4"),
        (
            {"resolution": [512, 768], "low_vram": True, "ema": False},
            "resolution 512 + 768, low vram on, ema off",
        ),
        (
            {"sample_prompts": [], "trigger_word": "", "network": {}},
            "sample prompts none, trigger word none, network none",
        ),
        ({"class_word": " a\n dog "}, "class word a dog"),
        ({"model": "x" * 100}, f"model {'x' * 39}…"),
    ],
)
def test_a_variant_in_words(variant: dict[str, Any], label: str) -> None:
    assert variant_label(variant) == label
