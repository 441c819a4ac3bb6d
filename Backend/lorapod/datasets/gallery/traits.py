"""What one decoded image says: its thumbnail, a perceptual hash, and how sharp it is."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorapod.safety import images

if TYPE_CHECKING:
    from PIL.Image import Image

#: Images are decoded at about this size, in pixels: a JPEG of 12 megapixels at an eighth of its size.
WORK_SIDE = 480

#: Bits of a perceptual hash.
HASH_BITS = 64

_HASH_SIDE = 8
_FLAT_DEVIATION = 3.0
_QUALITY = 75


@dataclass(frozen=True, kw_only=True)
class ImageTraits:
    """What can be compared between images."""

    #: 64 bits: whether each of 8 x 8 places is brighter than its right neighbour; None for an image of one tone.
    perceptual_hash: int | None
    #: Variance of the Laplacian of its grey values, 0 to 255, at `WORK_SIDE` pixels; low values are blurred.
    sharpness: float

    def distance(self, other: ImageTraits) -> int:
        """Return how many bits of the hashes differ: 0 to `HASH_BITS`; unknown ones differ in all."""
        if self.perceptual_hash is None or other.perceptual_hash is None:
            return HASH_BITS
        return (self.perceptual_hash ^ other.perceptual_hash).bit_count()


def decode(path: Path, thumbnail_px: int) -> tuple[bytes, ImageTraits]:
    """Decode an image once; return its thumbnail as WebP, and its traits.

    Args:
        path: the image.
        thumbnail_px: side of the square that the thumbnail fits, in pixels; 0 for none, and no bytes.

    Raises:
        InvalidInput, TooLarge: it cannot be decoded.
        OSError: the file cannot be read.
    """
    image = images.reduced(path, max(WORK_SIDE, thumbnail_px))
    grey = image.convert("L")
    if max(grey.size) > WORK_SIDE * 1.25:
        grey.thumbnail((WORK_SIDE, WORK_SIDE))
    traits = ImageTraits(perceptual_hash=_hash(grey), sharpness=_sharpness(grey))
    if not thumbnail_px:
        return b"", traits
    image.thumbnail((thumbnail_px, thumbnail_px))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue(), traits


def _hash(grey: Image) -> int | None:
    from PIL import Image, ImageStat

    small = grey.resize((_HASH_SIDE + 1, _HASH_SIDE), Image.Resampling.BOX)
    if ImageStat.Stat(small).stddev[0] < _FLAT_DEVIATION:
        return None
    pixels = small.tobytes()
    bits = 0
    for row in range(_HASH_SIDE):
        begin = row * (_HASH_SIDE + 1)
        for column in range(_HASH_SIDE):
            bits = bits << 1 | (pixels[begin + column] > pixels[begin + column + 1])
    return bits


def _sharpness(grey: Image) -> float:
    from PIL import ImageFilter, ImageStat

    # Values beyond -128 and 127 are cut off: an image with such edges is sharp anyway.
    laplacian = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)
    # Pillow leaves the outermost pixels as they were.
    inner = grey.filter(laplacian).crop((1, 1, max(2, grey.width - 1), max(2, grey.height - 1)))
    return round(ImageStat.Stat(inner).var[0], 2)
