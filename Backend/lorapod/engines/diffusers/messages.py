"""The messages between the engine and its child, one JSON object each.

| the engine sends | and receives |
|---|---|
| (nothing) | `ready`, once: everything is imported |
| `load` | `loaded`, or `failed` |
| `generate` | `progress` any number of times, then `made`, `cancelled` or `failed` |
| `ping` | `pong`, at once, whatever else the child does |
| `cancel` | nothing of its own; the generation ends at its next step |

There is no message for unloading: the engine ends the child, which surely frees the GPU. The child ends too when the
connection ends.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lorapod.errors import ErrorCode


class Message(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
    params: dict[str, Any] = {}
    folder: Path


class Cancel(Message):
    """End a generation early."""

    kind: Literal["cancel"] = "cancel"
    job: str


class Ping(Message):
    """Answer, if you are alive."""

    kind: Literal["ping"] = "ping"


class Pong(Message):
    """The child is alive."""

    kind: Literal["pong"] = "pong"


class ChildReady(Message):
    """Everything is imported."""

    kind: Literal["ready"] = "ready"


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


class Cancelled(Message):
    """A generation was cancelled."""

    kind: Literal["cancelled"] = "cancelled"
    job: str


class Failed(Message):
    """A load or a generation failed."""

    kind: Literal["failed"] = "failed"
    code: ErrorCode
    message: str
    hint: str = ""
    #: Whether the child cannot be used any more.
    fatal: bool = False


Request = Annotated[Load | Generate | Cancel | Ping, Field(discriminator="kind")]
Answer = Annotated[
    ChildReady | Pong | Loaded | StepProgress | Made | Cancelled | Failed,
    Field(discriminator="kind"),
]

REQUESTS: TypeAdapter[Request] = TypeAdapter(Request)
ANSWERS: TypeAdapter[Answer] = TypeAdapter(Answer)
