"""Images of the page: WebP in data URIs, as large and as fine as all of them together may be."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from lorapod.client.errors import LorapodError

if TYPE_CHECKING:
    from PIL import Image

#: Longest side in pixels and quality, from the finest to the coarsest.
_LEVELS: Final = (
    (1024, 84),
    (1024, 74),
    (768, 76),
    (640, 74),
    (512, 72),
    (448, 66),
    (384, 62),
    (320, 58),
    (256, 54),
    (192, 50),
    (128, 44),
    (96, 36),
)

#: The longest side of an image in a table.
THUMBNAIL_PX: Final = 128
_THUMBNAIL_QUALITY = 60
#: Their level.
_THUMBNAIL = -1

#: Images this small are kept without loss.
_SMALL_PX = 128

#: How many images tell how large all will be.
_TRIED = 6

#: By which power of the quality an image grows, about.
_BY_QUALITY = 2.2


@dataclass(frozen=True, kw_only=True)
class EmbeddedImage:
    """An image in the page."""

    #: A data URI.
    source: str
    width: int
    height: int
    #: Whether it is the first frame of an animation.
    animated: bool = False


class PictureBook:
    """Images of one page; what was encoded once is kept for the next version of it."""

    def __init__(self) -> None:
        self._encoded: dict[tuple[Path, int], EmbeddedImage | None] = {}

    def embed(self, images: Sequence[Path], budget_bytes: float) -> dict[Path, EmbeddedImage]:
        """Return images as they appear in the page; those that cannot be read are left out.

        The images take `budget_bytes` at most, unless even the smallest would take more: then the last are left out.

        Raises:
            LorapodError: Pillow is not installed.
        """
        last = len(_LEVELS) - 1
        level = self._first_level(images, budget_bytes)
        while level < last and self._size(images, level) > budget_bytes:
            level += 1
        while images and self._size(images, level) > budget_bytes:
            images = images[: len(images) * 3 // 4]
        return self._chosen(images, level)

    def thumbnails(self, images: Sequence[Path]) -> dict[Path, EmbeddedImage]:
        """Return images as small as they appear in a table; those that cannot be read are left out.

        Raises:
            LorapodError: Pillow is not installed.
        """
        return self._chosen(images, _THUMBNAIL)

    def _first_level(self, images: Sequence[Path], budget_bytes: float) -> int:
        """Return the finest level at which the images probably fit, judged by a few of them."""
        few = images[:: max(1, len(images) // _TRIED)]
        for level, (side, quality) in enumerate(_LEVELS):
            expected = 0.0
            for image in (self._one(path, 0) for path in few):
                if image is not None:
                    share = min(side, max(image.width, image.height)) / max(image.width, image.height)
                    expected += len(image.source) * share**2 * (quality / _LEVELS[0][1]) ** _BY_QUALITY
            if expected * len(images) <= budget_bytes * len(few):
                return level
        return len(_LEVELS) - 1

    def _chosen(self, images: Sequence[Path], level: int) -> dict[Path, EmbeddedImage]:
        found = ((path, self._one(path, level)) for path in images)
        return {path: image for path, image in found if image is not None}

    def _size(self, images: Sequence[Path], level: int) -> float:
        return sum(len(image.source) for path in images if (image := self._one(path, level)) is not None)

    def _one(self, path: Path, level: int) -> EmbeddedImage | None:
        key = (path, level)
        if key not in self._encoded:
            self._encoded[key] = (
                _encode(path, THUMBNAIL_PX, _THUMBNAIL_QUALITY, lossless_px=0)
                if level == _THUMBNAIL
                else _encode(path, *_LEVELS[level], lossless_px=_SMALL_PX)
            )
        return self._encoded[key]


def _encode(path: Path, side: int, quality: int, *, lossless_px: int) -> EmbeddedImage | None:
    """Return an image no larger than `side`; None if it is no image that can be read."""
    image_module = _pillow()
    try:
        with image_module.open(path) as opened:
            animated = getattr(opened, "n_frames", 1) > 1
            opened.draft("RGB", (side, side))
            image = _upright(opened)
            small = max(image.size) <= lossless_px
            image.thumbnail((side, side), image_module.Resampling.LANCZOS)
            written = io.BytesIO()
            image.save(written, "WEBP", quality=quality, method=1, lossless=small)
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError):
        return None
    data = base64.b64encode(written.getvalue()).decode()
    return EmbeddedImage(
        source=f"data:image/webp;base64,{data}", width=image.width, height=image.height, animated=animated
    )


def _upright(opened: Image.Image) -> Image.Image:
    """Return the first frame in RGB, turned as its EXIF says, without anything else that its file holds."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(opened)
    if turned.mode in {"RGBA", "LA", "PA"} or "transparency" in turned.info:
        return turned.convert("RGBA")
    return turned.convert("RGB")


def _pillow() -> ModuleType:
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise LorapodError(
            "The images of a report need Pillow, which is not installed.",
            hint="Install it: pip install Pillow, or the client with its extra `report`.",
        ) from None
    return Image
