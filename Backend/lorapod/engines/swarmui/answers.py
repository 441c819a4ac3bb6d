"""The errors in SwarmUI's answers: most come with status 200, as a sentence and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from lorapod.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OutOfMemory,
    Unsupported,
    UpstreamError,
    WorkerError,
    WorkerTimeout,
)

#: Longest piece of SwarmUI's own words that an error repeats.
_QUOTE_CHARACTERS = 400

#: SwarmUI's sentences, the error that each is, and what a person can do.
_SENTENCES: tuple[tuple[re.Pattern[str], type[WorkerError], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), kind, hint)
    for pattern, kind, hint in (
        (
            r"out of memory|outofmemory",
            OutOfMemory,
            "Ask for smaller or fewer images, or take a larger GPU.",
        ),
        (r"no backends available", UpstreamError, "SwarmUI has no running backend: its own log says why."),
        (r"backends? (?:are|is) occupied", WorkerTimeout, "Try again when its queue is shorter."),
        (r"no backends match", InvalidInput, "Ask for something that SwarmUI's backends can do."),
        (r"no model input given", InvalidInput, "Name a `model`; `list_models` shows them."),
        (
            r"not found|does not exist|are you sure that model name",
            NotFound,
            "`list_models` shows what SwarmUI has.",
        ),
        (r"already exists", Conflict, "Choose another name."),
        (
            r"^invalid (?:\w+ )*value|^missing required parameter|unrecognized|^invalid (?:url|type|sub-type|sort mode|empty name)",
            InvalidInput,
            "",
        ),
        (r"permission|unauthori[sz]ed", UpstreamError, "Give SwarmUI's local user the right to do it."),
    )
)


class SessionUnknown(Exception):
    """SwarmUI does not know the session any more."""


class SwarmInterrupted(UpstreamError):
    """SwarmUI's generation was interrupted there."""


def read_answer(route: str, status: int, body: bytes | str) -> dict[str, Any]:
    """Return the JSON object that a route answered.

    Raises:
        SessionUnknown: a new session is needed.
        WorkerError: the answer contains an error, or does not come from a SwarmUI.
    """
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise UpstreamError(
            f"SwarmUI's answer to {route} is not a JSON object (status {status}).",
            hint="Check that SWARMUI_API_URL is the address of a SwarmUI.",
        )
    check(route, answer)
    if status != 200:
        raise UpstreamError(f"SwarmUI answers {status} to {route}.")
    return answer


def check(route: str, answer: Mapping[str, Any]) -> None:
    """Let an answer without error pass.

    Raises:
        SessionUnknown: a new session is needed.
        WorkerError: it contains an error.
    """
    error_id = answer.get("error_id")
    if error_id == "invalid_session_id":
        raise SessionUnknown
    if error_id in {"bad_route", "bad_request_method"}:
        raise Unsupported(f"This SwarmUI has no route {route}.", hint="Take a newer SwarmUI.")
    if error_id == "internal_error":
        raise UpstreamError(f"SwarmUI had an internal error in {route}.", hint="Its own log has the details.")
    if (text := answer.get("error")) is not None or error_id is not None:
        raise told(str(text if text is not None else error_id))


def told(text: str) -> WorkerError:
    """Return the error that one of SwarmUI's sentences means."""
    shown = text if len(text) <= _QUOTE_CHARACTERS else f"{text[: _QUOTE_CHARACTERS - 3]}..."
    if "interrupted" in text.lower():
        return SwarmInterrupted(f"SwarmUI ended the generation: {shown}")
    for pattern, kind, hint in _SENTENCES:
        if pattern.search(text):
            return kind(f"SwarmUI: {shown}", hint=hint)
    return UpstreamError(f"SwarmUI: {shown}", hint="SwarmUI's own log may say more.")
