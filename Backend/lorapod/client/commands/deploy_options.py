"""The options of `deploy`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from lorapod.client.commands.train_options import complete_preset


class FrontDoorChoice(StrEnum):
    """What serves the requests that need no GPU."""

    NONE = "none"
    CPU = "cpu"


DeployPresetOption = Annotated[
    str | None,
    typer.Option(
        help="Choose GPUs that can train this preset; `lorapod presets` lists them.",
        autocompletion=complete_preset,
    ),
]
ImageOption = Annotated[str | None, typer.Option(help="The worker's image, for example YOU/lorapod:1.")]
DeployNameOption = Annotated[
    str | None, typer.Option(help="Name of the endpoint and the volume. Default: lorapod.")
]
GpuMemoryOption = Annotated[
    int | None, typer.Option(min=1, help="GPU memory, in GB. Default: what the preset needs, or 24.")
]
MaxPriceOption = Annotated[
    float | None, typer.Option(min=0, help="Highest price of a GPU, in dollars an hour.")
]
DataCenterOption = Annotated[
    str | None, typer.Option(help="Data center, for example EU-RO-1. Default: the best for the GPUs.")
]
VolumeOption = Annotated[str | None, typer.Option(help="Id of a network volume to use.")]
VolumeSizeOption = Annotated[
    int | None, typer.Option(min=10, max=4096, help="Size of a new volume, in GB. Default: 100.")
]
MaxWorkersOption = Annotated[
    int | None, typer.Option(min=1, help="How many workers may run at a time. Default: 2.")
]
ActiveWorkersOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="How many workers are always on, and cost money without a job too. Default: what the endpoint has.",
    ),
]
IdleTimeoutOption = Annotated[
    int | None,
    typer.Option(min=1, max=3600, help="Seconds without a job before a worker stops. Default: 60."),
]
TimeoutHoursOption = Annotated[
    float | None, typer.Option(min=0.01, max=168, help="Hours that a job may run. Default: 24.")
]
MinCudaOption = Annotated[
    str | None, typer.Option(help="Lowest CUDA version of a host, for images of your own. Default: 13.0.")
]
SecretOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[=SECRET]",
        help="A variable from a secret of your RunPod account. Repeat it for several.",
    ),
]
EnvFromOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A variable with the value that it has in this shell."),
]
EnvOption = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable; no secrets.")]
FrontDoorOption = Annotated[
    FrontDoorChoice | None,
    typer.Option(help="cpu: also a CPU endpoint on the same volume, for everything that needs no GPU."),
]
FrontDoorImageOption = Annotated[
    str | None,
    typer.Option(help="Its image. Default: the image's name with -light, for example YOU/lorapod-light:1."),
]
CachedModelOption = Annotated[
    str | None, typer.Option(help="Hub id of a model that RunPod should keep ready on its hosts.")
]
DestroyOption = Annotated[
    bool,
    typer.Option("--destroy", help="Delete the endpoints instead. The volume and its files stay."),
]
