"""The invariant of datasets, on a few hundred generated ones; `tests/benchmarks/test_intake.py` tries 20,000."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.unit.datasets.intake_property import Buckets, Uploads


@pytest.mark.parametrize("seed", range(10))
def test_every_file_of_an_upload_is_there_or_named(tmp_path: Path, seed: int) -> None:
    uploads = Uploads(tmp_path / "workspace")
    outcomes = [uploads.attempt(random.Random(f"upload {seed} {number}")) for number in range(15)]
    assert outcomes.count("taken") > 5


@pytest.mark.parametrize("seed", range(4))
def test_every_image_of_a_bucket_is_there_or_named(tmp_path: Path, seed: int) -> None:
    buckets = Buckets(tmp_path / "workspace")
    outcomes = [buckets.attempt(random.Random(f"bucket {seed} {number}")) for number in range(8)]
    assert outcomes.count("taken") > 1
