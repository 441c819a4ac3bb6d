"""Contact sheets of a dataset: thumbnails with names, captions and flags. Drawing needs the `report` extra."""

from __future__ import annotations

import base64
import binascii
import importlib.util
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorapod.client.errors import LorapodError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

#: Side of the square that a thumbnail fits, in pixels: what to ask `dataset` for.
THUMBNAIL_PX = 256

#: Most images on one sheet; a larger dataset has several.
ITEMS_MAX = 60

#: Suffixes of the files that a sheet can be.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_COLUMNS = 6
_GAP = 16
_CAPTION_LINES = 8
_NAME_LINES = 2
_FONT_PX, _TITLE_PX = 14, 20
_LINE = 18
_PAPER, _INK, _CAPTION, _FAINT, _FLAG = "#ffffff", "#1f2933", "#52606d", "#9aa5b1", "#d64545"
#: Measured instead of a text that is far too long for its cell.
_TEXT_CHARACTERS = 2000


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """One image with the lines below it, each with its colour."""

    thumbnail: Image | None
    lines: Sequence[tuple[str, str]]

    @property
    def height(self) -> int:
        """In pixels."""
        return THUMBNAIL_PX + 6 + len(self.lines) * _LINE


def write_contact_sheets(items: Sequence[Mapping[str, Any]], to: Path, *, title: str) -> Sequence[Path]:
    """Draw the items of `dataset`'s answers on sheets of `ITEMS_MAX`; return their paths, `to` first.

    Args:
        items: with thumbnails of `THUMBNAIL_PX`.
        to: path of the first sheet; a second one of `cats.png` is `cats-2.png`.
        title: what the sheets show.

    Raises:
        LorapodError: there is no item, or a sheet cannot be written.
    """
    if not items:
        raise LorapodError("The dataset has no images to draw.")
    pages = [items[start : start + ITEMS_MAX] for start in range(0, len(items), ITEMS_MAX)]
    paths = []
    for number, page in enumerate(pages, 1):
        path = to if number == 1 else to.with_name(f"{to.stem}-{number}{to.suffix}")
        part = f"  ({number} of {len(pages)})" if len(pages) > 1 else ""
        sheet = _draw(page, f"{title}{part}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            sheet.save(path)
        except OSError as error:
            raise LorapodError(f"{path} cannot be written: {error.strerror or error}.") from error
        paths.append(path)
    return paths


def check_drawing() -> None:
    """Refuse to draw without Pillow.

    Raises:
        LorapodError: it is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise LorapodError(
            "Drawing needs Pillow, which is not installed.", hint="Install it: pip install Pillow."
        )


def _draw(items: Sequence[Mapping[str, Any]], title: str) -> Image:
    from PIL import Image, ImageDraw

    font, head = _font(_FONT_PX), _font(_TITLE_PX)
    cells = [_Cell(thumbnail=_thumbnail(item), lines=list(_lines(item, font))) for item in items]
    rows = [cells[start : start + _COLUMNS] for start in range(0, len(cells), _COLUMNS)]
    heights = [max(cell.height for cell in row) + _GAP for row in rows]
    columns = min(_COLUMNS, len(cells))
    top = _GAP + 2 * _TITLE_PX
    width = max(_GAP + columns * (THUMBNAIL_PX + _GAP), 2 * _GAP + int(head.getlength(title)))
    sheet = Image.new("RGB", (width, top + sum(heights)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_GAP, _GAP), title, _INK, head)
    for row, height in zip(rows, heights, strict=True):
        for column, cell in enumerate(row):
            _draw_cell(cell, sheet, pen, font, (_GAP + column * (THUMBNAIL_PX + _GAP), top))
        top += height
    return sheet


def _draw_cell(
    cell: _Cell, sheet: Image, pen: ImageDraw, font: FreeTypeFont, corner: tuple[int, int]
) -> None:
    left, top = corner
    if cell.thumbnail is None:
        pen.rectangle((left, top, left + THUMBNAIL_PX - 1, top + THUMBNAIL_PX - 1), outline=_FAINT)
        pen.text((left + 8, top + 8), "no thumbnail", _FAINT, font)
    else:
        # At the bottom, next to its name.
        place = (left, top + THUMBNAIL_PX - cell.thumbnail.height)
        sheet.paste(cell.thumbnail, place)
    for number, (text, colour) in enumerate(cell.lines):
        pen.text((left, top + THUMBNAIL_PX + 6 + number * _LINE), text, colour, font)


def _lines(item: Mapping[str, Any], font: FreeTypeFont) -> Iterator[tuple[str, str]]:
    size = f"  {item['width']}x{item['height']}" if "width" in item else ""
    for line in _wrapped(f"{item['name']}{size}", font, _NAME_LINES):
        yield line, _INK
    caption = " ".join(str(item["caption"]).split())
    for line in _wrapped(caption, font, _CAPTION_LINES) or ["(no caption)"]:
        yield line, _CAPTION if caption else _FAINT
    for flag in item["flags"]:
        for line in _wrapped(str(flag), font, _NAME_LINES):
            yield line, _FLAG


def _wrapped(text: str, font: FreeTypeFont, most: int) -> list[str]:
    """Break a text into lines of a thumbnail's width; the last one ends with `…` if there is more."""
    rest = text[:_TEXT_CHARACTERS].strip()
    lines: list[str] = []
    while rest and len(lines) < most:
        fits = _fitting(rest, font)
        space = rest.rfind(" ", 1, fits + 1)
        cut = fits if fits == len(rest) or space < 1 else space
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    if rest:
        last = lines[-1]
        while last and font.getlength(f"{last}…") > THUMBNAIL_PX:
            last = last[:-1]
        lines[-1] = f"{last}…"
    return lines


def _fitting(text: str, font: FreeTypeFont) -> int:
    """Return how many characters fit one line; one at least."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= THUMBNAIL_PX:
            low = middle
        else:
            high = middle - 1
    return low


def _thumbnail(item: Mapping[str, Any]) -> Image | None:
    from PIL import Image, UnidentifiedImageError

    data = item.get("thumbnail")
    if not isinstance(data, str):
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as picture:
            return picture.convert("RGB")
    except (binascii.Error, UnidentifiedImageError, OSError):
        return None


def _font(size_px: int) -> FreeTypeFont:
    """Return a font that has many alphabets if matplotlib is there, which brings one; else Pillow's own."""
    from PIL import ImageFont

    if (found := importlib.util.find_spec("matplotlib")) is not None and found.origin is not None:
        path = Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.exists():
            return ImageFont.truetype(str(path), size_px)
    return ImageFont.load_default(size_px)  # type: ignore[return-value] # with a size it is a FreeTypeFont
