"""How processes ended, in words for a person: why, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.client.errors import ProcessEnded
from lorapod.client.process_nouns import noun_of
from lorapod.client.reading import read
from lorapod.wire.process import ProcessView

#: The statuses of processes that have ended.
ENDED = frozenset({"completed", "failed", "cancelled", "interrupted"})

#: By the `reason` of a process that was not cancelled by a person.
_EARLY_ENDS = {
    "limit": "It has reached its limit.",
    "no_improvement": "It got no better.",
    "sweep": "Its sweep was cancelled.",
}

#: By its status, if there is no other reason.
_BY_STATUS = {
    "cancelled": "It was cancelled.",
    "interrupted": "Its worker was stopped or died.",
    "failed": "No reason was recorded; `lorapod logs` may show it.",
}


def ended(process: Mapping[str, Any], hint: str = "") -> None:
    """Exit with success only if the process completed; `hint` says what else to do.

    Raises:
        ProcessEnded: it did not complete.
    """
    if process["status"] != "completed":
        raise process_ended(process, hint)


def process_ended(process: Mapping[str, Any], hint: str = "") -> ProcessEnded:
    """Return the error for a process that did not complete: why it ended, and what to do."""
    error = ProcessEnded(read(ProcessView, process))
    error.message = f"{process['process_id']} ended {process['status']}: {why_ended(process)}"
    what_next = [hint] if hint else [how_to_resume(process)]
    error.hint = " ".join(part for part in (error.hint, *what_next) if part)
    return error


def why_ended(process: Mapping[str, Any]) -> str:
    """Return why a process ended that did not complete; empty for all others."""
    status = process["status"]
    if status not in ENDED or status == "completed":
        return ""
    if failure := process.get("failure"):
        return str(failure["message"])
    if detail := process.get("reason_detail"):
        return str(detail)
    reason = process.get("reason")
    return _EARLY_ENDS.get(reason, f"{reason}.") if reason else _BY_STATUS.get(status, "")


def watching_ends(process_id: str) -> str:
    """Return the text after Ctrl-C: the process continues, and how to watch or stop it."""
    return (
        f"The {noun_of(process_id)} {process_id} continues. Watch it again: lorapod status {process_id} --follow. "
        f"Stop it: lorapod cancel {process_id}"
    )


def how_to_resume(process: Mapping[str, Any]) -> str:
    """Return how to resume a process that can be; empty if it cannot be."""
    if not process.get("resumable"):
        return ""
    return f"`lorapod resume {process['process_id']}` continues it."
