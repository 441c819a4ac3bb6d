"""Perceptual hashes: 64 bits of an image's coarse form (the low frequencies of its brightness), alike for near copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

#: Bits in which two images of the same picture may differ; two different pictures differ in about 32.
COPY_BITS = 10
HASH_BITS = 64

_FREQUENCIES = 8
_SIDE = 32


def hash_of(path: Path, aspect: float) -> NDArray[np.uint8]:
    """Return the hash of an image, cropped in its middle to `aspect` (width by height), as trainings crop it."""
    with Image.open(path) as image:
        grey = ImageOps.exif_transpose(image).convert("L")
    fitted = ImageOps.fit(grey, (max(1, round(8 * _SIDE * aspect)), 8 * _SIDE), Image.Resampling.BOX)
    values = np.asarray(fitted.resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64)
    waves = _cosines()
    coefficients = (waves @ values @ waves.T).ravel()
    bits: NDArray[np.uint8] = (coefficients > np.median(coefficients)).astype(np.uint8)
    return bits


def same_picture(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each of `some` which of `others` may be the same picture."""
    differing = (some[:, None, :] != others[None, :, :]).sum(axis=2)
    same: NDArray[np.bool_] = differing <= COPY_BITS
    return same


def _cosines() -> NDArray[np.float64]:
    """Return a row for each of the lowest frequencies above the constant one (a discrete cosine transform)."""
    places = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
    waves: NDArray[np.float64] = np.cos(np.outer(np.arange(1, _FREQUENCIES + 1), places))
    return waves
