"""Upload of 8 MB of base64, against `base64.b64decode` and a write, measured in turn in the same run."""

from __future__ import annotations

import base64
import gc
import io
import os
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from tests.benchmarks.report import Report

from lorapod.datasets.library import DatasetLibrary
from lorapod.settings import Settings
from lorapod.wire.dataset import IncomingFile
from lorapod.workspace import Workspace

pytestmark = pytest.mark.benchmark

BASE64_BYTES = 8_000_000
ROUNDS = 25

#: What the project promises: this share of the reference's speed, this much memory beside the payload.
LEAST_SPEED_RATIO = 0.6
MOST_EXTRA_MEMORY = 1.5


@pytest.fixture
def library(tmp_path: Path) -> DatasetLibrary:
    settings = Settings(workspace_path=tmp_path / "workspace", disk_min_free_bytes=0)
    return DatasetLibrary(workspace=Workspace.create(tmp_path / "workspace"), settings=settings)


def payload() -> str:
    return base64.b64encode(random.Random(5).randbytes(BASE64_BYTES // 4 * 3)).decode()


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def in_turn(*calls: Callable[[], object], rounds: int = ROUNDS) -> list[tuple[float, float]]:
    """Median and fastest time of each in milliseconds; taken in turn, so that all see the same machine."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, kept in zip(calls, times, strict=True):
            kept.append(timed(call))
    return [(statistics.median(kept), min(kept)) for kept in times]


def test_speed(library: DatasetLibrary, tmp_path: Path, report: Report) -> None:
    content = payload()
    files = [IncomingFile(filename="a.zip", content=content)]
    plain = tmp_path / "plain"

    def reference() -> None:
        plain.write_bytes(base64.b64decode(content))

    def durable_reference() -> None:
        with plain.open("wb") as file:
            file.write(base64.b64decode(content))
            file.flush()
            os.fsync(file.fileno())

    def upload() -> None:
        library.receive(files, training_name="matt", extract=False)

    reference_times, durable_times, upload_times = in_turn(reference, durable_reference, upload)
    upload_ms, what = upload_times[0], f"An upload of {BASE64_BYTES / 1e6:.0f} MB of base64"
    report(what, upload_ms, "ms", against="decode, write and fsync", reference=durable_times[0])
    report(
        what,
        upload_ms,
        "ms",
        against="decode and write",
        reference=reference_times[0],
        ratio_at_most=1 / LEAST_SPEED_RATIO,
    )


def test_extra_memory(library: DatasetLibrary, report: Report) -> None:
    files = [IncomingFile(filename="a.zip", content=payload())]
    library.receive(files, training_name="warm", extract=False)
    gc.collect()
    tracemalloc.start()
    library.receive(files, training_name="matt", extract=False)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    report(
        "Memory of an upload",
        peak / 1e6,
        "MB",
        against="its payload",
        reference=BASE64_BYTES / 1e6,
        ratio_at_most=MOST_EXTRA_MEMORY,
    )


@pytest.mark.parametrize(("form", "suffix"), [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp")])
def test_pictures(library: DatasetLibrary, tmp_path: Path, report: Report, form: str, suffix: str) -> None:
    """Twenty pictures of a megapixel: what opening and decoding each costs on top; no promise."""
    noise = Image.frombytes("RGB", (128, 128), random.Random(5).randbytes(128 * 128 * 3))
    encoded = io.BytesIO()
    noise.resize((1024, 1024), Image.Resampling.BICUBIC).save(encoded, form, quality=92)
    content = base64.b64encode(encoded.getvalue()).decode()
    files = [IncomingFile(filename=f"{number}{suffix}", content=content) for number in range(20)]

    def reference() -> None:
        for number in range(20):
            (tmp_path / f"plain{number}").write_bytes(base64.b64decode(content))

    reference_times, upload_times = in_turn(
        reference, lambda: library.receive(files, training_name="matt"), rounds=3
    )
    report(
        f"An upload of 20 {form} of {len(content) // 1000} kB",
        upload_times[0],
        "ms",
        against="decode and write",
        reference=reference_times[0],
    )
