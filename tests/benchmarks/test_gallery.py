"""A page of 200 photos with thumbnails, against a bare loop that decodes the same photos to thumbnails."""

from __future__ import annotations

import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image
from tests.benchmarks.report import Report

from lorapod.datasets.gallery.page import Gallery, PageQuery
from lorapod.workspace import Workspace

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

PHOTOS = 200
SIZE = (4000, 3000)
QUERY = PageQuery(
    thumbnail_px=192,
    resolutions=[1024],
    caption_ext=None,
    trigger_word=None,
    limit=PHOTOS,
    after=None,
    max_bytes=14_000_000,
)
MOST_FIRST_S = 3.0
MOST_SECOND_S = 0.3
MOST_MEMORY_BYTES = 150_000_000
#: Of the bare loop's time: hash, sharpness, headers, duplicates and the index come on top.
MOST_SHARE = 1.5


def write_photos(folder: Path) -> None:
    """JPEGs of 12 megapixels, 2 to 3 MB each: enlarged noise, different in every one."""
    for number in range(PHOTOS):
        noise = Image.effect_noise((500, 375), 60).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC)
        tint = Image.new("RGB", SIZE, (number, 90, 200))
        Image.blend(noise, tint, 0.3).save(folder / f"{number:03}.jpg", quality=90)


def bare_thumbnail(path: Path) -> int:
    with Image.open(path) as image:
        image.thumbnail((192, 192))
        file = io.BytesIO()
        image.convert("RGB").save(file, "WEBP", quality=75, method=2)
        return len(file.getvalue())


def test_a_page_of_photos(tmp_path: Path, report: Report) -> None:
    """Under 3 s the first time and 0.3 s the second, on two quiet cores; under 150 MB on top of what was there."""
    workspace = Workspace.create(tmp_path / "workspace")
    folder = workspace.training_data / "photos"
    folder.mkdir()
    write_photos(folder)
    paths = sorted(folder.iterdir())
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(bare_thumbnail, paths))
    bare_s = time.perf_counter() - began
    before = psutil.Process().memory_info().rss
    gallery = Gallery(workspace)
    began = time.perf_counter()
    page = gallery.page(folder, QUERY)
    first_s = time.perf_counter() - began
    grown_bytes = psutil.Process().memory_info().rss - before
    began = time.perf_counter()
    gallery.page(folder, QUERY)
    second_s = time.perf_counter() - began
    assert len(page.items) == PHOTOS
    report(
        f"First page of a gallery of {PHOTOS} photos of 12 megapixels",
        first_s,
        "s",
        against="bare thumbnails",
        reference=bare_s,
        at_most=max(MOST_FIRST_S, MOST_SHARE * bare_s),
    )
    report("Its second page", second_s, "s", at_most=MOST_SECOND_S)
    report("Memory for it", grown_bytes / 1e6, "MB", at_most=MOST_MEMORY_BYTES / 1e6)
