from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorapod.files.image_header import ImageHeader, image_header


def save(path: Path, form: str, frames: int) -> Path:
    first, *rest = (Image.new("RGB", (6, 4), (40 * number, 0, 0)) for number in range(frames))
    more = {"save_all": True, "append_images": rest} if rest else {}
    first.save(path, form, **more)
    return path


@pytest.mark.parametrize(
    ("form", "still", "moving"),
    [
        ("PNG", "image/png", "image/apng"),
        ("WEBP", "image/webp", "image/webp"),
        ("GIF", "image/gif", "image/gif"),
        ("AVIF", "image/avif", "image/avif"),
    ],
)
def test_frames_and_not_the_suffix_make_an_animation(
    form: str, still: str, moving: str, tmp_path: Path
) -> None:
    one, three = save(tmp_path / "a.png", form, 1), save(tmp_path / "b.png", form, 3)

    assert image_header(one) == ImageHeader(width=6, height=4, animated=False, content_type=still)
    assert image_header(three) == ImageHeader(width=6, height=4, animated=True, content_type=moving)


def test_pages_are_no_animation(tmp_path: Path) -> None:
    header = image_header(save(tmp_path / "a.tiff", "TIFF", 2))
    assert header is not None
    assert not header.animated


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"a text"])
def test_what_is_not_an_image_has_no_header(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert image_header(path) is None
