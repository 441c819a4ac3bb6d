from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lorapod.engines.comfyui.files import fitted
from lorapod.errors import InvalidInput


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [
        (64, 48, (64, 48)),
        (100, None, (100, 50)),
        (None, 100, (200, 100)),
        (None, None, (400, 200)),
        (1, None, (1, 1)),
    ],
)
def test_it_has_the_size_that_is_asked_for(
    tmp_path: Path, width: int | None, height: int | None, size: tuple[int, int]
) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    Image.new("RGB", (400, 200), "red").save(source)

    assert fitted(source, target, width=width, height=height) == size
    with Image.open(target) as picture:
        assert picture.size == size


def test_it_covers_and_is_cut_evenly(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    picture = Image.new("RGB", (300, 100), "red")
    picture.paste("blue", (100, 0, 200, 100))
    picture.save(source)

    fitted(source, target, width=50, height=50)

    with Image.open(target) as cut:
        assert [cut.getpixel(place) for place in ((10, 25), (40, 25))] == [(0, 0, 255)] * 2


def test_it_is_turned_as_its_camera_was_held(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jpg", tmp_path / "out.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(source, exif=exif)

    assert fitted(source, target, width=None, height=None) == (20, 40)


def test_transparency_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    Image.new("RGBA", (4, 4), (1, 2, 3, 0)).save(source)

    fitted(source, target, width=None, height=None)

    with Image.open(target) as picture:
        assert picture.mode == "RGBA"


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(b"not a picture")

    with pytest.raises(InvalidInput, match="image"):
        fitted(source, tmp_path / "out.png", width=None, height=None)


def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    deep = Image.new("I;16", (3, 1))
    deep.putdata([0, 32_896, 65_535])
    deep.save(source)

    fitted(source, target, width=None, height=None)

    with Image.open(target) as picture:
        assert [picture.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]
