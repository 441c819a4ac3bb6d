"""One image as a trainer sees it, read from its header."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lorapod.datasets.looks.colour_profile import ColourProfile
from lorapod.errors import InvalidInput
from lorapod.safety import images
from lorapod.safety.orientation import UPRIGHT, orientation_of, upright_size
from lorapod.safety.webp import read_webp_header

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: A pixel with at least this alpha, of 255, looks opaque.
_OPAQUE = 250

#: Pillow's modes for grey of more than eight bits. It keeps eight of the 16 bits of coloured images itself.
_DEEP_GREY = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N", "F"})


@dataclass(frozen=True, kw_only=True)
class ImageLook:
    """What trainers and viewers make of an image."""

    #: After rotation, in pixels.
    width: int
    height: int
    #: `JPEG`, `PNG` or `WEBP`, by its content.
    format: str
    #: Whether its metadata turn or mirror it. Trainers and viewers do so.
    rotated: bool = False
    #: Whether some of its pixels are transparent; None: it has an alpha channel, which was not looked through.
    transparent: bool | None = False
    #: Whether it is grey with more than eight bits: trainers cut the values off at 255.
    high_bit_depth: bool = False
    #: Whether it has several frames: trainers see the first.
    animated: bool = False
    cmyk: bool = False
    #: The name of its colour profile if colours look different without it; trainers ignore profiles.
    profile: str | None = None

    @property
    def fixable(self) -> bool:
        """Whether a trainer sees something else than a viewer shows."""
        return bool(
            self.transparent or self.high_bit_depth or self.animated or self.cmyk or self.profile is not None
        )


def look_at_image(path: Path, *, name: str | None = None, decode_alpha: bool = True) -> ImageLook:
    """Read the image's header; its pixels are decoded only to tell whether an alpha channel is used.

    Args:
        path: the image; the rest of it may be damaged.
        name: its name in errors; by default the file's own name.
        decode_alpha: if False, nothing is decoded, and `transparent` is None for an image with an alpha channel.

    Raises:
        InvalidInput: it is not an image that trainers read, or its header is damaged.
        TooLarge: it has too many pixels.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return look_at_opened(file, name or path.name, decode_alpha=decode_alpha)


def look_at_opened(file: IO[bytes], name: str, *, decode_alpha: bool) -> ImageLook:
    """Do as `look_at_image` with an open file."""
    if images.is_webp(file):
        return _look_at_webp(name, file, decode_alpha=decode_alpha)
    image = images.open_header(name, file)
    images.refuse_too_large(name, *image.size)
    orientation = orientation_of(image, file)
    width, height = upright_size(*image.size, orientation)
    profile = ColourProfile.of(image.info.get("icc_profile"))
    transparent: bool | None = False
    if has_alpha(image):
        transparent = _is_transparent(name, image) if decode_alpha else None
    return ImageLook(
        width=width,
        height=height,
        format=image.format or "",
        rotated=orientation != UPRIGHT,
        transparent=transparent,
        high_bit_depth=image.mode in _DEEP_GREY,
        animated=bool(getattr(image, "is_animated", False)),
        cmyk=image.mode == "CMYK",
        profile=None if profile is None or image.mode == "CMYK" else profile.name_if_visible(image.mode),
    )


def has_alpha(image: Image) -> bool:
    """Return whether pixels of the image may be transparent."""
    return image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info


def is_deep_grey(image: Image) -> bool:
    """Return whether the image is grey with more than eight bits."""
    return image.mode in _DEEP_GREY


def alpha_of(image: Image) -> Image:
    """Return the alpha channel of an image that has one."""
    return (image if "A" in image.getbands() else image.convert("RGBA")).getchannel("A")


def _look_at_webp(name: str, file: IO[bytes], *, decode_alpha: bool) -> ImageLook:
    header = read_webp_header(file, name)
    images.refuse_too_large(name, header.width, header.height)
    orientation = header.orientation
    width, height = upright_size(header.width, header.height, orientation)
    profile = ColourProfile.of(header.profile)
    transparent: bool | None = False
    if header.alpha:
        transparent = _is_transparent(name, images.open_header(name, file)) if decode_alpha else None
    return ImageLook(
        width=width,
        height=height,
        format="WEBP",
        rotated=orientation != UPRIGHT,
        transparent=transparent,
        animated=header.animated,
        profile=None if profile is None else profile.name_if_visible("RGB"),
    )


def _is_transparent(name: str, image: ImageFile) -> bool:
    try:
        image.load()
        lowest, _ = alpha_of(image).getextrema()
    except images.DAMAGE as error:
        raise InvalidInput(f"{name} is cut off or damaged: it cannot be decoded.") from error
    return isinstance(lowest, int) and lowest < _OPAQUE
