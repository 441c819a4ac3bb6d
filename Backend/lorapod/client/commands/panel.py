"""A process as the terminal shows it: a few lines that fit its width, or plain lines for a pipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lorapod.client.commands.endings import ENDED, how_to_resume, why_ended
from lorapod.client.commands.estimates import estimate_text
from lorapod.client.commands.screen import duration, styled
from lorapod.client.money.price_book import PriceLookup
from lorapod.client.money.training_cost import TrainingCost, training_cost

#: Columns of the longest bar, and of the shortest that is drawn.
BAR_WIDTH = 30
BAR_MIN_WIDTH = 8
SPARKLINE_WIDTH = 60

_GAP = "  "
_BARS = "▁▂▃▄▅▆▇█"
#: A name that is cut to less says nothing.
_NAME_MIN_WIDTH = 6


def panel(
    process: Mapping[str, Any], losses: Sequence[float], *, cost: TrainingCost | None = None
) -> RenderableType:
    """Return the view of a process in its present status for a terminal."""
    rows: list[RenderableType] = [_Head(process)]
    if parts := _parts(process):
        rows.append(_ProgressRow(parts, _share(process)))
    rows += [sentence(text, "dim") for text in _asides(process, cost)]
    if losses:
        rows.append(_LossRow(losses))
    if text := why_ended(process):
        rows.append(sentence(text, "red" if process["status"] == "failed" else "yellow"))
    rows += [sentence(text, "dim") for text in _hints(process)]
    return Group(*rows)


def sentence(text: str, style: str) -> Text:
    """Return a text that is folded to the width of the terminal; a live view would cut it."""
    return Text(text, style=style, no_wrap=False, overflow="fold")


def plain_lines(process: Mapping[str, Any], *, cost: TrainingCost | None = None) -> Iterator[str]:
    """Yield the same as lines without colours and bars."""
    yield _GAP.join(text for text in (process["process_id"], process["name"], _state(process)) if text)
    if text := progress_text(process):
        yield text
    yield from _asides(process, cost)
    if text := why_ended(process):
        yield text
    yield from _hints(process)


def cost_of_process(process: Mapping[str, Any], prices: PriceLookup | None) -> TrainingCost | None:
    """Return what a training costs; None if it is no training, or the price is not known."""
    is_priced = bool(process.get("trainer")) or process.get("type") == "sweep"
    return training_cost(process, prices.book()) if prices is not None and is_priced else None


def sparkline(values: Sequence[float], width: int = SPARKLINE_WIDTH) -> str:
    """Return numbers as one line of bars; if there are more than `width`, each bar is the mean of several."""
    if not values:
        return ""
    bins = min(width, len(values))
    edges = [round(index * len(values) / bins) for index in range(bins + 1)]
    means = [sum(values[low:high]) / (high - low) for low, high in pairwise(edges)]
    low, high = min(means), max(means)
    span = high - low or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)


def state_line(process: Mapping[str, Any]) -> str:
    """Return a process's id, status, phase and progress as one line."""
    phase = f" {process['phase']}" if process.get("phase") else ""
    return f"{process['process_id']} {process['status']}{phase} {progress_text(process)}".rstrip()


def progress_text(process: Mapping[str, Any], width: int | None = None) -> str:
    """Return how far a process is, as one line that fits `width`; empty if it does not say."""
    return _GAP.join(_fitting(_parts(process), width))


class _Head:
    """The id, name and status of a process; what does not fit goes to its own line."""

    def __init__(self, process: Mapping[str, Any]) -> None:
        self._process = process

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        process = self._process
        phase = f" ({process['phase']})" if process.get("phase") else ""
        state = f"{styled(process['status'])}{escape(phase)}"
        used = len(process["process_id"]) + len(_GAP) + cell_len(_state(process))
        room = options.max_width - used - len(_GAP)
        name = process["name"]
        if cell_len(name) > room:
            name = f"{set_cell_size(name, room - 1).rstrip()}…" if room >= _NAME_MIN_WIDTH else ""
        texts = [f"[bold]{escape(process['process_id'])}[/]", *([escape(name)] if name else []), state]
        separator = _GAP if used <= options.max_width else "\n"
        head = Text.from_markup(separator.join(texts), overflow="fold")
        head.no_wrap = False
        yield head


