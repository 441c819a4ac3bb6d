"""The messages that every resident child understands or sends, one JSON object each.

| the worker sends | and receives |
|---|---|
| (nothing) | `ready`, once: everything is imported |
| `ping` | `pong`, at once, whatever else the child does |
| `cancel` | nothing of its own; the job ends soon, with `cancelled` |
| a load or a job of the child's own | its answers; `failed` if it cannot be done |

There is no message for unloading: the worker ends the child, which surely frees the GPU. The child ends too when the
connection ends.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from lorapod.errors import ErrorCode


class Message(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cancel(Message):
    """End a job early."""

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


class Cancelled(Message):
    """A job was cancelled."""

    kind: Literal["cancelled"] = "cancelled"
    job: str


class Failed(Message):
    """A load or a job failed."""

    kind: Literal["failed"] = "failed"
    code: ErrorCode
    message: str
    hint: str = ""
    #: Whether the child cannot be used any more.
    fatal: bool = False
