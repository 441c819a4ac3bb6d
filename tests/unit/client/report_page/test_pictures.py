from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

import pytest
from PIL import Image

from lorapod.client.errors import LorapodError
from lorapod.client.report_page.pictures import EmbeddedImage, PictureBook


def noise(folder: Path, count: int, side: int = 200) -> list[Path]:
    """Images that hardly compress."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        Image.effect_noise((side, side), 120).convert("RGB").save(path)
    return paths


def decoded(image: EmbeddedImage) -> Image.Image:
    head, _, data = image.source.partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize(
    ("budget_bytes", "expected"), [(1_000_000, 200), (250_000, 192), (100_000, 128), (50_000, 96)]
)
def test_all_images_fit_the_budget_and_are_as_large_as_it_allows(
    tmp_path: Path, budget_bytes: int, expected: int
) -> None:
    images = PictureBook().embed(noise(tmp_path, 10), budget_bytes)

    assert len(images) == 10
    assert sum(len(image.source) for image in images.values()) <= budget_bytes
    assert {decoded(image).width for image in images.values()} == {expected}


def test_of_images_that_cannot_all_fit_the_first_are_kept(tmp_path: Path) -> None:
    paths = noise(tmp_path, 12)

    images = PictureBook().embed(paths, 5_000)

    assert list(images) == paths[: len(images)]
    assert 0 < len(images) < 12


def test_small_images_keep_their_pixels(tmp_path: Path) -> None:
    (path,) = noise(tmp_path, 1, side=48)

    (image,) = PictureBook().embed([path], 1_000_000).values()

    with Image.open(path) as original:
        assert decoded(image).convert("RGB").tobytes() == original.tobytes()


def test_no_metadata_of_an_image_is_sent_on(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where it was taken"
    Image.new("RGB", (300, 200), "red").save(path, exif=exif)

    (image,) = PictureBook().embed([path], 1_000_000).values()

    assert (image.width, image.height) == (200, 300)
    assert b"where" not in base64.b64decode(image.source.partition(",")[2])


def test_an_animation_shows_its_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "clip.gif"
    frames = [Image.new("RGB", (150, 150), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])

    (image,) = PictureBook().embed([path], 1_000_000).values()

    assert image.animated
    assert decoded(image).convert("RGB").getpixel((75, 75)) == pytest.approx((255, 0, 0), abs=6)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_what_is_no_image_is_left_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)

    assert PictureBook().embed([path], 1_000_000) == {}


def test_without_pillow_the_page_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = noise(tmp_path, 1)
    monkeypatch.setitem(sys.modules, "PIL", None)

    with pytest.raises(LorapodError, match="Pillow") as caught:
        PictureBook().embed(paths, 1_000)
    assert "report" in caught.value.hint
