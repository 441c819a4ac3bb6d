from __future__ import annotations

import contextlib
import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lorapod.errors import InvalidInput, TooLarge, WorkerError
from lorapod.safety import images

SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def encoded(form: str, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    noise = random.Random(7).randbytes(size[0] * size[1] * 3)
    Image.frombytes("RGB", size, noise).convert(mode).save(file, form)
    return file.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("check", [images.verify, images.measure])
def test_a_whole_picture_has_format_and_size(tmp_path: Path, form: str, check: object) -> None:
    path = tmp_path / f"a{SUFFIX[form]}"
    path.write_bytes(encoded(form))
    assert callable(check)
    assert check(path) == images.ImageInfo(width=40, height=30, format=form)


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "P"), ("PNG", "1"), ("WEBP", "RGBA")]
)
def test_every_usual_mode_is_read(tmp_path: Path, form: str, mode: str) -> None:
    path = tmp_path / f"a{SUFFIX[form].upper()}"
    path.write_bytes(encoded(form, mode=mode))
    assert images.verify(path).width == 40


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_cut_off_picture_is_refused(tmp_path: Path, form: str, keep: float) -> None:
    path = tmp_path / f"a{SUFFIX[form]}"
    content = encoded(form, (200, 150))
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(InvalidInput, match="cut off or damaged"):
        images.verify(path)


def test_an_empty_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.touch()
    with pytest.raises(InvalidInput, match="empty: 0 bytes"):
        images.verify(path)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"a photo of matt", "but text"),
        (b"GIF89a" + bytes(20), "but GIF"),
        (b"BM" + bytes(20), "but BMP"),
        (b"\0\0\0\x1cftypavif" + bytes(20), "but AVIF"),
        (bytes(100), "not an image"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=sentence):
        images.verify(path)


def test_the_content_says_the_format_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "3.jpg"
    path.write_bytes(encoded("WEBP"))
    assert images.verify(path).format == images.measure(path).format == "WEBP"


def test_a_suffix_that_no_trainer_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(encoded("JPEG"))
    with pytest.raises(InvalidInput, match=r"a\.gif holds a JPEG") as caught:
        images.verify(path)
    assert caught.value.hint == "Name it a.jpg."


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("check", [images.verify, images.measure])
def test_the_size_is_that_after_rotation(tmp_path: Path, form: str, check: object) -> None:
    path = tmp_path / f"a{SUFFIX[form]}"
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path, form, exif=turned)
    assert callable(check)
    assert check(path) == images.ImageInfo(width=30, height=40, format=form)


@pytest.mark.parametrize(
    ("width", "height"), [(60_000, 60_000), (9_500, 9_500), (100_000, 1), (2**31 - 1, 2**31 - 1)]
)
def test_a_pixel_bomb_is_refused_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_claiming(width, height))
    with pytest.raises(TooLarge, match=f"{width} x {height}"):
        images.verify(path)


def test_the_given_name_is_the_one_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "f00.part"
    path.write_bytes(encoded("PNG"))
    assert images.verify(path, name="a.png").format == "PNG"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    )
)
def test_a_damaged_picture_is_read_or_refused_in_a_sentence(
    tmp_path: Path, form: str, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(encoded(form, (24, 24)))
    for place, value in changes:
        content[int(place * len(content))] = value
    path = tmp_path / f"a{SUFFIX[form]}"
    path.write_bytes(content)
    # Pillow's warnings about odd metadata are errors in tests only.
    with warnings.catch_warnings(), contextlib.suppress(WorkerError):
        warnings.simplefilter("ignore")
        images.verify(path)
