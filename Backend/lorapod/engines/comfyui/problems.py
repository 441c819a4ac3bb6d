"""Errors for a workflow that ComfyUI refuses, runs in part, or fails to run; they name node and input."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lorapod.engines.comfyui.graph import Graph
from lorapod.errors import InvalidInput, OutOfMemory, UpstreamError, WorkerError
from lorapod.wire.validation import problems_found

_SHOWN_CHARACTERS = 300
#: What a sentence needs more than ComfyUI's own `message`, by the problem's type; `details` has the rest.
_PLAIN = {
    "required_input_missing": "is missing",
    "value_not_in_list": "{details}",
    "value_smaller_than_min": "{message}",
    "value_bigger_than_max": "{message}",
    "return_type_mismatch": "is linked to an output of another type ({details})",
    "exception_during_validation": "cannot be checked ({details})",
}


_MESSAGE_CHARACTERS = 500
_OUT_OF_MEMORY = re.compile(
    r"OutOfMemory|Allocation on device|CUDA out of memory|DefaultCPUAllocator", re.IGNORECASE
)
#: A tensor, written out: pages of numbers.
_TENSOR = re.compile(r"tensor\([^()]*(?:\([^()]*\)[^()]*)*\)?", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class AcceptedPrompt:
    """A workflow that was queued."""

    #: One problem for each input because of which outputs were left out; the rest runs.
    problems: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, answer: Mapping[str, Any], graph: Graph) -> Self:
        """Read the answer of `POST /prompt`."""
        return cls(problems=tuple(_problems(answer.get("node_errors"), graph)))


def refused(answer: Any, graph: Graph) -> InvalidInput:
    """Return the error for a workflow that was not queued."""
    body = answer if isinstance(answer, Mapping) else {}
    problems = _problems(body.get("node_errors"), graph)
    if problems:
        return problems_found(problems)
    error = body.get("error")
    if not isinstance(error, Mapping):
        return InvalidInput(f"ComfyUI refuses the workflow: {_short(error or 'it does not say why')}.")
    if error.get("type") == "prompt_no_outputs":
        return InvalidInput("The workflow has no node that saves or shows anything, such as SaveImage.")
    parts = [_short(error[part]).rstrip(".") for part in ("message", "details") if error.get(part)]
    return InvalidInput(
        f"ComfyUI refuses the workflow: {' - '.join(parts) or 'it does not say why'}.",
        hint="A node that does not exist belongs to an extension that is not installed."
        if "does not exist" in str(error.get("message"))
        else "",
    )


def _problems(node_errors: Any, graph: Graph) -> list[dict[str, Any]]:
    if not isinstance(node_errors, Mapping):
        return []
    problems = []
    for node_id, found in node_errors.items():
        class_type = found.get("class_type") or graph.get(node_id, {}).get("class_type", "unknown class")
        outputs = found.get("dependent_outputs", ())
        problems += [_problem(node_id, class_type, error, outputs) for error in found.get("errors", ())]
    return problems


def _problem(node_id: str, class_type: str, error: Mapping[str, Any], outputs: Any) -> dict[str, Any]:
    info = error.get("extra_info")
    name = str(info.get("input_name") or "") if isinstance(info, Mapping) else ""
    details = _short(error.get("details") or "").removeprefix(f"{name}: ").removeprefix(f"{name} - ")
    message = _short(error.get("message") or "is wrong")
    if not name and error.get("type") == "required_input_missing":
        name = details
    plain = _PLAIN.get(str(error.get("type")), "{message} ({details})" if details else "{message}")
    sentence = plain.replace("{message}", message).replace("{details}", details)
    return {
        "field": ".".join(part for part in ("workflow", node_id, name) if part),
        "error": f"{class_type}{f' {name}' if name else ''}: {sentence.rstrip('.')}",
        "node": node_id,
        "class_type": class_type,
        "input": name or None,
        "outputs": [str(output) for output in outputs],
    }


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."


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
    return NodeFailed(f"{node} failed with {kind}: {message or 'no message'}", details=details)
