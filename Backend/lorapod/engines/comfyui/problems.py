"""Errors for a workflow that ComfyUI refuses or runs in part; they name node and input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any, Self

from lorapod.engines.comfyui.folders import ROOT
from lorapod.engines.comfyui.graph import Graph, broken_links, links_of
from lorapod.engines.comfyui.model_folders import model_folder
from lorapod.engines.comfyui.named_files import InputSpec, input_spec
from lorapod.errors import InvalidInput
from lorapod.wire.validation import problems_found

#: The inputs of classes of nodes; None for a class that ComfyUI does not have.
Classes = Mapping[str, Mapping[str, InputSpec] | None]

#: Most problems of one workflow, and most allowed values of one input, in an error's details.
PROBLEMS_MAX = 200
_ALLOWED_MAX = 200
_SHOWN_CHARACTERS = 300
_RAISED = "exception_during_validation"
_MISSING = "does not exist in this ComfyUI"
#: A file that a workflow names and that does not exist; an upload is in a folder with a number.
_NOT_BROUGHT = re.compile(rf"{ROOT}/[^/]+/(?!\d+/)(?P<name>.+)", re.DOTALL)
_FILE_MISSING = "neither in the request nor in the workspace"
_FILE_HINT = "Send a missing file in `images`, `videos` or `audios` under that name, or name a file of the workspace by its path."
_MISSING_HINT = "A node that does not exist belongs to an extension that is not installed."
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
    def of(cls, answer: Mapping[str, Any], graph: Graph, classes: Classes = MappingProxyType({})) -> Self:
        """Read the answer of `POST /prompt`; `classes`: as for `refused`."""
        return cls(problems=tuple(_problems(answer.get("node_errors"), graph, classes)))


def unclear_classes(answer: Any, graph: Graph) -> list[str]:
    """Return the classes that ComfyUI has to be asked for, so that every problem in its answer can be told whole.

    It names only the first class that it does not have, and leaves long lists out.
    """
    body = answer if isinstance(answer, Mapping) else {}
    found = [*_errors(body.get("node_errors"), graph)]
    if found:
        long = {each.class_type for each in found if each.kind == "value_not_in_list" and not each.config}
        return sorted(long)
    error = body.get("error")
    if not isinstance(error, Mapping) or error.get("type") == "prompt_no_outputs":
        return []
    return sorted({str(node["class_type"]) for node in graph.values()})


def refused(answer: Any, graph: Graph, classes: Classes = MappingProxyType({})) -> InvalidInput:
    """Return the error for a workflow that was not queued.

    Args:
        answer: ComfyUI's.
        graph: the workflow.
        classes: the inputs of the `unclear_classes`; None for a class that ComfyUI does not have.
    """
    body = answer if isinstance(answer, Mapping) else {}
    problems = _problems(body.get("node_errors"), graph, classes) or [
        _missing_class(node_id, node["class_type"])
        for node_id, node in graph.items()
        if node["class_type"] in classes and classes[node["class_type"]] is None
    ]
    if problems:
        return workflow_error(problems)
    error = body.get("error")
    if not isinstance(error, Mapping):
        return InvalidInput(f"ComfyUI refuses the workflow: {_short(error or 'it does not say why')}.")
    if error.get("type") == "prompt_no_outputs":
        return InvalidInput("The workflow has no node that saves or shows anything, such as SaveImage.")
    if error.get("type") == "prompt_outputs_failed_validation" and (circle := _circle(graph)):
        return InvalidInput(
            f"The nodes {', '.join(circle)} of the workflow are linked in a circle.",
            hint="Remove one of their links.",
        )
    parts = [_short(error[part]).rstrip(".") for part in ("message", "details") if error.get(part)]
    return InvalidInput(
        f"ComfyUI refuses the workflow: {' - '.join(parts) or 'it does not say why'}.",
        hint=_MISSING_HINT if "does not exist" in str(error.get("message")) else "",
    )


def workflow_error(problems: Sequence[dict[str, Any]]) -> InvalidInput:
    """Return one error for every problem of a workflow: the first few are in its sentence, all of them in its details."""
    found = problems_found(list(problems))
    folders = sorted({problem["model_folder"] for problem in problems if "model_folder" in problem})
    hints = [f"Put a missing model into its folder in ComfyUI: {', '.join(folders)}."] if folders else []
    for sentence, hint in ((_MISSING, _MISSING_HINT), (_FILE_MISSING, _FILE_HINT)):
        hints += [hint] if any(problem["problem"].endswith(sentence) for problem in problems) else []
    return InvalidInput(found.message, hint=" ".join(hints), details=found.details)


@dataclass(frozen=True, kw_only=True)
class _Error:
    """One entry of ComfyUI's `node_errors`."""

    node_id: str
    class_type: str
    kind: str
    message: str
    details: str
    #: The input, if it says so.
    input: str
    #: What ComfyUI knows of the input; None: it does not say.
    config: InputSpec | None
    bounds: Mapping[str, Any]
    received: Any
    outputs: Sequence[str]


