"""One form of input that has no `type`, and how it is answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Fields = Mapping[str, Any]


def _as_they_are(fields: Fields) -> Fields:
    return fields


def _as_it_is(_fields: Fields, answer: Fields) -> Fields:
    return answer


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A form of input that callers of other handlers send; they get the answer that they know."""

    #: How the reference calls it.
    name: str
    #: The fields that it is known by, and what it asks for, in one sentence.
    summary: str
    #: The action that answers it.
    type: str
    #: Whether an input without `type` is of this form; it may have an `action`. It may hold anything: never raises.
    recognise: Callable[[Fields], bool]
    #: The action's fields for those that were sent; raises `InvalidInput`.
    fields: Callable[[Fields], Fields] = _as_they_are
    #: The answer for the fields that were sent and the action's answer, or its error (`error`, `code`, `hint`, …); the
    #: fields may hold anything: never raises.
    answer: Callable[[Fields, Fields], Fields] = _as_it_is
