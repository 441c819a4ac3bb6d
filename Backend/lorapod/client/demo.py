"""`make demo`: train one LoRA on this machine, through a real worker behind a local endpoint."""

from __future__ import annotations

import logging
import signal
from pathlib import Path

import typer

from lorapod.client.demo_options import (
    ArchOption,
    ConsoleOption,
    DatasetOption,
    ModelOption,
    OutOption,
    ResolutionOption,
    StepsOption,
    TrainerOption,
)
from lorapod.client.demo_recipe import real_recipe, tiny_recipe
from lorapod.client.demo_run import HANDLER, Demo
from lorapod.client.demo_terminal import CONSOLE
from lorapod.client.errors import LorapodError


def demo(
    *,
    model: ModelOption = None,
    arch: ArchOption = "sd1",
    dataset: DatasetOption = None,
    trainer: TrainerOption = "builtin",
    steps: StepsOption = None,
    resolution: ResolutionOption = None,
    out: OutOption = Path("demo"),
    with_console: ConsoleOption = None,
) -> None:
    """Train a LoRA on this machine and leave its file, loss curve and samples."""
    logging.basicConfig(level=logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not HANDLER.is_file():
        CONSOLE.print(
            "The demo trains with the worker, which is not installed here. "
            "Clone the project and run `make demo` in its folder.",
            style="red",
        )
        raise typer.Exit(1)
    out = out.resolve()
    make = tiny_recipe if model is None else real_recipe
    recipe = make(
        out, model=model, arch=arch, dataset=dataset, trainer=trainer, steps=steps, resolution=resolution
    )
    _run(Demo(recipe=recipe, out=out, with_console=with_console))


def _run(run: Demo) -> None:
    """Run the demo, or print the error that ended it.

    Raises:
        typer.Exit: the demo failed or was interrupted.
    """
    try:
        run.run()
    except LorapodError as error:
        CONSOLE.print(str(error), style="red", markup=False)
        CONSOLE.print(f"The worker's log: {run.out / 'logs'}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        CONSOLE.print("\nInterrupted; the endpoint and its worker have ended.")
        raise typer.Exit(130) from None


if __name__ == "__main__":
    typer.run(demo)
