from __future__ import annotations

import pytest

from lorapod.dataset_reader.buckets import BucketRule, bucket_step

RULE = BucketRule(resolution=512, step=16)


# The numbers are those of AI Toolkit 0.12.26, run on the same sizes.
@pytest.mark.parametrize(
    ("size", "bucket"),
    [((4000, 3000), (576, 448)), ((3000, 200), (1984, 128)), ((100, 90), (112, 80)), ((20, 20), (16, 32))],
)
def test_buckets_are_those_of_the_trainer(size: tuple[int, int], bucket: tuple[int, int]) -> None:
    assert RULE.bucket(*size) == bucket


def test_a_square_at_the_resolution_loses_nothing() -> None:
    assert RULE.cropped_part(1024, 1024) == 0
    assert RULE.cropped_part(512, 512) == 0


def test_a_tiny_image_loses_much() -> None:
    assert RULE.cropped_part(30, 20) == pytest.approx(0.67, abs=0.01)


def test_a_square_crop_loses_what_stands_over() -> None:
    assert BucketRule(resolution=512, square=True).cropped_part(2048, 1024) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("arch", "step"), [("sdxl", 16), ("flux", 32), ("wan22_5b", 32), ("wan21:14b", 16), (None, 16)])  # fmt: skip
def test_the_step_is_the_models(arch: str | None, step: int) -> None:
    assert bucket_step(arch) == step
