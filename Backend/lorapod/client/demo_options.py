"""The options of the demo; `make` gives them as variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[
    str | None,
    typer.Option(
        envvar="MODEL",
        help="Base model: a folder, a file or a HuggingFace id. Default: the demo's own small model.",
    ),
]
ArchOption = Annotated[
    str, typer.Option(envvar="ARCH", help="Architecture of the model, as the trainer names it.")
]
DatasetOption = Annotated[
    Path | None,
    typer.Option(
        envvar="DATASET",
        exists=True,
        file_okay=False,
        help="Folder with images and captions. Default: a few images, drawn here.",
    ),
]
TrainerOption = Annotated[str, typer.Option(envvar="TRAINER", help="Trainer: builtin, ai-toolkit or auto.")]
StepsOption = Annotated[
    int | None,
    typer.Option(envvar="STEPS", min=1, help="Number of training steps. Default: enough for the model."),
]
ResolutionOption = Annotated[
    int | None,
    typer.Option(
        envvar="RESOLUTION", min=64, help="Side of the images in pixels. Default: that of the model."
    ),
]
ConsoleOption = Annotated[
    bool | None,
    typer.Option(
        "--console/--no-console",
        envvar="CONSOLE",
        help="Open the console in a browser, and keep it open until Ctrl-C; or end without waiting. "
        "Default: wait at a terminal, do not open a browser.",
    ),
]
OutOption = Annotated[
    Path, typer.Option(envvar="OUT", file_okay=False, help="Folder for all files of the demo.")
]
