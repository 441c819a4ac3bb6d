"""The contact sheet: a dataset's images and the beginnings of their captions, on one PNG."""

from __future__ import annotations

import io
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lorapod.atomic import replace_file
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.errors import WorkerError
from lorapod.safety import images

if TYPE_CHECKING:
    from PIL.Image import Image

#: Most images on one sheet; of a larger dataset, every second, third, … is shown.
IMAGES_MAX = 48

#: Longest time for one sheet, in seconds; images that are not decoded by then are left out.
BUDGET_S = 2.0

_COLUMNS = 8
_THUMBNAIL = 160
_TEXT_LINES = 3
_LINE = 12
_GAP = 8
_HEADER = 24
_PAPER, _INK, _FRAME = "white", "black", "#dddddd"


def draw_contact_sheet(entries: Sequence[DatasetEntry], target: Path, *, budget_s: float = BUDGET_S) -> bool:
    """Write one sheet of all datasets; return False if there is no image to show.

    Raises:
        OSError: `target` cannot be written.
    """
    from PIL import Image, ImageDraw

    reader = DatasetReader()
    items = [item for entry in entries for item in reader.read(entry).images]
    shown = items[:: max(1, -(-len(items) // IMAGES_MAX))]
    thumbnails = list(_thumbnails(shown, time.monotonic() + budget_s))
    if not thumbnails:
        return False
    columns = min(_COLUMNS, len(thumbnails))
    rows = -(-len(thumbnails) // columns)
    cell = _THUMBNAIL + _TEXT_LINES * _LINE + _GAP
    sheet = Image.new("RGB", (_GAP + columns * (_THUMBNAIL + _GAP), _HEADER + rows * (cell + _GAP)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    names = ", ".join(entry.folder.name for entry in entries)
    pen.text((_GAP, 6), _plain(f"{names}: {len(thumbnails)} of {len(items)} images"), _INK)
    for place, (item, thumbnail) in enumerate(thumbnails):
        row, column = divmod(place, columns)
        left, top = _GAP + column * (_THUMBNAIL + _GAP), _HEADER + row * (cell + _GAP)
        pen.rectangle((left, top, left + _THUMBNAIL - 1, top + _THUMBNAIL - 1), outline=_FRAME)
        offset = ((_THUMBNAIL - thumbnail.width) // 2, (_THUMBNAIL - thumbnail.height) // 2)
        sheet.paste(thumbnail, (left + offset[0], top + offset[1]))
        for number, line in enumerate(_caption_lines(item)):
            pen.text((left, top + _THUMBNAIL + 2 + number * _LINE), line, _INK)
    file = io.BytesIO()
    sheet.save(file, "PNG")
    replace_file(target, file.getvalue())
    return True


def _thumbnails(items: Sequence[DatasetItem], until_s: float) -> Iterator[tuple[DatasetItem, Image]]:
    for item in items:
        if time.monotonic() > until_s:
            return
        try:
            yield item, images.thumbnail(item.path, _THUMBNAIL)
        except (WorkerError, OSError):
            continue  # the check has reported it


def _caption_lines(item: DatasetItem) -> Sequence[str]:
    if not item.has_caption and item.default_caption is None:
        return ["(no caption)"]
    try:
        text = item.read_caption()
    except (UnicodeDecodeError, OSError):
        return ["(unreadable caption)"]  # the check has reported it
    return textwrap.wrap(_plain(text), 26, max_lines=_TEXT_LINES, placeholder="...") or ["(empty)"]


def _plain(text: str) -> str:
    """Return the text as Pillow's own font can show it: Latin letters; others become question marks."""
    return text[:500].encode("latin-1", "replace").decode("latin-1")
