"""The messages between the engine and its child, beside those of every resident child.

| the engine sends | and receives |
|---|---|
| `load` | `loaded`, or `failed` |
| `generate` | `progress` any number of times, then `made`, `cancelled` or `failed` |
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from lorapod.processes.resident.messages import (
    Cancel,
    Cancelled,
    ChildReady,
    Failed,
    Message,
    Ping,
    Pong,
)


class Load(Message):
    """Have this pipeline loaded, and no other."""

    kind: Literal["load"] = "load"
    #: A folder in diffusers' layout, a `.safetensors` file, or a hub id.
    model: str
    #: The folder with the configuration of a single file; None: the Hub's configuration for that kind of file.
    config: Path | None = None
    #: Whether nothing may be downloaded.
    offline: bool


class Lora(Message):
    """One LoRA of a generation."""

    path: Path
    #: How answers and complaints call it.
    name: str
    weight: float
    #: Changes when the file is replaced.
    stamp: str


class Generate(Message):
    """Make images with the pipeline that is loaded; None: the pipeline's own default."""

    kind: Literal["generate"] = "generate"
    job: str
    prompt: str
    negative_prompt: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int
    num_images: int
    loras: tuple[Lora, ...] = ()
    image: Path | None = None
    #: White where the image is changed.
    mask: Path | None = None
    strength: float | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    folder: Path


class Loaded(Message):
    """The pipeline is loaded."""

    kind: Literal["loaded"] = "loaded"
    #: Its class, e.g. `StableDiffusionPipeline`.
    pipeline: str
    #: `cuda` or `cpu`.
    device: str
    #: E.g. `bfloat16`.
    dtype: str


class StepProgress(Message):
    """How far a generation is."""

    kind: Literal["progress"] = "progress"
    job: str
    #: Steps of the present image that are done.
    step: int
    total_steps: int
    #: The present image, from 1.
    image: int


class MadeImage(Message):
    """One image that was written."""

    path: Path
    seed: int


class Made(Message):
    """A generation is done."""

    kind: Literal["made"] = "made"
    job: str
    images: tuple[MadeImage, ...]
    warnings: tuple[str, ...]


Request = Annotated[Load | Generate | Cancel | Ping, Field(discriminator="kind")]
Answer = Annotated[
    ChildReady | Pong | Loaded | StepProgress | Made | Cancelled | Failed,
    Field(discriminator="kind"),
]

REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Answer)
