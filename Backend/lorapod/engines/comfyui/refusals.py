"""What ComfyUI says of a workflow that it does not run, or not wholly, in sentences that name node and input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from lorapod.engines.comfyui.graph import Graph
from lorapod.errors import InvalidInput
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


@dataclass(frozen=True, kw_only=True)
class AcceptedPrompt:
    """A workflow that was queued."""

    #: One problem for each input because of which outputs were left out; the rest runs.
    problems: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, answer: Mapping[str, Any], graph: Graph) -> Self:
        """From the answer of `POST /prompt`."""
        return cls(problems=tuple(_problems(answer.get("node_errors"), graph)))


def refused(answer: Any, graph: Graph) -> InvalidInput:
    """The error for a workflow that was not queued."""
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
