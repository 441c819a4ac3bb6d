"""The input image, made to fit what the workflow will make of it."""

from __future__ import annotations

from pathlib import Path

from lorapod.errors import InvalidInput

#: PNG at its fastest: the file lives for one job, on this machine.
_COMPRESSION = 1


def fitted(source: Path, target: Path, *, width: int | None, height: int | None) -> tuple[int, int]:
    """Write the image to `target` as PNG, upright, in the size asked for; answers that size.

    With both sides given it covers them, and what is too much is cut off evenly; with one the other follows; with none
    it keeps its size.

    Raises:
        InvalidInput: the image cannot be decoded.
        OSError: `target` cannot be written.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(source) as opened:
            image = ImageOps.exif_transpose(opened)
            image = image.convert(
                "RGBA" if "A" in image.getbands() or "transparency" in image.info else "RGB"
            )
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput("image: the image cannot be decoded.") from error
    size = _size(image.size, width, height)
    if size != image.size:
        image = ImageOps.fit(image, size, method=Image.Resampling.LANCZOS)
    image.save(target, format="PNG", compress_level=_COMPRESSION)
    return size


def _size(now: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    if width and height:
        return width, height
    if width:
        return width, max(1, round(now[1] * width / now[0]))
    if height:
        return max(1, round(now[0] * height / now[1])), height
    return now