class _ProgressRow:
    """Bar, step, loss, speed and time left in one line. In a narrow terminal the first of them are left out."""

    def __init__(self, parts: Sequence[str], share: float | None) -> None:
        self._parts = parts
        self._share = share

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fitting = _fitting(self._parts, options.max_width)
        text = _GAP.join(fitting)
        room = options.max_width - cell_len(text) - len(_GAP)
        if self._share is None or room < BAR_MIN_WIDTH or len(fitting) < len(self._parts):
            yield Text(text)
            return
        row = Table.grid(padding=(0, len(_GAP), 0, 0))
        bar = ProgressBar(total=1.0, completed=self._share, width=min(room, BAR_WIDTH))
        row.add_row(bar, Text(text, no_wrap=True))
        yield row


class _LossRow:
    """The loss so far, as wide as there is room."""

    def __init__(self, losses: Sequence[float]) -> None:
        self._losses = losses

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = f"{_GAP}loss {self._losses[-1]:.4f}"
        room = min(SPARKLINE_WIDTH, options.max_width - len(text))
        yield Text(f"{sparkline(self._losses, room)}{text}" if room > 0 else text.strip(), style="cyan")


def _fitting(parts: Sequence[str], width: int | None) -> Sequence[str]:
    """Return the last parts, as many as fit; at least one."""
    while width is not None and len(parts) > 1 and cell_len(_GAP.join(parts)) > width:
        parts = parts[1:]
    return parts


def _asides(process: Mapping[str, Any], cost: TrainingCost | None) -> Iterator[str]:
    """Yield what a process is expected to take, and what it costs."""
    if process["status"] not in ENDED and (text := estimate_text(process.get("estimate"))):
        yield text
    if cost is not None and cost.text:
        yield cost.text


def _hints(process: Mapping[str, Any]) -> Iterator[str]:
    """Yield what can be done about an end."""
    if why_ended(process) and (text := (process.get("failure") or {}).get("hint")):
        yield text
    if text := how_to_resume(process):
        yield text


def _state(process: Mapping[str, Any]) -> str:
    phase = f" ({process['phase']})" if process.get("phase") else ""
    return f"{process['status']}{phase}"


def _share(process: Mapping[str, Any]) -> float | None:
    """Return how much of a process is done, from 0 to 1; None if it is not known."""
    progress = process["progress"]
    if _is_workflow(process):
        return float(progress.get("percent") or 0) / 100
    total = progress.get("total_steps")
    return min(1.0, float(progress["step"]) / total) if total else None


def _parts(process: Mapping[str, Any]) -> list[str]:
    """Return how far a process is, in the order in which a narrow terminal leaves it out."""
    progress = process["progress"]
    parts = []
    if (progress.get("total_images") or 1) > 1:
        parts.append(f"image {progress.get('image') or 1}/{progress['total_images']}")
    if _is_workflow(process):
        parts += _workflow_parts(progress)
    elif progress.get("total_steps"):
        parts.append(f"step {progress['step']}/{progress['total_steps']}")
    if progress.get("loss") is not None:
        parts.append(f"loss {progress['loss']:.4f}")
    if progress.get("steps_per_s"):
        parts.append(f"{progress['steps_per_s']:.2f} steps/s")
    if progress.get("eta_s") is not None and process["status"] not in ENDED:
        parts.append(f"{duration(progress['eta_s'])} left")
    return parts


def _is_workflow(process: Mapping[str, Any]) -> bool:
    return bool(process["progress"].get("total_nodes"))


def _workflow_parts(progress: Mapping[str, Any]) -> list[str]:
    """Return the node at work, its own progress, and how many nodes are done."""
    parts = []
    if progress.get("node"):
        known = progress.get("node_max") or 0
        value = f" {progress.get('node_value') or 0:g}/{known:g}" if known > 1 else ""
        parts.append(f"{progress['node']} (node {progress.get('node_id')}){value}")
    parts.append(f"{progress.get('nodes_done') or 0}/{progress['total_nodes']} nodes")
    if progress.get("percent") is not None:
        parts.append(f"{progress['percent']:.0f}%")
    return parts
