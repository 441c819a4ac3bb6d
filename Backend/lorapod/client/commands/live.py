"""A live view of a process: status, step, loss, time left, and the loss so far as a sparkline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lorapod.client.client import Client
from lorapod.client.commands.estimates import estimate_text
from lorapod.client.commands.screen import Screen, duration, styled
from lorapod.client.errors import LorapodError
from lorapod.client.money.price_book import PriceLookup
from lorapod.client.money.training_cost import TrainingCost, training_cost
from lorapod.platform.prices import dollars

#: Between two polls.
INTERVAL_S = 2.0
SPARKLINE_WIDTH = 60
HOW_TO_LEAVE = Text("Press Ctrl-C to stop watching; the process continues.", style="dim")
_BARS = "▁▂▃▄▅▆▇█"
_LOSS = "loss/loss"
#: The statuses of processes that have ended.
ENDED = frozenset({"completed", "failed", "cancelled", "interrupted"})


def follow(
    client: Client,
    process_id: str,
    screen: Screen,
    *,
    interval_s: float = INTERVAL_S,
    prices: PriceLookup | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Show a process until it ends; return its last status. With `prices`, show what it costs.

    Without a terminal, or with `--json`, print a line for each change. `console`: where to draw; None: stdout, as answers.

    Raises:
        LorapodError: the process is unknown, or the endpoint did not answer for too long.
    """
    shown = console or screen.console
    if not shown.is_terminal or (screen.as_json and console is None):
        lines = _Lines(screen, prices, console)
        return client.wait(process_id, on_progress=lines, interval_s=interval_s, check=False)
    losses = _Losses(client, process_id)
    with Live(console=shown, auto_refresh=False) as live:

        def draw(process: dict[str, Any]) -> None:
            warn_of_dataset(screen, process)
            view = panel(process, losses.now(process), cost=cost_of_process(process, prices))
            live.update(Group(view, HOW_TO_LEAVE), refresh=True)

        return client.wait(process_id, on_progress=draw, interval_s=interval_s, check=False)


def warn_of_dataset(screen: Screen, answer: Mapping[str, Any]) -> None:
    """Print what an answer says about its dataset, as far as it was not printed before."""
    dataset = answer.get("dataset") or {}
    screen.warn(dataset.get("warnings", ()))
    screen.note(
        f"{fixed.get('sent_as') or fixed['name']}: {fixed['what']}" for fixed in dataset.get("fixed", ())
    )


def cost_of_process(process: Mapping[str, Any], prices: PriceLookup | None) -> TrainingCost | None:
    """Return what a training costs; None if it is no training, or the price is not known."""
    is_priced = bool(process.get("trainer")) or process.get("type") == "sweep"
    return training_cost(process, prices.book()) if prices is not None and is_priced else None


def panel(
    process: Mapping[str, Any], losses: Sequence[float], *, cost: TrainingCost | None = None
) -> RenderableType:
    """Return the view of a process in its present status."""
    progress = process["progress"]
    facts = Table.grid(padding=(0, 2))
    facts.add_row("[bold]" + escape(process["process_id"]), escape(process["name"]), _state(process))
    rows: list[RenderableType] = [facts]
    if _is_workflow(process):
        rows.append(ProgressBar(total=100, completed=progress.get("percent") or 0, width=SPARKLINE_WIDTH))
    elif progress.get("total_steps"):
        rows.append(
            ProgressBar(total=progress["total_steps"], completed=progress["step"], width=SPARKLINE_WIDTH)
        )
    if text := progress_text(process):
        rows.append(Text(text))
    if process["status"] not in ENDED and (text := estimate_text(process.get("estimate"))):
        rows.append(Text(text, style="dim"))
    if cost is not None and cost.text:
        rows.append(Text(cost.text, style="dim"))
    if losses:
        rows.append(Text(f"{sparkline(losses)}  loss {losses[-1]:.4f}", style="cyan"))
    if process.get("failure"):
        rows.append(Text(process["failure"]["message"], style="red"))
    return Group(*rows)


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


def _state(process: Mapping[str, Any]) -> str:
    phase = f" ({process['phase']})" if process.get("phase") else ""
    return f"{styled(process['status'])}{escape(phase)}"


def state_line(process: Mapping[str, Any]) -> str:
    """Return a process's id, status, phase and progress as one line."""
    phase = f" {process['phase']}" if process.get("phase") else ""
    return f"{process['process_id']} {process['status']}{phase} {progress_text(process)}".rstrip()


def progress_text(process: Mapping[str, Any]) -> str:
    """Return how far a process is, as one line; empty if it does not say."""
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
    return "  ".join(parts)


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


class _Losses:
    """The loss at each step; asks the worker only for the steps it does not know yet."""

    def __init__(self, client: Client, process_id: str) -> None:
        self._client = client
        self._process_id = process_id
        self._by_step: dict[int, float] = {}

    def now(self, process: Mapping[str, Any]) -> list[float]:
        """Return every known loss, in order of steps."""
        step = process["progress"]["step"]
        known = max(self._by_step, default=-1)
        if step > known:
            # If the curve cannot be fetched now, the next poll fetches it.
            with suppress(LorapodError):
                new = self._client.metrics(self._process_id, keys=[_LOSS], since_step=known + 1)
                self._by_step |= dict(new.get(_LOSS, ()))
        return [self._by_step[step] for step in sorted(self._by_step)]


class _Lines:
    """Print a line whenever something has changed."""

    def __init__(self, screen: Screen, prices: PriceLookup | None, console: Console | None) -> None:
        self._screen = screen
        self._console = console
        self._prices = prices
        self._last: tuple[Any, ...] = ()

    def __call__(self, process: dict[str, Any]) -> None:
        warn_of_dataset(self._screen, process)
        progress = process["progress"]
        names = ("step", "image", "node_id", "nodes_done")
        now = (process["status"], process.get("phase"), *(progress.get(name) for name in names))
        if now == self._last:
            return
        self._last = now
        cost = cost_of_process(process, self._prices)
        if self._screen.as_json and self._console is None:
            shown = {name: process.get(name) for name in ("process_id", "status", "phase", "progress")}
            self._screen.answer(shown if cost is None else {**shown, "cost": cost.as_json})
        else:
            text = "" if cost is None or cost.so_far is None else f"  {dollars(cost.so_far)}"
            line = f"{state_line(process)}{text}"
            if self._console is None:
                self._screen.line(line)
            else:
                self._console.print(line, markup=False)
