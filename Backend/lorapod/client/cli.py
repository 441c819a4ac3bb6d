"""The `lorapod` command line: only the list of its commands."""

from __future__ import annotations

import typer

from lorapod.endpoint.command import endpoint

app = typer.Typer(name="lorapod", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def lorapod() -> None:
    """Train and use LoRAs through RunPod's queue API."""


app.command()(endpoint)


def main() -> None:
    """The console script."""
    app()
