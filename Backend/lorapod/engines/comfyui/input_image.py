"""The input picture, made to fit what the workflow will make of it."""

from __future__ import annotations

from pathlib import Path

from lorapod.errors import InvalidInput

#: PNG at its fastest: the file lives for one job, on this machine.
_COMPRESSION = 1


def fitted(source: Path, target: Path, *, width: int | None, height: int | None) -> tuple[int, int]:
    """Write the picture to `target` as PNG, upright, in the size asked for; answers that size.

    With both sides given it covers them, and what is too much is cut off evenly; with one the other follows; with none
    it keeps its size.

    Raises:
        InvalidInput: the picture cannot be decoded.
        OSError: `target` cannot be written.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(source) as opened:
            picture = ImageOps.exif_transpose(opened)
            picture = picture.convert(
                "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
            )
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidInput("image: the picture cannot be decoded.") from error
    size = _size(picture.size, width, height)
    if size != picture.size:
        picture = ImageOps.fit(picture, size, method=Image.Resampling.LANCZOS)
    picture.save(target, format="PNG", compress_level=_COMPRESSION)
    return size


def _size(now: tuple[int, int], width: int | None, height: int | None) -> tuple[int, int]:
    if width and height:
        return width, height
    if width:
        return width, max(1, round(now[1] * width / now[0]))
    if height:
        return max(1, round(now[0] * height / now[1])), height
    return now