def _errors(node_errors: Any, graph: Graph) -> Iterator[_Error]:
    for node_id, found in node_errors.items() if isinstance(node_errors, Mapping) else ():
        class_type = found.get("class_type") or graph.get(node_id, {}).get("class_type", "unknown class")
        for error in found.get("errors", ()):
            info = error.get("extra_info")
            info = info if isinstance(info, Mapping) else {}
            config = info.get("input_config")
            config = config if isinstance(config, list) and config else None
            more = config[1] if config is not None and len(config) > 1 else {}
            yield _Error(
                node_id=node_id,
                class_type=str(class_type),
                kind=str(error.get("type")),
                message=_short(error.get("message") or "is wrong"),
                details=_short(error.get("details") or ""),
                input=str(info.get("input_name") or ""),
                config=None if config is None else input_spec(config),
                bounds={
                    name: more[name] for name in ("min", "max") if isinstance(more, Mapping) and name in more
                },
                received=info.get("received_value"),
                outputs=[str(output) for output in found.get("dependent_outputs", ())],
            )


def _problems(node_errors: Any, graph: Graph, classes: Classes) -> list[dict[str, Any]]:
    problems = []
    for error in _errors(node_errors, graph):
        broken = (
            broken_links(graph, error.node_id) if error.kind == _RAISED and error.node_id in graph else []
        )
        for link in broken:
            class_type = graph[link.node_id]["class_type"]
            problems.append(_entry(link.node_id, class_type, link.input, link.problem, outputs=error.outputs))
        if not broken:
            problems.append(_problem(error, classes.get(error.class_type), graph))
    # Two outputs may depend on one broken link.
    return [problem for place, problem in enumerate(problems) if problem not in problems[:place]][
        :PROBLEMS_MAX
    ]


def _problem(error: _Error, known: Mapping[str, InputSpec] | None, graph: Graph) -> dict[str, Any]:
    name = error.input
    details = error.details.removeprefix(f"{name}: ").removeprefix(f"{name} - ")
    if not name and error.kind == "required_input_missing":
        name = details
    plain = _PLAIN.get(error.kind, "{message} ({details})" if details else "{message}")
    sentence = plain.replace("{message}", error.message).replace("{details}", details).rstrip(".")
    if (file := _not_brought(error, name, graph)) is not None:
        sentence = f"{_short(file)!r} is {_FILE_MISSING}"
        return _entry(error.node_id, error.class_type, name, sentence, outputs=error.outputs)
    spec = error.config or (known or {}).get(name)
    allowed: Any = list(spec.options[:_ALLOWED_MAX]) if spec is not None and spec.type == "COMBO" else None
    if error.kind in {"value_smaller_than_min", "value_bigger_than_max"}:
        allowed = dict(error.bounds) or None
    made = _entry(error.node_id, error.class_type, name, sentence, outputs=error.outputs, allowed=allowed)
    if error.kind == "value_not_in_list" and (folder := model_folder(error.class_type, name, error.received)):
        made["model_folder"] = folder
        made["error"] += f"; it belongs into ComfyUI's {folder}"
    return made


def _not_brought(error: _Error, name: str, graph: Graph) -> str | None:
    """Return the missing file that an input names, as the caller wrote it; None for another problem."""
    if error.kind not in {"custom_validation_failed", "value_not_in_list"}:
        return None
    value = graph.get(error.node_id, {}).get("inputs", {}).get(name)
    found = _NOT_BROUGHT.fullmatch(value) if isinstance(value, str) else None
    return None if found is None else found["name"]


def _circle(graph: Graph) -> list[str]:
    """Return the nodes of a circle of links in the order of the workflow; empty without a circle."""
    links = {node_id: [link[0] for _, link in links_of(node)] for node_id, node in graph.items()}
    try:
        TopologicalSorter(links).prepare()
    except CycleError as error:
        return [node_id for node_id in graph if node_id in error.args[1]]
    return []


def _missing_class(node_id: str, class_type: str) -> dict[str, Any]:
    return {**_entry(node_id, class_type, "", _MISSING), "error": f"{class_type} {_MISSING}"}


def _entry(
    node_id: str,
    class_type: str,
    name: str,
    problem: str,
    *,
    outputs: Sequence[str] = (),
    allowed: Any = None,
) -> dict[str, Any]:
    return {
        "field": ".".join(part for part in ("workflow", node_id, name) if part),
        "error": f"{class_type}{f' {name}' if name else ''}: {problem}",
        "node": node_id,
        "class": class_type,
        "class_type": class_type,
        "input": name or None,
        "problem": problem,
        "allowed": allowed,
        "outputs": list(outputs),
    }


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 3]}..."
