"""Charts of a training: its loss curve and its samples. Drawing needs the `report` extra."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lorapod.client.errors import LorapodError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1f2933"
_FAINT = "#9aa5b1"
_GRID = "#e4e7eb"
_ACCENT = "#d64545"
_DOTS_PER_INCH = 150

#: Weight of the newest step in the smoothed loss; it averages about the last 25 steps.
_SMOOTHING = 0.08

_CELL_INCHES = 1.45
_LABEL_INCHES = 1.9
_HEAD_INCHES = 1.0
_LABEL_CHARACTERS = 22
_LABEL_LINES = 6


@dataclass(frozen=True, kw_only=True)
class SampleFile:
    """A sample image on this machine."""

    path: Path
    step: int
    #: Index of its prompt, from 0.
    index: int


def loss_curve(points: Sequence[tuple[int, float]], to: Path, *, title: str, subtitle: str = "") -> Path:
    """Draw the loss at each step, and smoothed; return the path of the PNG.

    Args:
        points: at least one `(step, loss)`, in order.
        to: path of the PNG.
        title: name of the training.
        subtitle: line below the title.

    Raises:
        ValueError: there is no point.
        OSError: `to` cannot be written.
    """
    if not points:
        raise ValueError("There is no loss to draw.")
    steps = [step for step, _ in points]
    losses = [loss for _, loss in points]
    smooth = smoothed(losses)
    figure = _figure(8, 4.5, layout="constrained")
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    axes.plot(steps, losses, color=_FAINT, linewidth=0.8, alpha=0.7, label="each step")
    axes.plot(steps, smooth, color=_ACCENT, linewidth=2.2, label="smoothed")
    axes.annotate(
        f"{smooth[-1]:.3f}",
        (steps[-1], smooth[-1]),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=_ACCENT,
        fontweight="bold",
        annotation_clip=False,
    )
    axes.set_xlim(min(steps), max(steps) if len(steps) > 1 else min(steps) + 1)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step", color=_INK)
    axes.set_ylabel("loss", color=_INK)
    axes.grid(color=_GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    _head(figure, axes, title, subtitle)
    return _save(figure, to)


def sample_sheet(
    samples: Sequence[SampleFile],
    to: Path,
    *,
    title: str,
    prompts: Sequence[str] = (),
    dataset: Sequence[Path] = (),
    subtitle: str = "",
    columns: int = 8,
) -> Path:
    """Draw the samples, a row for each prompt and a column for each step, beside images of the dataset.

    Args:
        samples: at least one; step and index say its cell.
        to: path of the PNG.
        title: name of the training.
        prompts: labels of the rows, by index of the samples.
        dataset: images of the dataset, one for each row.
        subtitle: line below the title.
        columns: most steps to show, evenly chosen, the first and the last included.

    Raises:
        ValueError: there is no sample.
        OSError: an image cannot be read, or `to` cannot be written.
    """
    if not samples:
        raise ValueError("There is no sample to draw.")
    steps = spread(sorted({sample.step for sample in samples}), columns)
    rows = sorted({sample.index for sample in samples})
    cells = {(sample.index, sample.step): sample.path for sample in samples}
    shown = list(dataset[: len(rows)])
    width = _LABEL_INCHES + _CELL_INCHES * (len(steps) + (1.25 if shown else 0))
    height = _HEAD_INCHES + _CELL_INCHES * len(rows)
    figure = _figure(width, height)
    _sheet_head(figure, title, subtitle)
    for row, index in enumerate(rows):
        top = height - _HEAD_INCHES - row * _CELL_INCHES
        _row_label(figure, top, prompts[index] if index < len(prompts) else f"prompt {index + 1}")
        for column, step in enumerate(steps):
            axes = _cell(figure, _LABEL_INCHES + column * _CELL_INCHES, top)
            _show(axes, cells.get((index, step)))
            if row == 0:
                axes.set_title(f"step {step}", fontsize=9, color=_INK)
        if row < len(shown):
            axes = _cell(figure, _LABEL_INCHES + (len(steps) + 0.2) * _CELL_INCHES, top)
            _show(axes, shown[row])
            if row == 0:
                axes.set_title("dataset", fontsize=9, color=_ACCENT)
            for spine in axes.spines.values():
                spine.set(visible=True, color=_ACCENT, linewidth=1.5)
    return _save(figure, to)


def smoothed(values: Sequence[float]) -> list[float]:
    """Return the moving average of the values, exponentially weighted and corrected for its start."""
    smooth: list[float] = []
    total = weight = 0.0
    for value in values:
        total += _SMOOTHING * (value - total)
        weight += _SMOOTHING * (1 - weight)
        smooth.append(total / weight)
    return smooth


def spread(steps: Sequence[int], most: int) -> list[int]:
    """Return at most `most` of the steps, evenly chosen, the first and the last included."""
    if len(steps) <= most:
        return list(steps)
    if most == 1:
        return [steps[-1]]
    return [steps[round(place * (len(steps) - 1) / (most - 1))] for place in range(most)]


def _figure(width: float, height: float, *, layout: Literal["constrained"] | None = None) -> Figure:
    """Return an empty figure of that size in inches.

    Raises:
        LorapodError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise LorapodError(
            f"Drawing needs {error.name}, which is not installed.",
            hint=f"Install it: pip install {error.name}.",
        ) from None
    return Figure(figsize=(width, height), layout=layout)


def _head(figure: Figure, axes: Axes, title: str, subtitle: str) -> None:
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=_INK)
    if subtitle:
        axes.set_title(subtitle, loc="left", fontsize=9, color="#52606d")


def _sheet_head(figure: Figure, title: str, subtitle: str) -> None:
    height = float(figure.get_figheight())
    left = 0.15 / float(figure.get_figwidth())
    figure.text(
        left, 1 - 0.15 / height, title, va="top", ha="left", fontsize=13, fontweight="bold", color=_INK
    )
    figure.text(left, 1 - 0.45 / height, subtitle, va="top", ha="left", fontsize=9, color="#52606d")


def _row_label(figure: Figure, top: float, text: str) -> None:
    width, height = (float(size) for size in figure.get_size_inches())
    figure.text(
        (_LABEL_INCHES - 0.12) / width,
        (top - _CELL_INCHES / 2) / height,
        _wrapped(text),
        ha="right",
        va="center",
        fontsize=8,
        color=_INK,
    )


def _cell(figure: Figure, left: float, top: float) -> Axes:
    width, height = (float(size) for size in figure.get_size_inches())
    gap = 0.06
    axes = figure.add_axes(
        (
            left / width,
            (top - _CELL_INCHES + gap) / height,
            (_CELL_INCHES - gap) / width,
            (_CELL_INCHES - gap) / height,
        )
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes


def _show(axes: Axes, path: Path | None) -> None:
    if path is None:
        axes.text(0.5, 0.5, "-", ha="center", va="center", color=_FAINT)
        return
    from PIL import Image

    with Image.open(path) as picture:
        axes.imshow(picture.convert("RGB"), interpolation="nearest")


def _wrapped(text: str) -> str:
    return "\n".join(
        textwrap.wrap(
            text, _LABEL_CHARACTERS, max_lines=_LABEL_LINES, placeholder=" …", break_long_words=True
        )
    )


def _save(figure: Figure, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(to, dpi=_DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
    return to
