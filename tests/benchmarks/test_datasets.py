"""What a look into a large dataset costs: 2,500 images of 5 GB with captions, against a plain pass over the same files."""

from __future__ import annotations

import gc
import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from PIL import Image
from tests.benchmarks.report import Report

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.datasets.check import inspect

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

IMAGES = 2_500
BYTES_EACH = 2_000_000

#: What the project promises.
MOST_RATIO = 1.5
MOST_SECOND_LOOK_S = 1.0
MOST_MEMORY_BYTES = 150_000_000

ROUNDS = 5


def images() -> Iterator[tuple[str, bytes]]:
    """Yield suffix and content of what people have: photos, screenshots with an alpha channel, WebP."""
    noise = random.Random(1).randbytes(1750 * 1250 * 3)
    photo = Image.frombytes("RGB", (1750, 1250), noise)
    shot = Image.frombytes("RGB", (820, 820), noise[: 820 * 820 * 3])
    alpha = Image.frombytes("RGBA", (820, 820), noise[: 820 * 820 * 4])
    alpha.putalpha(255)
    turned = Image.Exif()
    turned[0x0112] = 6
    for image, form, options in (
        (photo, "JPEG", {"quality": 92}),
        (photo, "JPEG", {"quality": 92, "exif": turned}),
        (shot, "PNG", {"compress_level": 1}),
        (alpha, "PNG", {"compress_level": 1}),
        (photo, "WEBP", {"quality": 95, "method": 0}),
    ):
        file = io.BytesIO()
        image.save(file, form, **options)
        assert file.tell() >= BYTES_EACH, (form, file.tell())
        yield f".{form.lower()}", file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The dataset; removed afterwards, since it is large."""
    folder = tmp_path_factory.mktemp("large")
    kinds = list(images())
    for number in range(IMAGES):
        # Most are photos; a screenshot of ten has an alpha channel.
        suffix, content = kinds[(0, 0, 0, 1, 1, 2, 2, 0, 3, 4)[number % 10]]
        # No two have one size; what a camera writes after the image may differ too.
        (folder / f"{number:05}{suffix}").write_bytes(content + bytes(number))
        (folder / f"{number:05}.txt").write_text(f"a photo, number {number}")
    yield folder
    for path in folder.iterdir():
        path.unlink()


def plain_pass(folder: Path) -> None:
    """Open each file, images as trainers do, but decode nothing."""
    for path in sorted(folder.iterdir()):
        if path.suffix == ".txt":
            path.read_text()
        else:
            with Image.open(path) as image:
                assert image.size[0] > 100


class Cost(NamedTuple):
    """What a pass took. The processor's time decides: on a machine that others use, the clock's says little."""

    cpu_s: float
    wall_s: float


def timed(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def peak_bytes(work: Callable[[], object]) -> int:
    """How much the process grows at most while it works."""
    process, done, most = psutil.Process(), threading.Event(), 0

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, process.memory_info().rss)

    gc.collect()
    before = process.memory_info().rss
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        work()
    finally:
        done.set()
        thread.join()
    return most - before


def test_a_look_costs_little_more_than_to_open_each_file(folder: Path, report: Report) -> None:
    size_bytes = sum(path.stat().st_size for path in folder.iterdir())
    assert size_bytes >= IMAGES * BYTES_EACH

    def look() -> None:
        # As a worker does that has not seen the dataset: the files' own times tell it apart from the round before.
        for path in folder.iterdir():
            path.touch()
        took.append(timed(lambda: inspect(DatasetEntry(folder=folder, resolution=(512, 1024)))))

    took: list[Cost] = []
    plain: list[Cost] = []
    plain_pass(folder)
    for _ in range(ROUNDS):
        plain.append(timed(lambda: plain_pass(folder)))
        look()
    grown = peak_bytes(look)
    second = timed(lambda: inspect(DatasetEntry(folder=folder, resolution=(512, 1024))))
    summary = inspect(DatasetEntry(folder=folder))
    assert (summary.images, summary.captions, list(summary.errors)) == (IMAGES, IMAGES, [])
    looked = f"A look into {IMAGES} images of {size_bytes / 1e9:.1f} GB"
    against = "to open each file once"
    report(
        f"{looked}, of a processor",
        min(took).cpu_s,
        "s",
        against=against,
        reference=min(plain).cpu_s,
        ratio_at_most=MOST_RATIO,
    )
    report(
        f"{looked}, on the clock",
        min(one.wall_s for one in took),
        "s",
        against=against,
        reference=min(one.wall_s for one in plain),
    )
    report("A second look, of a processor", second.cpu_s, "s", at_most=MOST_SECOND_LOOK_S)
    report("Memory of a look", grown / 1e6, "MB", at_most=MOST_MEMORY_BYTES / 1e6)
