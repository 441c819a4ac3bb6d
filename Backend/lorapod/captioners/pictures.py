"""Open the images of a captioning as models take them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps

#: Models see no more than this of a side, in pixels; more would only cost memory.
SIDE = 1024


def open_picture(path: Path) -> Image.Image:
    """Return an image upright, without transparency, no larger than `SIDE`.

    Raises:
        OSError, ValueError, SyntaxError: it cannot be read.
        Image.DecompressionBombError: it has too many pixels.
    """
    with Image.open(path) as opened:
        # JPEGs are decoded small at once, which is several times faster.
        opened.draft("RGB", (SIDE, SIDE))
        upright = ImageOps.exif_transpose(opened)
        upright.thumbnail((SIDE, SIDE))
        if upright.has_transparency_data:
            ground = Image.new("RGBA", upright.size, "white")
            upright = Image.alpha_composite(ground, upright.convert("RGBA"))
        return upright.convert("RGB")


def contact_sheet(pictures: list[Image.Image]) -> Image.Image:
    """Return one image with all pictures, two in a row, for models that look at one image."""
    if len(pictures) == 1:
        return pictures[0]
    width, height = pictures[0].size
    rows = (len(pictures) + 1) // 2
    sheet = Image.new("RGB", (2 * width, rows * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture.resize((width, height)), (index % 2 * width, index // 2 * height))
    sheet.thumbnail((SIDE, SIDE))
    return sheet
