"""Twenty thousand generated zips, tars, uploads and buckets: what goes in comes out, or is named; nothing escapes."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from tests.benchmarks.report import Report
from tests.unit.datasets.intake_property import Buckets, Uploads

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(7200)]

UPLOADS, BUCKETS = 16_000, 4_000


def test_twenty_thousand_datasets(tmp_path: Path, report: Report) -> None:
    outcomes: Counter[str] = Counter()
    (outside := tmp_path / "outside").mkdir()
    for kind, source, count in (
        ("upload", Uploads(tmp_path / "uploads"), UPLOADS),
        ("bucket", Buckets(tmp_path / "buckets"), BUCKETS),
    ):
        for number in range(count):
            seed = f"{kind} of twenty thousand {number}"
            try:
                outcomes[f"{kind} {source.attempt(random.Random(seed))}"] += 1
            except Exception as error:
                error.add_note(f"The seed was {seed!r}.")
                raise
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "uploads", "buckets"}
    assert not any(outside.iterdir())
    for name, count in sorted(outcomes.items()):
        report(f"Generated datasets, {name}", count)
    assert outcomes["upload taken"] > UPLOADS / 2
    assert outcomes["bucket taken"] > BUCKETS / 4
