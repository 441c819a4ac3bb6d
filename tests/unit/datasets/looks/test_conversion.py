from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from tests.unit.datasets.looks.test_image_look import exif, swapped_profile

from lorapod.datasets.looks.conversion import Conversion, convert_image
from lorapod.datasets.looks.image_look import look_at_image
from lorapod.errors import InvalidInput, TooLarge

#: 16 x 8 pixels of one orange.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAADcAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNs"
    "eAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAIAAAAAf///9AAAAAC////yAAAAAIAAAAQcGl4"
    "aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAP21kYXQAAAAzKAGvBjIWhzSJIPC/dtf//9zX/Zfv9WrNbJ64R+hj"
    "x+S3kJGe9F97GFLlPHQg9JxTuc2A"
)


def content(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def converted(
    folder: Path, image: Image.Image, form: str, name: str, *, fix: bool = True, **options: object
) -> tuple[Conversion | None, Image.Image]:
    """What was said, and the image as a trainer opens it afterwards."""
    (path := folder / "copy").write_bytes(content(image, form, **options))
    said = convert_image(path, name, fix=fix)
    with Image.open(path) as now:
        now.load()
        return said, now


@pytest.mark.parametrize(
    ("form", "name", "stored"),
    [
        ("GIF", "a.gif", "a.png"),
        ("BMP", "a.BMP", "a.png"),
        ("TIFF", "a.tiff", "a.png"),
        ("AVIF", "a.b.avif", "a.b.jpg"),
        ("GIF", "really a gif.png", "really a gif.png"),
    ],
)
@pytest.mark.parametrize("fix", [True, False])
def test_formats_that_trainers_do_not_read_are_converted(
    tmp_path: Path, form: str, name: str, stored: str, *, fix: bool
) -> None:
    said, now = converted(tmp_path, Image.new("RGB", (16, 8), (250, 40, 10)), form, name, fix=fix)
    assert said == Conversion(name=stored, what=[f"converted from {form}"])
    assert now.size == (16, 8)
    assert now.format == ("JPEG" if form == "AVIF" else "PNG")
    assert near(now.convert("RGB").getpixel((3, 3)), (250, 40, 10))


def near(one: object, other: Sequence[int]) -> bool:
    assert isinstance(one, tuple)
    return all(abs(a - b) <= 6 for a, b in zip(one, other, strict=True))


def test_a_heic_is_converted(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif", reason="a dependency that an older environment lacks")
    (path := tmp_path / "copy").write_bytes(HEIC)
    assert convert_image(path, "IMG_1.HEIC", fix=False) == Conversion(
        name="IMG_1.jpg", what=["converted from HEIC"]
    )
    with Image.open(path) as now:
        assert (now.format, now.size) == ("JPEG", (16, 8))
        assert near(now.getpixel((3, 3)), (250, 40, 10))


def test_a_heic_that_cannot_be_converted_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorapod.datasets.looks.foreign_formats.find_spec", lambda _name: None)
    (path := tmp_path / "copy").write_bytes(HEIC)
    with pytest.raises(InvalidInput, match=r"IMG_1\.HEIC is HEIC, which trainers do not read") as caught:
        convert_image(path, "IMG_1.HEIC", fix=False)
    assert "Most Compatible" in caught.value.hint
    assert path.read_bytes() == HEIC


def test_what_trainers_read_is_left_alone_without_fix(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (4, 4), (9, 9, 9, 0))
    said, now = converted(tmp_path, clear, "PNG", "a.png", fix=False)
    assert (said, now.mode) == (None, "RGBA")


def test_what_looks_the_same_to_trainers_is_left_alone(tmp_path: Path) -> None:
    turned = Image.new("RGB", (4, 8))
    (path := tmp_path / "copy").write_bytes(before := content(turned, "JPEG", exif=exif(6)))
    assert convert_image(path, "a.jpg", fix=True) is None
    assert path.read_bytes() == before


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    image.putpixel((0, 0), (255, 0, 0, 255))
    said, now = converted(tmp_path, image, "PNG", "a.png")
    assert said == Conversion(name="a.png", what=["laid on white"])
    assert (now.mode, now.getpixel((0, 0)), now.getpixel((3, 3))) == ("RGB", (255, 0, 0), (255, 255, 255))


def test_a_transparent_webp_becomes_a_png(tmp_path: Path) -> None:
    said, now = converted(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "WEBP", "a.webp")
    assert said == Conversion(name="a.png", what=["laid on white"])
    assert now.getpixel((3, 3)) == (255, 255, 255)


def test_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    image = Image.new("I;16", (4, 4), 0x8080)
    said, now = converted(tmp_path, image, "PNG", "a.png")
    assert said == Conversion(name="a.png", what=["scaled from 16 bits to 8"])
    assert (now.mode, now.getpixel((0, 0))) == ("L", 0x80)
    now.save(tmp_path / "again.png")
    assert not look_at_image(tmp_path / "again.png").fixable


def test_a_float_tiff_keeps_its_range(tmp_path: Path) -> None:
    image = Image.new("F", (2, 1), -1.5)
    image.putpixel((1, 0), 2.5)
    said, now = converted(tmp_path, image, "TIFF", "a.tif")
    assert said == Conversion(name="a.png", what=["converted from TIFF", "scaled from 16 bits to 8"])
    assert [now.getpixel((0, 0)), now.getpixel((1, 0))] == [0, 255]


@pytest.mark.parametrize(("form", "name"), [("WEBP", "a.webp"), ("PNG", "a.png"), ("GIF", "a.gif")])
def test_the_first_frame_is_kept(tmp_path: Path, form: str, name: str) -> None:
    frames = [Image.new("RGB", (4, 4), shade) for shade in ((200, 0, 0), (0, 0, 200))]
    said, now = converted(
        tmp_path, frames[0], form, name, save_all=True, append_images=frames[1:], lossless=True
    )
    assert said is not None
    assert said.name == "a.png"
    assert "kept the first of 2 frames" in said.what
    assert getattr(now, "n_frames", 1) == 1
    assert near(now.convert("RGB").getpixel((0, 0)), (200, 0, 0))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    said, now = converted(tmp_path, Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG", "a.jpeg")
    assert said == Conversion(name="a.jpeg", what=["converted from CMYK to sRGB"])
    assert now.mode == "RGB"


def test_a_colour_profile_is_applied_and_dropped(tmp_path: Path) -> None:
    red = Image.new("RGB", (8, 8), (220, 20, 20))
    said, now = converted(tmp_path, red, "PNG", "a.png", icc_profile=swapped_profile())
    assert said == Conversion(name="a.png", what=["converted from sRGB built-in to sRGB"])
    assert "icc_profile" not in now.info
    pixel = now.getpixel((0, 0))
    assert isinstance(pixel, tuple)
    assert pixel[1] > pixel[0], "the profile says that red is green"


def test_the_rotation_is_applied_with_the_rest(tmp_path: Path) -> None:
    image = Image.new("RGBA", (4, 8), (0, 0, 0, 0))
    said, now = converted(tmp_path, image, "PNG", "a.png", exif=exif(6))
    assert said == Conversion(name="a.png", what=["turned upright", "laid on white"])
    assert now.size == (8, 4)
    assert not now.getexif()


@pytest.mark.parametrize("form", ["GIF", "TIFF", "AVIF", "BMP"])
@pytest.mark.parametrize("keep", [0.2, 0.6])
def test_a_damaged_one_is_refused_and_left_as_it_is(tmp_path: Path, form: str, keep: float) -> None:
    whole = content(Image.effect_noise((60, 60), 90).convert("RGB"), form)
    (path := tmp_path / "copy").write_bytes(before := whole[: int(len(whole) * keep)])
    with pytest.raises(InvalidInput, match=r"a\.x is cut off or damaged"):
        convert_image(path, "a.x", fix=False)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["copy"]


def test_a_pixel_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    gif = b"GIF89a" + b"\xff\xff\xff\xff" + b"\0\0\0," + bytes(4) + b"\xff\xff\xff\xff\0\2\0;"
    (path := tmp_path / "copy").write_bytes(gif)
    with pytest.raises(TooLarge, match="65535 x 65535"):
        convert_image(path, "a.gif", fix=False)


def test_a_file_that_is_no_image_is_none_of_its_business(tmp_path: Path) -> None:
    (path := tmp_path / "copy").write_bytes(b"a caption")
    assert convert_image(path, "a.txt", fix=True) is None
