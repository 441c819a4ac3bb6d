"""Curves on disk: what is added, what begins anew, and the bytes that the browser reads."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorapod.client.console.curve_files import LOSS, CurveFiles
from lorapod.client.console.disk_cache import DiskCache

ID = "train_0123456789ab"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(tmp_path)
    yield cache
    cache.close()


@pytest.fixture
def curves(cache: DiskCache) -> CurveFiles:
    return CurveFiles(cache)


def points_of(cache: DiskCache, curves: CurveFiles, key: str = LOSS) -> list[tuple[int, float]]:
    kept = cache.content_by_digest(curves.all_of(ID)[key].digest)
    assert kept is not None
    return [(step, value) for step, value in struct.iter_unpack("<If", kept.path.read_bytes())]


def test_points_are_added_after_those_that_are_kept(cache: DiskCache, curves: CurveFiles) -> None:
    curves.add(ID, {LOSS: [(0, 0.5), (1, 0.25)], "lr": [(0, 1e-4)]}, afresh=False)
    curves.add(ID, {LOSS: [(1, 9.0), (2, 0.125)]}, afresh=False)

    assert points_of(cache, curves) == [(0, 0.5), (1, 0.25), (2, 0.125)]
    assert curves.all_of(ID)[LOSS].points == 3
    assert curves.all_of(ID)["lr"].points == 1
    assert curves.last_step(ID) == 2


def test_a_training_that_goes_on_from_an_earlier_step_begins_anew(
    cache: DiskCache, curves: CurveFiles
) -> None:
    curves.add(ID, {LOSS: [(0, 0.5), (900, 0.25)]}, afresh=False)
    curves.add(ID, {LOSS: [(0, 0.5), (400, 0.75)]}, afresh=True)

    assert points_of(cache, curves) == [(0, 0.5), (400, 0.75)]


def test_the_small_line_is_short_and_passes_by_what_is_no_number(curves: CurveFiles) -> None:
    curves.add(ID, {LOSS: [(step, math.nan if step % 2 else 1.0) for step in range(1000)]}, afresh=False)

    spark = curves.spark(ID)

    assert 2 <= len(spark) <= 48
    assert set(spark) == {1.0}


def test_what_has_no_curve_has_none(curves: CurveFiles) -> None:
    assert curves.all_of(ID) == {}
    assert curves.last_step(ID) is None
    assert curves.spark(ID) == []
