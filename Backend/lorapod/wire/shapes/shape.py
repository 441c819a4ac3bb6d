"""One form of input without a `type`, and its answer."""

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
    """A form of input that callers of other handlers send, answered in the form that they know."""

    #: Its name in the reference.
    name: str
    #: The fields that identify it, in one sentence.
    summary: str
    #: The action that answers it.
    type: str
    #: Returns whether an input without `type` has this form. The input may be anything, also with an `action`; never raises.
    recognise: Callable[[Fields], bool]
    #: Returns the action's fields for those that were sent; raises `InvalidInput`.
    fields: Callable[[Fields], Fields] = _as_they_are
    #: Returns the answer, from the fields that were sent and the action's answer or error (`error`, `code`, `hint`, …).
    #: The fields may be anything; never raises.
    answer: Callable[[Fields, Fields], Fields] = _as_it_is
