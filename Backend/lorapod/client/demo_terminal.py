"""Where the demo says what it does."""

from __future__ import annotations

from rich.console import Console

CONSOLE = Console()


def print_line(text: str) -> None:
    """Print a line that can be copied: neither wrapped nor coloured."""
    CONSOLE.print(f"  {text}", soft_wrap=True, markup=False, highlight=False)
