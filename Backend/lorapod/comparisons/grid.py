"""The grid of a comparison: one PNG for people, rows of prompts, columns of checkpoints, the dataset beside it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from lorapod.atomic import write_atomically
from lorapod.comparisons.cells import Cell
from lorapod.comparisons.grid_text import LINE_PX, TextBlock
from lorapod.comparisons.scoring import DrawnCell

#: The longer side of a cell, in pixels, if the grid is not too wide for it.
CELL_PX = 256
CELL_MIN_PX = 96
#: A grid that is larger is hard to open.
WIDTH_PX = 6000
HEIGHT_PX = 12_000
#: Lines for what is special to a training of a sweep.
_VARIANT_LINES = 3
_LABEL_PX = 220
_GAP_PX = 8
_MARGIN_PX = 16
#: Images of the dataset that are shown, in one or two columns.
_DATASET_MAX = 24

_GROUND, _INK, _FAINT, _EMPTY, _MARK = "#ffffff", "#1b1b1f", "#6b6b76", "#ececf1", "#d9480f"


@dataclass(frozen=True, kw_only=True)
class _Column:
    """All cells of one LoRA with one weight."""

    name: str
    #: What is special to its training; empty if that is no part of a sweep.
    variant: str
    labels: Sequence[str]
    key: tuple[Any, ...]
    recommended: bool


@dataclass(frozen=True, kw_only=True)
class _Title:
    """What stands over the columns of one training."""

    #: The number of its first column.
    first: int
    name: TextBlock
    variant: TextBlock

    @property
    def lines(self) -> int:
        return (self.name.height_px + self.variant.height_px) // LINE_PX


@dataclass(frozen=True, kw_only=True)
class _Row:
    prompt: str
    seed: int


def draw_grid(
    cells: Sequence[DrawnCell],
    dataset: Sequence[Path],
    target: Path,
    *,
    recommended: Mapping[str, Any],
) -> None:
    """Write the grid.

    Args:
        cells: at least one.
        dataset: images to learn from; the first few are shown.
        target: where it goes.
        recommended: `process_id`, `lora`, `step` and `weight` of the column that is marked; empty: no column is marked.

    Raises:
        OSError: the disk failed.
    """
    held = io.BytesIO()
    _Grid(cells, dataset, recommended).draw().save(held, "PNG")
    write_atomically(target, held.getvalue())


class _Grid:
    """The layout of one grid; lengths in pixels."""

    def __init__(
        self, cells: Sequence[DrawnCell], dataset: Sequence[Path], recommended: Mapping[str, Any]
    ) -> None:
        self._columns = _columns(cells, recommended)
        self._rows = list(dict.fromkeys(_Row(prompt=one.cell.prompt, seed=one.cell.seed) for one in cells))
        self._paths = {(_column_key(one.cell), _row_key(one.cell)): one.path for one in cells}
        self._several_seeds = len({row.seed for row in self._rows}) > 1
        self._width, self._height = self._cell_size(cells[0].path)
        self._titles = list(self._groups())
        self._title_lines = max(title.lines for title in self._titles)
        labels = max(len(column.labels) for column in self._columns)
        self._top = _MARGIN_PX + LINE_PX * (self._title_lines + labels) + _GAP_PX
        self._left = _MARGIN_PX + _LABEL_PX
        self._dataset = self._shown(dataset)
        self._dataset_count = len(dataset)

    def draw(self) -> Image.Image:
        """Return the picture."""
        right = self._left + len(self._columns) * (self._width + _GAP_PX)
        bottom = self._top + len(self._rows) * (self._height + _GAP_PX)
        panel = self._panel_columns() * (self._width + _GAP_PX) + 2 * _GAP_PX if self._dataset else 0
        sheet = Image.new("RGB", (right + panel + _MARGIN_PX, bottom + _MARGIN_PX), _GROUND)
        canvas = ImageDraw.Draw(sheet)
        self._draw_headers(canvas)
        for number, row in enumerate(self._rows):
            self._draw_row(sheet, canvas, row, self._top + number * (self._height + _GAP_PX))
        if self._dataset:
            self._draw_dataset(sheet, canvas, right + 2 * _GAP_PX)
        return sheet

    def _draw_headers(self, canvas: ImageDraw.ImageDraw) -> None:
        for title in self._titles:
            x = self._left + title.first * (self._width + _GAP_PX)
            title.name.draw(canvas, (x, _MARGIN_PX), _INK)
            title.variant.draw(canvas, (x, _MARGIN_PX + LINE_PX), _FAINT)
        for number, column in enumerate(self._columns):
            x = self._left + number * (self._width + _GAP_PX)
            colour = _MARK if column.recommended else _INK
            for line, label in enumerate(column.labels):
                y = _MARGIN_PX + LINE_PX * (self._title_lines + line)
                TextBlock(label, self._width, lines=1).draw(canvas, (x, y), colour if not line else _FAINT)

    def _groups(self) -> Iterator[_Title]:
        """Yield a title for the columns of each training, as wide as they are together."""
        first = 0
        for (name, variant), columns in groupby(self._columns, key=lambda one: (one.name, one.variant)):
            count = len(list(columns))
            width = count * (self._width + _GAP_PX) - _GAP_PX
            yield _Title(
                first=first,
                name=TextBlock(name, width, lines=1),
                variant=TextBlock(variant, width, lines=_VARIANT_LINES),
            )
            first += count

    def _draw_row(self, sheet: Image.Image, canvas: ImageDraw.ImageDraw, row: _Row, y: int) -> None:
        seed_lines = 1 if self._several_seeds else 0
        lines = max(1, self._height // LINE_PX - seed_lines)
        prompt = TextBlock(row.prompt, _LABEL_PX - 2 * _GAP_PX, lines=lines)
        prompt.draw(canvas, (_MARGIN_PX, y), _INK)
        if self._several_seeds:
            seed = TextBlock(f"seed {row.seed}", _LABEL_PX - 2 * _GAP_PX, lines=1)
            seed.draw(canvas, (_MARGIN_PX, y + prompt.height_px), _FAINT)
        for number, column in enumerate(self._columns):
            x = self._left + number * (self._width + _GAP_PX)
            box = (x, y, x + self._width, y + self._height)
            path = self._paths.get((column.key, (row.prompt, row.seed)))
            if path is None:
                canvas.rectangle(box, fill=_EMPTY)
            else:
                with Image.open(path) as image:
                    sheet.paste(_fitted(image.convert("RGB"), self._width, self._height), (x, y))
            if column.recommended:
                canvas.rectangle(
                    (x - 3, y - 3, x + self._width + 2, y + self._height + 2), outline=_MARK, width=3
                )

    def _draw_dataset(self, sheet: Image.Image, canvas: ImageDraw.ImageDraw, left: int) -> None:
        columns, step = self._panel_columns(), self._width + _GAP_PX
        words = TextBlock("learnt from", columns * step, lines=1)
        words.draw(canvas, (left, _MARGIN_PX), _INK)
        images = "1 image" if self._dataset_count == 1 else f"{self._dataset_count} images"
        TextBlock(images, columns * step, lines=1).draw(canvas, (left, _MARGIN_PX + LINE_PX), _FAINT)
        canvas.line(
            (left - _GAP_PX, _MARGIN_PX, left - _GAP_PX, sheet.height - _MARGIN_PX), fill=_EMPTY, width=2
        )
        for number, image in enumerate(self._dataset):
            place = (
                left + number % columns * step,
                self._top + number // columns * (self._height + _GAP_PX),
            )
            sheet.paste(image, place)

    def _cell_size(self, path: Path) -> tuple[int, int]:
        with Image.open(path) as image:
            width, height = image.size
        across = (WIDTH_PX - _LABEL_PX) // max(1, len(self._columns)) - _GAP_PX
        down = HEIGHT_PX // max(1, len(self._rows)) - _GAP_PX
        side = max(CELL_MIN_PX, min(CELL_PX, across, down))
        longer = max(width, height)
        return max(1, round(width * side / longer)), max(1, round(height * side / longer))

    def _panel_columns(self) -> int:
        return 1 if len(self._dataset) <= len(self._rows) else 2

    def _shown(self, dataset: Sequence[Path]) -> Sequence[Image.Image]:
        """Return so many images of the dataset as fit beside the grid, taken evenly; those that cannot be read are left out."""
        count = min(len(dataset), 2 * len(self._rows), _DATASET_MAX)
        chosen = [dataset[number * len(dataset) // count] for number in range(count)]
        return [image for path in chosen if (image := self._thumbnail(path)) is not None]

    def _thumbnail(self, path: Path) -> Image.Image | None:
        try:
            with Image.open(path) as opened:
                opened.draft("RGB", (2 * self._width, 2 * self._height))
                upright = ImageOps.exif_transpose(opened).convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None
        return ImageOps.pad(upright, (self._width, self._height), Image.Resampling.LANCZOS, _EMPTY)


def _columns(cells: Sequence[DrawnCell], recommended: Mapping[str, Any]) -> Sequence[_Column]:
    several_weights = len({one.cell.weight for one in cells}) > 1
    columns: dict[tuple[Any, ...], _Column] = {}
    for one in cells:
        cell = one.cell
        key = _column_key(cell)
        step = "one file" if cell.candidate.step is None else f"step {cell.candidate.step}"
        labels = [f"{step}, final" if cell.candidate.final else step]
        if several_weights:
            labels.append(f"weight {cell.weight:g}" if cell.weight else "weight 0: without the LoRA")
        # Files that no training is known of have neither id nor step.
        mark = (cell.candidate.process_id, cell.candidate.path.name, cell.candidate.step, cell.weight)
        wanted = tuple(recommended.get(name) for name in ("process_id", "lora", "step", "weight"))
        columns.setdefault(
            key,
            _Column(
                name=cell.candidate.name,
                variant=cell.candidate.variant,
                labels=labels,
                key=key,
                recommended=bool(recommended) and mark == wanted,
            ),
        )
    return list(columns.values())


def _column_key(cell: Cell) -> tuple[Any, ...]:
    return (cell.candidate.path, cell.weight)


def _row_key(cell: Cell) -> tuple[Any, ...]:
    return (cell.prompt, cell.seed)


def _fitted(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return an image in the size of a cell; small ones are enlarged so that their pixels stay visible."""
    if image.size == (width, height):
        return image
    enlarged = image.width * 2 <= width
    return ImageOps.pad(
        image, (width, height), Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS, _EMPTY
    )
