"""Errors for a workflow that ComfyUI did not run to its end; they name the node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lorapod.errors import InsufficientStorage, OutOfMemory, UpstreamError, WorkerError

_MESSAGE_CHARACTERS = 500
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemory|Allocation on device|CUDA out of memory|DefaultCPUAllocator", re.IGNORECASE
)
#: `ENOSPC` and `EDQUOT`, as the system and libraries word them.
_DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|\[Errno (28|122)\]", re.IGNORECASE)
#: A tensor, written out: pages of numbers.
_TENSOR = re.compile(r"tensor\([^()]*(?:\([^()]*\)[^()]*)*\)?", re.DOTALL)


class PromptInterrupted(Exception):
    """The prompt was interrupted, by whomever."""


def check_end(entry: Mapping[str, Any]) -> None:
    """Return if the prompt succeeded.

    Raises:
        PromptInterrupted: it was interrupted.
        OutOfMemory: a node did not find the memory.
        UpstreamError: a node failed.
    """
    status = entry.get("status")
    if not isinstance(status, Mapping) or status.get("status_str") == "success":
        return
    messages = {
        str(message[0]): message[1]
        for message in status.get("messages") or ()
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], Mapping)
    }
    if "execution_interrupted" in messages:
        raise PromptInterrupted
    if "execution_error" not in messages:
        raise NodeFailed("ComfyUI says that the workflow failed, but not why.")
    raise node_failure(messages["execution_error"])


class NodeFailed(UpstreamError):
    """A node of the workflow failed."""

    #: The same workflow will most likely fail again.
    retryable = False


def node_failure(event: Mapping[str, Any]) -> WorkerError:
    """Return the error for an `execution_error`: node and message; traceback and inputs stay in ComfyUI's log."""
    node = f"Node {event.get('node_id', '?')} ({event.get('node_type', 'unknown class')})"
    kind = str(event.get("exception_type") or "an error")
    message = " ".join(_TENSOR.sub("tensor(…)", str(event.get("exception_message") or "")).split())
    if len(message) > _MESSAGE_CHARACTERS:
        message = f"{message[: _MESSAGE_CHARACTERS - 3]}..."
    details = [
        {
            "node": str(event.get("node_id", "")),
            "class": str(event.get("node_type", "")),
            "class_type": str(event.get("node_type", "")),
            "exception_type": kind,
            "error": message,
        }
    ]
    if _OUT_OF_MEMORY.search(f"{kind} {message}"):
        return OutOfMemory(
            f"{node} ran out of memory.",
            hint="Make it smaller or shorter, or take a larger GPU.",
            details=details,
        )
    if _DISK_FULL.search(message):
        return InsufficientStorage(
            f"{node} could not write its result: the disk of ComfyUI's output folder is full.",
            hint="Free space there, or give ComfyUI another folder with --output-directory in COMFYUI_ARGS.",
            details=details,
        )
    return NodeFailed(f"{node} failed with {kind}: {message or 'no message'}", details=details)
