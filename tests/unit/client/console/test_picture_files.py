"""Small versions of images: none of one whose pixels would fill the memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.pictures import PictureFiles


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[PictureFiles]:
    cache = DiskCache(tmp_path)
    yield PictureFiles(cache)
    cache.close()


@pytest.mark.parametrize("side", [400, 9_000])
def test_an_image_of_too_many_pixels_is_shown_as_it_is(pictures: PictureFiles, side: int) -> None:
    written = io.BytesIO()
    Image.new("1", (side, side)).save(written, "PNG")
    pictures.keep("output/a.png", written.getvalue())
    digest = pictures.below("output/")["output/a.png"]

    small = pictures.small(digest, 192)

    assert small is not None
    assert (small.digest == digest) is (side == 9_000)
