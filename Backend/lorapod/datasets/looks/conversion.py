"""Images made into what trainers see as a person does: converted on a copy, and said what was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorapod.datasets.looks.colour_profile import ColourProfile
from lorapod.datasets.looks.foreign_formats import DAMAGE, FOREIGN_FORMATS, open_foreign
from lorapod.datasets.looks.image_look import alpha_of, has_alpha, is_deep_grey, look_at_image
from lorapod.errors import InvalidInput
from lorapod.safety import image_formats, images
from lorapod.safety.orientation import UPRIGHT

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

#: Formats whose pixels are not exact: a JPEG of the best quality loses nothing that is visible.
_LOSSY = frozenset({"JPEG", "HEIC", "AVIF"})
_JPEG_QUALITY = 95
_WHITE = (255, 255, 255)


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """An image that was converted."""

    #: The image's name now: its suffix fits what it was converted to.
    name: str
    #: What was done, in words: `laid on white`.
    what: Sequence[str]


def convert_image(path: Path, name: str, *, fix: bool) -> Conversion | None:
    """Convert the image at `path` in place if trainers do not read its format, or see something else than a person does.

    Args:
        path: a copy of the person's file; after an error it is unchanged.
        name: of the person's file.
        fix: also convert what trainers read but see otherwise: transparency, 16 bits, animation, CMYK, colour profiles.

    Returns:
        What was done; None if the image is left as it is.

    Raises:
        InvalidInput: it is damaged, or of a format that this machine cannot convert.
        TooLarge: it has too many pixels.
        OSError: the file system failed.
    """
    with path.open("rb") as file:
        form = image_formats.format_name(file.read(image_formats.HEAD_BYTES))
    if form in FOREIGN_FORMATS:
        what = [f"converted from {form}"]
    elif fix and form in image_formats.FORMAT_SUFFIXES and look_at_image(path, name=name).fixable:
        what = []
    else:
        return None
    temporary = path.with_name(f"{path.name}.converting")
    with path.open("rb") as file:
        image = open_foreign(name, form, file) if form in FOREIGN_FORMATS else images.open_header(name, file)
        lossy = form in _LOSSY
        try:
            plain = _plain(image, what)
            # No profile and no metadata: what they said is done.
            plain.info.clear()
            if lossy:
                plain.save(temporary, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
            else:
                plain.save(temporary, "PNG")
        except DAMAGE as error:
            temporary.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InvalidInput(f"{name} is cut off or damaged: it cannot be decoded.") from error
    temporary.replace(path)
    suffixes = image_formats.FORMAT_SUFFIXES["JPEG" if lossy else "PNG"]
    fits = name.lower().endswith(suffixes)
    return Conversion(name=name if fits else f"{name[: name.rfind('.')]}{suffixes[0]}", what=what)


def _plain(image: ImageFile, what: list[str]) -> Image:
    """Return the image as a person sees it, in plain RGB or grey; add to `what` what was done."""
    from PIL import ImageOps

    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        what.append(f"kept the first of {frames} frames")
    # What Pillow drops while it decodes.
    profile = ColourProfile.of(image.info.get("icc_profile"))
    image.load()
    if image.getexif().get(_ORIENTATION, UPRIGHT) != UPRIGHT:
        what.append("turned upright")
    plain: Image = ImageOps.exif_transpose(image)
    for step in (_eight_bits, _on_white):
        plain = step(plain, what)
    plain = _in_srgb(plain, profile, what)
    return plain if plain.mode in {"RGB", "L"} else plain.convert("RGB")


_ORIENTATION = 0x0112


def _eight_bits(image: Image, what: list[str]) -> Image:
    if not is_deep_grey(image):
        return image
    deep = image if image.mode == "F" else image.convert("I")
    lowest, highest = deep.getextrema()
    assert isinstance(lowest, int | float)
    assert isinstance(highest, int | float)
    sixteen = image.mode.startswith("I;16")
    if not sixteen and lowest >= 0 and highest <= 255:
        return deep.convert("L")
    what.append("scaled from 16 bits to 8")
    if sixteen or (lowest >= 0 and highest <= 65535):
        return deep.point(lambda value: value * (1 / 257) + 0).convert("L")
    # Measurements, not light: the whole range is kept.
    factor = 255 / (highest - lowest) if highest > lowest else 0.0
    return deep.point(lambda value: value * factor - lowest * factor).convert("L")


def _on_white(image: Image, what: list[str]) -> Image:
    from PIL import Image as PillowImage

    if not has_alpha(image):
        return image
    alpha = alpha_of(image)
    colours = image.convert("RGBA").convert("RGB")
    lowest, _ = alpha.getextrema()
    if lowest == 255:
        return colours
    what.append("laid on white")
    white = PillowImage.new("RGB", image.size, _WHITE)
    white.paste(colours, mask=alpha)
    return white


def _in_srgb(image: Image, profile: ColourProfile | None, what: list[str]) -> Image:
    from PIL import ImageCms

    cmyk = image.mode == "CMYK"
    visible = profile is not None and (cmyk or profile.name_if_visible(image.mode) is not None)
    source = profile.opened() if profile is not None and visible else None
    if source is not None:
        try:
            target = ImageCms.createProfile("sRGB")
            flat = image if cmyk or image.mode in {"RGB", "L"} else image.convert("RGB")
            converted = ImageCms.profileToProfile(flat, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            converted = None  # a profile of another colour space than the image's
        if converted is not None:
            description = ImageCms.getProfileDescription(source).strip() or "its colour profile"
            what.append(f"converted from {'CMYK' if cmyk else description} to sRGB")
            return converted
    if cmyk:
        what.append("converted from CMYK to sRGB")
        return image.convert("RGB")
    return image
