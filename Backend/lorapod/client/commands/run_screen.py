"""What `run` shows while it works: a line for each stage, and the live view of a process, on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from lorapod.client.client import Client
from lorapod.client.commands.live import INTERVAL_S, follow
from lorapod.client.commands.screen import Screen, is_interactive
from lorapod.client.money.price_book import PriceLookup
from lorapod.client.process_nouns import noun_of

#: Characters of a stage's name.
_NAME_WIDTH = 9


class RunScreen:
    """The screen of one run."""

    def __init__(self, screen: Screen, *, yes: bool, prices: PriceLookup | None = None) -> None:
        """With `yes`, ask nothing."""
        self.screen = screen
        self._yes = yes
        self._prices = prices

    def stage(self, name: str, text: str) -> None:
        """Print what a stage did, or does."""
        self.screen.aside.print(f"[bold]{name:<{_NAME_WIDTH}}[/] {escape(text)}")

    def more(self, text: str) -> None:
        """Print a further line of a stage."""
        self.stage("", text)

    def confirmed(self, question: str) -> bool:
        """Ask a question whose answer is yes by default; without a terminal, or with `--yes`, it is yes.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed instead.
        """
        if self._yes or not is_interactive():
            return True
        return self.screen.confirm(f"{'':<{_NAME_WIDTH}} {question}", default=True)

    def follow(self, client: Client, process_id: str) -> dict[str, Any]:
        """Show a process until it ends; return its last status."""
        return follow(
            client,
            process_id,
            self.screen,
            interval_s=INTERVAL_S,
            console=self.screen.aside,
            prices=self._prices,
            watch_again=f"The {noun_of(process_id)} {process_id} continues. Run the same command again to continue, or watch it: "
            f"lorapod status {process_id} --follow",
        )

    def reading(self, text: str) -> Any:
        """Return a context that shows that something takes its time."""
        return self.screen.busy(text)


def last_step(process: Mapping[str, Any]) -> str:
    """Return how far a process has come, for example `step 400/1500`."""
    progress = process["progress"]
    total = progress.get("total_steps")
    return f"step {progress['step']}/{total}" if total else f"step {progress['step']}"
