"""What the worker deletes by itself; nothing unless `RETENTION` is set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

_RULE = re.compile(
    r"(?P<what>[a-z]+)\s*[:=]\s*(?:last\s*[:=]\s*(?P<newest>[1-9]\d{0,6})|(?P<age>[1-9]\d{0,4})(?P<unit>[hd]))"
)
_UNIT_S = {"h": 3600, "d": 24 * 3600}


class Retained(StrEnum):
    """What a rule is about."""

    #: Trainings that have ended: outputs, log and record.
    TRAININGS = "trainings"
    #: Checkpoints of trainings that have ended, but for the final or newest one.
    CHECKPOINTS = "checkpoints"
    #: Generations that have ended: outputs, log and record.
    GENERATIONS = "generations"
    #: Datasets that no training reads.
    DATASETS = "datasets"
    #: Zip archives that `bulk_download` built.
    ARCHIVES = "archives"


@dataclass(frozen=True, kw_only=True)
class RetentionRule:
    """One rule: by age or by number, exactly one of the two is set."""

    what: Retained
    #: What is older goes.
    max_age_s: int | None = None
    #: What is not among so many newest goes.
    newest: int | None = None

    def __str__(self) -> str:
        if self.newest is not None:
            return f"{self.what}:last:{self.newest}"
        hours = (self.max_age_s or 0) // _UNIT_S["h"]
        return f"{self.what}:{hours // 24}d" if hours % 24 == 0 else f"{self.what}:{hours}h"


def _parsed(value: Any) -> Any:
    """Read `trainings:30d, generations:last:50`."""
    if not isinstance(value, str):
        return value
    return [_rule(text.strip()) for text in value.split(",") if text.strip()]


def _rule(text: str) -> RetentionRule:
    match = _RULE.fullmatch(text.lower())
    if match is None or match["what"] not in set(Retained):
        raise ValueError(
            f"{text!r} is not a rule such as trainings:30d or generations:last:50; "
            f"rules can be about {', '.join(Retained)}"
        )
    what = Retained(match["what"])
    if match["newest"]:
        if what is Retained.CHECKPOINTS:
            raise ValueError("checkpoints can be limited by age only, as in checkpoints:7d")
        return RetentionRule(what=what, newest=int(match["newest"]))
    return RetentionRule(what=what, max_age_s=int(match["age"]) * _UNIT_S[match["unit"]])


class RetentionSettings(BaseSettings):
    """What the worker deletes by itself."""

    retention: Annotated[Sequence[RetentionRule], NoDecode, BeforeValidator(_parsed)] = Field(
        default=(),
        description="What the worker deletes by itself, by age or by number: `trainings:30d, checkpoints:7d, "
        "generations:last:50, datasets:90d, archives:12h`. If not set, nothing.",
    )
