"""The bucket rule is AI Toolkit's own: the same sizes for the same images, where its source can be had."""

from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path

import pytest

from lorapod.dataset_reader.buckets import BucketRule

SOURCE = Path(os.environ.get("AI_TOOLKIT_PATH", ""), "toolkit", "buckets.py")


@pytest.mark.skipif(not SOURCE.is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout")
def test_buckets_are_those_of_ai_toolkit() -> None:
    spec = importlib.util.spec_from_file_location("toolkit_buckets", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    toolkit = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toolkit)
    dice = random.Random(1)
    for _ in range(20_000):
        width, height = (int(10 ** dice.uniform(0, 4)) for _ in range(2))
        resolution, step = dice.choice([256, 512, 768, 1000, 1024]), dice.choice([8, 16, 32, 64])
        real = toolkit.get_bucket_for_image_size(width, height, resolution, step)
        rule = BucketRule(resolution=resolution, step=step)
        assert rule.bucket(width, height) == (real["width"], real["height"])
