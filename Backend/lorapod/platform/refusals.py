"""A refusal of RunPod's API as an error: what was refused, why, and what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.client import responses

from lorapod.platform.errors import (
    AccessDenied,
    KeyRefused,
    NotOnPlatform,
    PlatformError,
    PlatformFailed,
    RateLimited,
    RequestRefused,
    StateConflict,
)

_SHOWN_CHARACTERS = 300

#: Kind, message and hint of a refusal.
_Sentence = tuple[type[PlatformError], str, str]

_SENTENCES: Mapping[int, _Sentence] = {
    401: (
        KeyRefused,
        "RunPod does not accept the API key: {reason}.",
        "Make a new key in RunPod's console (Settings, API Keys), and set RUNPOD_API_KEY.",
    ),
    403: (
        AccessDenied,
        "The API key may not do this ({request}): {reason}.",
        "Give the key read and write access in RunPod's console (Settings, API Keys).",
    ),
    404: (
        NotOnPlatform,
        "RunPod knows no such thing ({request}): {reason}.",
        "Check the id, and whether the key belongs to the account that has it.",
    ),
    409: (
        StateConflict,
        "RunPod cannot do this now ({request}): {reason}.",
        "Wait a minute, then try again.",
    ),
    429: (
        RateLimited,
        "RunPod answers that this account sent too many requests: {reason}.",
        "Try again{wait}.",
    ),
}
_FAILED: _Sentence = (
    PlatformFailed,
    "RunPod's API failed with status {status} ({request}): {reason}.",
    "Try again in some minutes; https://uptime.runpod.io shows known failures.",
)
_REFUSED: _Sentence = (
    RequestRefused,
    "RunPod refuses the request ({request}): {reason}.",
    "Correct what is named, or use another --name, --image or --data-center.",
)


def refusal(status: int, request: str, body: str, retry_after: str | None) -> PlatformError:
    """Return the error for an answer of this status.

    Args:
        status: the answer's.
        request: method and path, for the messages.
        body: the answer's; a problem in JSON, or anything.
        retry_after: the header.
    """
    reason, problems = _reason(status, body)
    wait = f" in {retry_after} s" if retry_after and retry_after.isdigit() else " later"
    kind, message, hint = _FAILED if status >= 500 else _SENTENCES.get(status, _REFUSED)
    shown = {"status": status, "request": request, "reason": reason, "wait": wait}
    return kind(message.format(**shown), hint=hint.format(**shown), problems=problems)


def _reason(status: int, body: str) -> tuple[str, Sequence[str]]:
    """Return the API's explanation without its final full stop, and the single problems that it lists."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    problems: list[str] = []
    reason = ""
    if isinstance(answer, dict):
        reason = str(answer.get("detail") or answer.get("title") or "")
        listed = answer.get("errors")
        problems = [str(problem) for problem in listed] if isinstance(listed, list) else []
    reason = " ".join(reason.split()).rstrip(".") or responses.get(status, f"status {status}")
    if len(reason) > _SHOWN_CHARACTERS:
        reason = f"{reason[: _SHOWN_CHARACTERS - 3]}..."
    return reason, problems
