"""Size, frames and media type of an image file, by its content: animations have the suffixes of still images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: The formats of images that engines write.
_FORMATS = ("PNG", "WEBP", "JPEG", "GIF", "AVIF", "BMP", "TIFF")
#: Those whose frames are an animation, not pages.
_ANIMATED = frozenset({"PNG", "WEBP", "GIF", "AVIF"})
#: What Pillow raises on what is not an image, or a damaged one.
_UNREADABLE = (OSError, SyntaxError, ValueError, LookupError, TypeError, EOFError)


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What an image file is."""

    #: In pixels.
    width: int
    height: int
    #: Whether it has more than one frame.
    animated: bool
    #: Such as `image/webp`.
    content_type: str


def image_header(path: Path) -> ImageHeader | None:
    """Return what the image at `path` is; None if it is not an image that can be read.

    A WebP or AVIF is read whole, of the others only headers. Nothing is decoded.

    Raises:
        OSError: the file cannot be read.
    """
    # Imported here: Pillow is needed only once there is an image.
    from PIL import Image

    unreadable = (*_UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning)
    with path.open("rb") as file:
        try:
            image = Image.open(file, formats=_FORMATS)
            animated = image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
        except unreadable:
            return None
        return ImageHeader(
            width=image.width,
            height=image.height,
            animated=animated,
            content_type=image.get_format_mimetype() or "application/octet-stream",
        )
