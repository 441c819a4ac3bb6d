"""The end of the demo: where its results are, how long it took, and the console's address as the last line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lorapod.client.console.server import ConsoleServer
from lorapod.client.demo_console import command_to_open, open_as_browser, wait_for_interrupt
from lorapod.client.demo_terminal import CONSOLE, print_line


def print_results(results: Mapping[str, Path], timings: Mapping[str, float], out: Path) -> None:
    """Print where the results are and how long each part took, in seconds."""
    places = {
        **results,
        "Samples": out / "samples",
        "Workspace": out / "workspace",
        "Worker's log": out / "logs",
    }
    _print_rows("Results", {name: str(path) for name, path in places.items()})
    durations = {**timings, "Total": sum(timings.values())}
    _print_rows("How long it took", {name: f"{duration_s:6.1f} s" for name, duration_s in durations.items()})


def end_with_console(console: ConsoleServer, workspace: Path, *, stays: bool) -> None:
    """Print the console's address; keep it open until Ctrl-C, or show that it answers and how to open it again."""
    CONSOLE.print("\n[bold]In a browser[/bold]")
    if stays:
        print_line("The console and the worker run until you press Ctrl-C. Open this link; it works once:")
        print_line(console.link)
        wait_for_interrupt()
        return
    try:
        size = open_as_browser(console)
    except OSError as error:
        print_line(f"The console does not answer: {error}")
    else:
        print_line(f"The console answered at {console.base_url} with its page ({size} bytes).")
    print_line("The demo, its worker and its console end here. To open the console again:")
    print_line(command_to_open(workspace))


def _print_rows(title: str, rows: Mapping[str, str]) -> None:
    CONSOLE.print(f"\n[bold]{title}[/bold]")
    width = max(map(len, rows))
    for name, text in rows.items():
        print_line(f"{name:{width}}  {text}")
