"""What the worker tells the child, and what the child answers: one JSON file each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from lorapod.errors import ErrorCode

#: The line on stdout with which the child reports how far it is.
PROGRESS = "modules done: "


@dataclass(frozen=True, kw_only=True)
class LoraToolJob:
    """One run of the child."""

    #: Type of the process.
    kind: str
    #: The order's JSON values.
    order: Mapping[str, Any]
    #: Absolute paths of the order's sources.
    sources: Sequence[Path]
    #: The file to write.
    target: Path
    #: Where the answer goes.
    answer: Path
    #: Notes for the header of the new file.
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LoraToolAnswer:
    """What has come of it: the error, or all else."""

    error: str | None = None
    code: ErrorCode = ErrorCode.INTERNAL
    hint: str = ""
    rank: int = 0
    modules: int = 0
    #: Share of the sources' energy that the new LoRA has; None: its rank was not cut.
    kept_energy: float | None = None
    key_format: str = ""
    dtypes: Sequence[str] = ()
    warnings: Sequence[str] = ()


def write_job(job: LoraToolJob, path: Path) -> None:
    """Write it for the child."""
    path.write_text(json.dumps(asdict(job), default=str), "utf-8")


def read_job(path: Path) -> LoraToolJob:
    """Read what the worker wrote."""
    return TypeAdapter(LoraToolJob).validate_json(path.read_bytes())


def write_answer(answer: LoraToolAnswer, path: Path) -> None:
    """Write it for the worker."""
    path.write_text(json.dumps(asdict(answer)), "utf-8")


def read_answer(path: Path) -> LoraToolAnswer | None:
    """Read what the child wrote; None if it wrote nothing whole."""
    try:
        return TypeAdapter(LoraToolAnswer).validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
