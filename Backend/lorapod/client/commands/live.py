"""Follow a process to its end: a live view in a terminal, a line for each change elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from rich.console import Console, Group
from rich.live import Live

from lorapod.client.client import Client
from lorapod.client.commands.endings import watching_ends
from lorapod.client.commands.panel import cost_of_process, panel, sentence, state_line
from lorapod.client.commands.screen import Screen, draws, duration
from lorapod.client.errors import EndpointError, LorapodError
from lorapod.client.following import NO_ANSWER_MAX_S
from lorapod.client.money.price_book import PriceLookup
from lorapod.client.progress import Progress
from lorapod.platform.prices import dollars

#: Between two polls.
INTERVAL_S = 2.0
HOW_TO_LEAVE = sentence("Press Ctrl-C to stop watching; the process continues.", "dim")
_LOSS = "loss/loss"

#: Shows a process.
Show = Callable[[dict[str, Any]], None]


def follow(
    client: Client,
    process_id: str,
    screen: Screen,
    *,
    interval_s: float = INTERVAL_S,
    prices: PriceLookup | None = None,
    console: Console | None = None,
    watch_again: str = "",
) -> dict[str, Any]:
    """Show a process until it ends; return its last status. With `prices`, show what it costs.

    Without a terminal, or with `--json`, print a line for each change.

    Args:
        client: the client of the endpoint.
        process_id: the process.
        screen: of the command.
        interval_s: between two polls.
        prices: what workers cost.
        console: where to draw; None: stdout, as answers.
        watch_again: the text that is printed after Ctrl-C; by default the command that shows the process again.

    Raises:
        LorapodError: the process is unknown, or the endpoint did not answer for too long.
    """
    again = watch_again or watching_ends(process_id)
    before, screen.if_interrupted = screen.if_interrupted, again

    def wait(show: Show) -> dict[str, Any]:
        last: dict[str, Any] = {}

        def look(now: Progress) -> None:
            nonlocal last
            last = dict(now.answer)
            show(last)

        client.wait(process_id, on_progress=look, interval_s=interval_s, check=False)
        return last

    shown = console or screen.console
    try:
        with screen.outage.patience(NO_ANSWER_MAX_S):
            if draws(shown) and not (screen.as_json and console is None):
                ended = _draw(wait, shown, screen, _Losses(client, process_id), prices)
            else:
                ended = wait(_Lines(screen, prices, console))
    except EndpointError as error:
        if error.retryable:
            error.hint = f"There was no answer for {duration(NO_ANSWER_MAX_S)}. {again}"
        raise
    screen.if_interrupted = before
    return ended


def _draw(
    wait: Callable[[Show], dict[str, Any]],
    console: Console,
    screen: Screen,
    losses: _Losses,
    prices: PriceLookup | None,
) -> dict[str, Any]:
    with screen.waiting.paused(), Live(console=console, auto_refresh=False) as live:
        view: list[Any] = []

        def show_outage(text: str) -> None:
            live.update(Group(*view, sentence(text, "yellow")), refresh=True)

        def draw(process: dict[str, Any]) -> None:
            screen.outage.connected()
            warn_of_dataset(screen, process)
            view[:] = [panel(process, losses.now(process), cost=cost_of_process(process, prices))]
            live.update(Group(*view, HOW_TO_LEAVE), refresh=True)

        with screen.outage.shown_by(show_outage):
            ended = wait(draw)
        # What is left in the terminal says nothing of Ctrl-C.
        live.update(Group(*view), refresh=True)
        return ended


def warn_of_dataset(screen: Screen, answer: Mapping[str, Any]) -> None:
    """Print what an answer says about its dataset, as far as it was not printed before."""
    dataset = answer.get("dataset") or {}
    screen.warn(dataset.get("warnings", ()))
    screen.note(
        f"{fixed.get('sent_as') or fixed['name']}: {fixed['what']}" for fixed in dataset.get("fixed", ())
    )


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
        self._screen.outage.connected()
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
            return
        text = "" if cost is None or cost.so_far is None else f"  {dollars(cost.so_far)}"
        line = f"{state_line(process)}{text}"
        if self._console is None:
            self._screen.line(line)
        else:
            self._console.print(line, markup=False)
