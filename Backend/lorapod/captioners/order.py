"""What a captioning was asked to do, as its order stores it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from pydantic import TypeAdapter

from lorapod.captioners.prompts import CaptionStyle


class Overwrite(StrEnum):
    """Which images get a caption."""

    #: Those that have none, or an empty one.
    MISSING = "missing"
    #: All: the captions that are there are replaced.
    ALL = "all"


@dataclass(frozen=True, kw_only=True)
class CaptionOrder:
    """One captioning."""

    #: The dataset's folder, relative to the workspace.
    path: str
    #: The captioner; None: the first that this worker has.
    captioner: str | None = None
    model: str | None = None
    #: The caller's own prompt; None: the style's.
    prompt: str | None = None
    style: CaptionStyle | None = None
    #: The architecture of the model that will be trained.
    arch: str | None = None
    overwrite: Overwrite = Overwrite.MISSING
    trigger_word: str | None = None
    max_new_tokens: int = 256
    batch_size: int | None = None
    #: Names of images; None: all.
    limit_names: Sequence[str] | None = None
    #: Suffix of captions; None: what the dataset's captions have.
    caption_ext: str | None = None

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Read the JSON values of a process's order."""
        return TypeAdapter(cls).validate_python(dict(stored))
