"""The messages between the captioner and its child, beside those of every resident child.

| the captioner sends | and receives |
|---|---|
| `load` | `loaded`, or `failed` |
| `caption` | `captioned` or `not_captioned` for each image, then `done`, `cancelled` or `failed` |
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from lorapod.captioners.prompts import CaptionStyle
from lorapod.processes.resident.messages import (
    Cancel,
    Cancelled,
    ChildReady,
    Failed,
    Message,
    Ping,
    Pong,
)


class LoadCaptioner(Message):
    """Have this model loaded, and no other."""

    kind: Literal["load"] = "load"
    #: A folder, or a Hub id.
    model: str
    #: Whether nothing may be downloaded.
    offline: bool


class CaptionerLoaded(Message):
    """The model is loaded."""

    kind: Literal["loaded"] = "loaded"
    #: Its class, e.g. `Qwen3VLForConditionalGeneration`.
    model_class: str
    #: `cuda` or `cpu`.
    device: str
    #: E.g. `bfloat16`.
    dtype: str


class Pictures(Message):
    """One item to caption."""

    name: str
    #: One image, or the frames of a video.
    paths: tuple[Path, ...]
    prompt: str


class Caption(Message):
    """Caption these items with the model that is loaded."""

    kind: Literal["caption"] = "caption"
    job: str
    items: tuple[Pictures, ...]
    style: CaptionStyle
    #: Whether the caller wrote the prompts.
    own_prompt: bool
    max_new_tokens: int
    #: Items at a time; None: what usually fits.
    batch_size: int | None = None


class Captioned(Message):
    """The caption of one item."""

    kind: Literal["captioned"] = "captioned"
    name: str
    text: str


class NotCaptioned(Message):
    """One item has no caption."""

    kind: Literal["not_captioned"] = "not_captioned"
    name: str
    error: str
    #: Whether the model failed, not the file.
    by_model: bool


class Done(Message):
    """Every item was reported."""

    kind: Literal["done"] = "done"
    job: str


CaptionerRequest = Annotated[LoadCaptioner | Caption | Cancel | Ping, Field(discriminator="kind")]
CaptionerAnswer = Annotated[
    ChildReady | Pong | CaptionerLoaded | Captioned | NotCaptioned | Done | Cancelled | Failed,
    Field(discriminator="kind"),
]

REQUESTS: TypeAdapter[CaptionerRequest] = TypeAdapter(CaptionerRequest)
ANSWERS: TypeAdapter[CaptionerAnswer] = TypeAdapter(CaptionerAnswer)
