from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.unit.datasets.looks.test_conversion import HEIC

from lorapod.errors import InvalidInput, TooLarge
from lorapod.safety.conversion import as_input_image, in_8_bits

RED, GREEN = (255, 0, 0), (0, 255, 0)


def save(path: Path, *frames: Image.Image, form: str, **more: Any) -> Path:
    if len(frames) > 1:
        more |= {"save_all": True, "append_images": frames[1:]}
    frames[0].save(path, form, **more)
    return path


def plain(colour: Any = RED, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (8, 4), colour)


def steps(mode: str, values: list[Any]) -> Image.Image:
    """One pixel for each value."""
    image = Image.new(mode, (len(values), 1))
    image.putdata(values)
    return image


def pixels(path: Path) -> list[Any]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        red = image.convert("RGB").getchannel("R")
        return [red.getpixel((x, 0)) for x in range(image.width)]


@pytest.mark.parametrize(
    ("form", "frames", "says"),
    [
        ("GIF", 3, "image: converted from GIF to PNG, only the first of its 3 frames is used."),
        ("BMP", 1, "image: converted from BMP to PNG."),
        ("TIFF", 2, "only the first of its 2 frames is used"),
        ("AVIF", 1, "image: converted from AVIF to PNG."),
    ],
)
def test_a_format_that_engines_do_not_read_is_converted(
    form: str, frames: int, says: str, tmp_path: Path
) -> None:
    colours = [RED, GREEN, (0, 0, 255)][:frames]
    # Its name says something else.
    path = save(tmp_path / "fox.png", *[plain(colour) for colour in colours], form=form)

    made, told = as_input_image(path, name="image")

    assert told is not None
    assert says in told
    assert made == tmp_path / "fox.png"
    assert list(tmp_path.iterdir()) == [made]
    with Image.open(made) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (8, 4), "RGB")
        red, green, blue = image.getpixel((0, 0))  # type: ignore[misc] # RGB has three
        assert red > 250
        assert max(green, blue) < 5


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_a_format_that_engines_read_stays_as_it_is(form: str, tmp_path: Path) -> None:
    path = save(tmp_path / "fox.gif", plain(), form=form)
    content = path.read_bytes()

    made, told = as_input_image(path, name="image")

    assert told is None
    assert made.read_bytes() == content
    assert made.suffix == {"PNG": ".png", "WEBP": ".webp", "JPEG": ".jpg"}[form]


def test_transparency_and_rotation_survive(tmp_path: Path) -> None:
    see_through = save(tmp_path / "a.gif", plain((255, 0, 0, 0), "RGBA"), form="GIF")
    turned = plain()
    exif = turned.getexif()
    exif[0x0112] = 6
    on_its_side = save(tmp_path / "b.tiff", turned, form="TIFF", exif=exif)

    with Image.open(as_input_image(see_through, name="image")[0]) as image:
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema() == (0, 0)
    with Image.open(as_input_image(on_its_side, name="image")[0]) as image:
        assert image.size == (4, 8)


@pytest.mark.parametrize(
    ("form", "mode", "values", "expected"),
    [
        ("PNG", "I;16", [0, 257, 32_896, 65_535], [0, 1, 128, 255]),
        ("TIFF", "I;16", [0, 257, 32_896, 65_535], [0, 1, 128, 255]),
        ("TIFF", "I;16B", [0, 257, 32_896, 65_535], [0, 1, 128, 255]),
        ("TIFF", "I", [0, 257, 32_896, 65_535], [0, 1, 128, 255]),
        ("TIFF", "I", [0, 100_000, 200_000], [0, 128, 255]),
        ("TIFF", "F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("TIFF", "F", [-1.0, 0.0, 2.0, 4.0], [0, 0, 128, 255]),
    ],
)
def test_deep_values_are_scaled_and_not_clipped(
    form: str, mode: str, values: list[Any], expected: list[int], tmp_path: Path
) -> None:
    path = save(tmp_path / "deep.any", steps(mode, values), form=form)

    made, told = as_input_image(path, name="mask")

    assert pixels(made) == expected
    assert told is not None
    assert "scaled to 8 bits" in told
    assert made.suffix == ".png"


def test_a_picture_of_a_phone_is_converted(tmp_path: Path) -> None:
    (path := tmp_path / "IMG_1.png").write_bytes(HEIC)

    made, told = as_input_image(path, name="image")

    assert told == "image: converted from HEIC to PNG."
    with Image.open(made) as image:
        assert (image.format, image.size) == ("PNG", (16, 8))


def test_an_image_of_8_bits_is_not_touched() -> None:
    image = plain()
    assert in_8_bits(image) is image


@pytest.mark.parametrize("form", ["GIF", "BMP", "TIFF", "AVIF"])
def test_a_damaged_image_is_refused(form: str, tmp_path: Path) -> None:
    path = save(tmp_path / "fox.any", Image.effect_noise((64, 64), 80), form=form)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(InvalidInput, match=rf"^images\.1: the {form} image is cut off or damaged\.$"):
        as_input_image(path, name="images.1")


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "is empty: 0 bytes"), (b"GIF8", "GIF"), (b"%PDF-1.7", "is not an image")]
)
def test_a_file_that_is_not_an_image_is_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "fox.any"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=says):
        as_input_image(path, name="image")


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "large.any", plain(), form="BMP")
    content = bytearray(path.read_bytes())
    content[18:26] = (50_000).to_bytes(4, "little") * 2
    path.write_bytes(content)

    with pytest.raises(TooLarge, match="50000 x 50000 pixels"):
        as_input_image(path, name="image")
