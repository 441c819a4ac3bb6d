from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from lorapod.datasets.looks.image_look import ImageLook, look_at_image
from lorapod.errors import InvalidInput, TooLarge

ORIENTATION = 0x0112
SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[ORIENTATION] = orientation
    return found


def saved(folder: Path, image: Image.Image, form: str = "PNG", **options: object) -> Path:
    path = folder / f"a{SUFFIX[form]}"
    image.save(path, form, **options)
    return path


def swapped_profile() -> bytes:
    """A profile in which red is green: what Pillow can make of a built-in one without a file."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for number in range(int.from_bytes(content[128:132])):
        at = 132 + 12 * number
        tag = bytes(content[at : at + 4])
        content[at : at + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"rXYZ"}.get(tag, tag)
    return bytes(content)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_plain_image_has_its_size_and_nothing_to_say(tmp_path: Path, form: str) -> None:
    look = look_at_image(saved(tmp_path, Image.new("RGB", (40, 30)), form))
    assert look == ImageLook(width=40, height=30, format=form)
    assert not look.fixable


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 30)), (2, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])  # fmt: skip
def test_the_size_is_that_after_rotation(
    tmp_path: Path, form: str, orientation: int, size: tuple[int, int]
) -> None:
    look = look_at_image(saved(tmp_path, Image.new("RGB", (40, 30)), form, exif=exif(orientation)))
    assert (look.width, look.height) == size
    assert look.rotated == (orientation != 1)
    assert not look.fixable


def test_metadata_after_the_pixels_of_a_png_turn_it_too(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (40, 30)))
    block = exif(6).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    content = path.read_bytes()
    path.write_bytes(content[:-12] + chunk + content[-12:])
    look = look_at_image(path)
    assert (look.width, look.height, look.rotated) == (30, 40, True)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "content", [b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff\x12\1", b"II", b"hm"]
)
def test_damaged_metadata_count_as_none(tmp_path: Path, form: str, content: bytes) -> None:
    path = saved(tmp_path, Image.new("RGB", (40, 30)), form, exif=b"Exif\0\0" + content)
    assert not look_at_image(path).rotated


def test_the_orientation_in_xmp_counts_if_there_is_no_other(tmp_path: Path) -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    path = saved(tmp_path, Image.new("RGB", (40, 30)), "JPEG", xmp=xmp)
    assert (look_at_image(path).width, look_at_image(path).height) == (30, 40)


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "RGBA"), ("PNG", "LA"), ("WEBP", "RGBA")],
)
def test_transparent_pixels_are_seen(tmp_path: Path, form: str, mode: str) -> None:
    image = Image.new(mode, (40, 30), (0,) * len(mode))
    path = saved(tmp_path, image, form)
    look = look_at_image(path)
    assert look.transparent is True
    assert look.fixable
    assert look_at_image(path, decode_alpha=False).transparent is None


def test_an_alpha_channel_that_is_opaque_is_no_transparency(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGBA", (40, 30), (9, 9, 9, 255)))
    assert look_at_image(path).transparent is False


def test_a_transparent_colour_is_transparency_if_it_is_used(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 255, 255, 255])
    assert look_at_image(saved(tmp_path, image, transparency=0)).transparent is False
    assert look_at_image(saved(tmp_path, image, transparency=1)).transparent is True


def test_grey_of_sixteen_bits_is_seen(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("I;16", (4, 4), 30_000))
    assert look_at_image(path).high_bit_depth
    assert not look_at_image(saved(tmp_path, Image.new("L", (4, 4)))).high_bit_depth


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_animation_is_seen(tmp_path: Path, form: str) -> None:
    frames = [Image.new("RGB", (4, 4), shade) for shade in ("red", "blue")]
    path = saved(tmp_path, frames[0], form, save_all=True, append_images=frames[1:])
    assert look_at_image(path).animated


def test_cmyk_is_seen(tmp_path: Path) -> None:
    assert look_at_image(saved(tmp_path, Image.new("CMYK", (4, 4)), "JPEG")).cmyk


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_colour_profile_counts_if_colours_change(tmp_path: Path, form: str) -> None:
    image = Image.new("RGB", (4, 4))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert look_at_image(saved(tmp_path, image, form, icc_profile=srgb)).profile is None
    look = look_at_image(saved(tmp_path, image, form, icc_profile=swapped_profile()))
    assert look.profile == "sRGB built-in"
    assert look.fixable


def test_a_damaged_colour_profile_counts_as_none(tmp_path: Path) -> None:
    assert look_at_image(saved(tmp_path, Image.new("RGB", (4, 4)), icc_profile=b"rubbish")).profile is None


def test_the_content_says_the_format(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGB", (4, 4)), "WEBP").rename(tmp_path / "3.jpg")
    assert look_at_image(path).format == "WEBP"


def test_only_the_header_of_a_webp_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.effect_noise((400, 300), 50).convert("RGB"), "WEBP")
    path.write_bytes(path.read_bytes()[:64])
    assert (look_at_image(path).width, look_at_image(path).height) == (400, 300)


@pytest.mark.parametrize("content", [b"RIFF\0\0\0\0WEBPVP8 ", b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0", b"RIFF\0\0\0\0WEBPJUNK\0\0\0\0"])  # fmt: skip
def test_a_damaged_webp_header_is_refused(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "a.webp").write_bytes(content)
    with pytest.raises(InvalidInput, match="WEBP header"):
        look_at_image(path)


def test_a_webp_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "a.webp").write_bytes(
        b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\0" + b"\xff\xff\0"
    )
    with pytest.raises(TooLarge, match="65536 x 65536"):
        look_at_image(path)


def test_what_is_damaged_behind_its_header_is_refused_if_it_is_decoded(tmp_path: Path) -> None:
    noise = Image.effect_noise((60, 60), 90).convert("RGBA")
    path = saved(tmp_path, noise)
    path.write_bytes(path.read_bytes()[:800])
    with pytest.raises(InvalidInput, match="cannot be decoded"):
        look_at_image(path)
