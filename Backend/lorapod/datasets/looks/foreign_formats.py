"""Image formats that trainers do not read, opened to be converted."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from lorapod.errors import InvalidInput
from lorapod.safety import image_formats, images

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: As `image_formats.format_name` names them.
FOREIGN_FORMATS = frozenset({"GIF", "BMP", "TIFF", "AVIF", "HEIC"})

#: What pi-heif raises beside Pillow's own errors.
DAMAGE = (*images.DAMAGE, RuntimeError, MemoryError)


def foreign_format(path: Path) -> str | None:
    """Return the format of an image that trainers do not read, by its first bytes; else None.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        found = image_formats.format_name(file.read(image_formats.HEAD_BYTES))
    return found if found in FOREIGN_FORMATS else None


def open_foreign(name: str, form: str, file: IO[bytes]) -> ImageFile:
    """Read the header of an image that is to be converted.

    Raises:
        InvalidInput: it is damaged, or this machine cannot read its format.
        TooLarge: it has too many pixels.
    """
    reader = _reader(form)
    if reader is None:
        raise InvalidInput(
            f"{name} is {form}, which trainers do not read and this worker cannot convert.",
            hint="Export it as JPEG or PNG. On an iPhone: Settings > Camera > Formats > Most Compatible.",
        )
    file.seek(0)
    try:
        image = reader(file, name)
    except DAMAGE as error:
        raise InvalidInput(f"{name} is cut off or damaged: its {form} header cannot be read.") from error
    images.refuse_too_large(name, *image.size)
    return image


def _reader(form: str) -> type[ImageFile] | None:
    # Imported here: most datasets have none of these.
    match form:
        case "GIF":
            from PIL.GifImagePlugin import GifImageFile

            return GifImageFile
        case "BMP":
            from PIL.BmpImagePlugin import BmpImageFile

            return BmpImageFile
        case "TIFF":
            from PIL.TiffImagePlugin import TiffImageFile

            return TiffImageFile
        case "AVIF":
            from PIL import features
            from PIL.AvifImagePlugin import AvifImageFile

            return AvifImageFile if features.check("avif") else None
        case "HEIC" if find_spec("pi_heif") is not None:
            from pi_heif.as_plugin import HeifImageFile

            reader: type[ImageFile] = HeifImageFile
            return reader
        case _:
            return None
