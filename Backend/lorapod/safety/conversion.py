"""Input images of generations: formats that engines do not read become PNG, and 16 bits become 8.

Trainers get their images as they are (`lorapod.safety.images`); a generation is told what was changed.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lorapod.errors import InvalidInput, TooLarge
from lorapod.safety.images import DAMAGE, PIXELS_MAX, SIDE_MAX, suffix_by_content, verify

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

FORMATS = "JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF or HEIC"

_HEAD_BYTES = 32
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"heis"})
#: Where the reader of each format is.
_READERS = {
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "HEIC": ("pi_heif.as_plugin", "HeifImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
}
#: What pi-heif raises beside Pillow's own errors.
_DAMAGE = (*DAMAGE, RuntimeError, MemoryError)
#: PNG at its fastest: the file lives for one job.
_COMPRESSION = 1
#: The largest value of a pixel in 8 and in 16 bits.
_MAX_8, _MAX_16 = 255, 65_535
#: Modes of Pillow whose pixels have more than 8 bits; it clips them when it converts them.
_DEEP = frozenset({"I", "F"})


def is_deep(image: Image) -> bool:
    """Return whether the pixels have more than 8 bits in one channel."""
    return image.mode in _DEEP or image.mode.startswith("I;16")


def in_8_bits(image: Image) -> Image:
    """Return a deep image as a grey one of 8 bits, scaled; any other as it is.

    Integers are read as 16 bits, fractions as 0 to 1; if there are larger values, the largest becomes white.
    """
    if not is_deep(image):
        return image
    values = image.convert("F")
    _, high = values.getextrema()
    assert isinstance(high, int | float)
    scale = _MAX_8 / max(1.0 if image.mode == "F" else float(_MAX_16), high)
    # The offset rounds: the conversion cuts fractions off.
    return values.point(lambda value: value * scale + 0.5).convert("L")


def as_input_image(path: Path, *, name: str) -> tuple[Path, str | None]:
    """Check a whole image; convert it in place if engines do not read it.

    Args:
        path: the file; it is renamed to fit its content.
        name: how messages call it.

    Returns:
        The file, a JPEG, WebP or PNG of 8 bits; and a sentence about what was changed, or None.

    Raises:
        InvalidInput: it is not an image, or is cut off or damaged.
        TooLarge: it has too many pixels.
        OSError: the file cannot be read or written.
    """
    if not path.stat().st_size:
        raise InvalidInput(f"{name}: the file is empty: 0 bytes.")
    if (suffix := suffix_by_content(path)) is not None:
        named = _renamed(path, suffix)
        verify(named)
        if suffix != ".png" or not _is_deep_file(named):
            return named, None
        return _to_png(named, "PNG", name=name)
    found = other_format(path)
    if found is None:
        raise InvalidInput(f"{name}: the file is not an image.", hint=f"Send {FORMATS}.")
    return _to_png(path, found, name=name)


def other_format(path: Path) -> str | None:
    """Return the format of an image that is converted, by its first bytes; None if it is not such an image.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if head[:4] == b"GIF8":
        return "GIF"
    if head[:2] == b"BM":
        return "BMP"
    if head[:4] in {b"II*\0", b"MM\0*"}:
        return "TIFF"
    if head[4:8] != b"ftyp":
        return None
    # The brand, and those that it is compatible with.
    brands = {head[8:12], head[16:20], head[20:24], head[24:28]}
    return "AVIF" if _AVIF_BRANDS & brands else "HEIC" if _HEIC_BRANDS & brands else None


def _to_png(path: Path, found: str, *, name: str) -> tuple[Path, str]:
    target = path.with_name("converted.png")
    with path.open("rb") as file:
        try:
            image = _reader(found)(file, path.name)
            _check_size(image, name)
            image.load()
        except _DAMAGE as error:
            raise InvalidInput(f"{name}: the {found} image is cut off or damaged.") from error
        told = _told(image, found, name)
        _plain(image).save(target, format="PNG", compress_level=_COMPRESSION)
    path.unlink()
    return target.rename(path.with_suffix(".png")), told


def _plain(image: Image) -> Image:
    """Return the present frame upright, in 8 bits, with its transparency."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(image)
    if is_deep(upright):
        return in_8_bits(upright).convert("RGB")
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def _told(image: ImageFile, found: str, name: str) -> str:
    frames = getattr(image, "n_frames", 1)
    changes = [] if found == "PNG" else [f"converted from {found} to PNG"]
    changes += ["scaled to 8 bits"] if is_deep(image) else []
    changes += [f"only the first of its {frames} frames is used"] if frames > 1 else []
    return f"{name}: {', '.join(changes)}."


def _is_deep_file(path: Path) -> bool:
    from PIL.PngImagePlugin import PngImageFile

    with path.open("rb") as file:
        return is_deep(PngImageFile(file, path.name))


def _check_size(image: ImageFile, name: str) -> None:
    width, height = image.size
    if width * height > PIXELS_MAX or max(width, height) > SIDE_MAX:
        raise TooLarge(
            f"{name}: has {width} x {height} pixels; {PIXELS_MAX // 1_000_000} million are the most.",
            hint="Scale it down.",
        )


def _renamed(path: Path, suffix: str) -> Path:
    return path.rename(path.with_suffix(suffix))


def _reader(found: str) -> type[ImageFile]:
    # Imported here: most inputs are of no such format.
    module, name = _READERS[found]
    reader: type[ImageFile] = getattr(import_module(module), name)
    return reader
