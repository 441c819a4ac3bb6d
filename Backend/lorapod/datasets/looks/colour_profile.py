"""Colour profiles (ICC): whether an image looks different to a trainer, which ignores them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsProfile

#: Colours differ visibly from here on: levels of 255, of the largest difference of the sampled colours.
_VISIBLE_LEVELS = 6

#: Colours that are compared, as levels of red, green and blue.
_SAMPLES = tuple(
    (red, green, blue) for red in (0, 96, 255) for green in (0, 96, 255) for blue in (0, 96, 255)
)


@dataclass(frozen=True, kw_only=True)
class ColourProfile:
    """An embedded colour profile."""

    content: bytes

    @classmethod
    def of(cls, content: object) -> Self | None:
        """Return the profile in an image's metadata, if there is one."""
        return cls(content=content) if isinstance(content, bytes) and content else None

    def name_if_visible(self, mode: str) -> str | None:
        """Return the profile's name if an image in `mode` looks different without it; None if it does not."""
        return _name_if_visible(self.content, "L" if mode in {"1", "L", "LA", "I;16"} else "RGB")

    def opened(self) -> ImageCmsProfile | None:
        """Return the profile as Pillow uses it; None if it is damaged: viewers ignore it then too."""
        from PIL.ImageCms import ImageCmsProfile, PyCMSError

        try:
            return ImageCmsProfile(io.BytesIO(self.content))
        except (PyCMSError, OSError, TypeError, ValueError):
            return None


@lru_cache(maxsize=64)
def _name_if_visible(content: bytes, mode: str) -> str | None:
    from PIL import Image, ImageCms

    profile = ColourProfile(content=content).opened()
    if profile is None:
        return None
    sample = Image.new("RGB", (len(_SAMPLES), 1))
    sample.putdata(_SAMPLES)
    sample = sample.convert(mode)
    try:
        shown = ImageCms.profileToProfile(sample, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
        name = ImageCms.getProfileDescription(profile).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None  # a profile of another colour space than the image's: viewers ignore it too
    if shown is None:
        return None
    pairs = zip(shown.tobytes(), sample.convert("RGB").tobytes(), strict=True)
    return (name or "unnamed") if max(abs(one - other) for one, other in pairs) >= _VISIBLE_LEVELS else None
