"""Sizes, seeds and the sampler's numbers, set on the nodes that have such inputs as plain values.

The names of its inputs show which node is meant, so that nodes this project does not know work too. An
input that is linked to another node is left alone: the workflow computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lorapod.engines.comfyui.graph import Graph, is_link, shown_node

#: Nodes that make the canvas (`EmptyLatentImage`, `WanImageToVideo`, …) have one of these beside width and height;
#: nodes that scale or crop have not.
_CANVAS_MARKS = frozenset({"batch_size", "length", "video_frames", "num_frames"})
_LENGTHS = ("length", "video_frames", "num_frames")
_SEEDS = ("seed", "noise_seed")
#: What samplers and their schedules have beside `steps`, and other nodes that count steps have not.
_STEP_MARKS = frozenset({"cfg", "scheduler", "denoise", "sigma_max", "beta_d", "alpha", "max_shift"})

Inputs = dict[str, Any]


def set_knobs(graph: Graph, values: Mapping[str, Any]) -> frozenset[str]:
    """Set what `values` names in place; answers the names of which no node took one.

    Args:
        graph: the workflow.
        values: any of `width, height, length, seed, steps, guidance_scale, strength`.
    """
    return frozenset(name for name, value in values.items() if not _KNOBS[name](graph, value))


def shift_seeds(graph: Graph, by: int) -> None:
    """Add to every seed of the workflow's own, in place."""
    for inputs in _inputs(graph):
        for name in _SEEDS:
            if isinstance(inputs.get(name), int):
                _put(inputs, name, inputs[name] + by)


@dataclass(frozen=True, kw_only=True)
class SeedUsed:
    """The seed with which a workflow runs."""

    #: None: it is not known, or no node has one.
    value: int | None = None
    #: Why it is not known, as a part of a sentence; empty if it is known, or no node has one.
    unknown: str = ""


def seed_used(graph: Graph) -> SeedUsed:
    """Return the seed that all nodes share."""
    found: set[Any] = set()
    for node_id, node in graph.items():
        for name in _SEEDS:
            value = node["inputs"].get(name)
            if value is None:
                continue
            if not _is_number(value):
                why = "comes from another node" if is_link(value) else "is written as text"
                return SeedUsed(unknown=f"{name} of node {shown_node(graph, node_id)} {why}")
            found.add(value)
    if len(found) > 1:
        return SeedUsed(unknown="the workflow has several")
    return SeedUsed(value=int(found.pop())) if found else SeedUsed()


def _canvas(*names: str) -> Callable[[Graph, Any], bool]:
    return lambda graph, value: _put_all(filter(_makes_canvas, _inputs(graph)), names, value)


def _seed(graph: Graph, value: Any) -> bool:
    return _put_all(_inputs(graph), _SEEDS, value)


def _steps(graph: Graph, value: Any) -> bool:
    """Set `steps` of the samplers and their schedules; one that does a part of them keeps its part."""
    taken = False
    for inputs in _inputs(graph):
        before = inputs.get("steps")
        if not _STEP_MARKS & inputs.keys() or not _put(inputs, "steps", value):
            continue
        taken = True
        for name in ("start_at_step", "end_at_step"):
            bound = inputs.get(name)
            if isinstance(bound, int) and isinstance(before, int) and 0 < bound < before:
                inputs[name] = round(bound * value / before)
    return taken


def _guidance(graph: Graph, value: Any) -> bool:
    """Set the guidance: distilled models take it as a condition, and their `cfg` has to stay 1."""
    embedded = [inputs for inputs in _inputs(graph) if "conditioning" in inputs]
    return _put_all(embedded, ("guidance",), value) or _put_all(_inputs(graph), ("cfg",), value)


def _strength(graph: Graph, value: Any) -> bool:
    """Set how much of the image is made again; if several samplers have it, set none: the right one is not known."""
    takers = [inputs for inputs in _inputs(graph) if _is_number(inputs.get("denoise"))]
    return len(takers) == 1 and _put(takers[0], "denoise", value)


_KNOBS: dict[str, Callable[[Graph, Any], bool]] = {
    "width": _canvas("width"),
    "height": _canvas("height"),
    "length": _canvas(*_LENGTHS),
    "seed": _seed,
    "steps": _steps,
    "guidance_scale": _guidance,
    "strength": _strength,
}


def _inputs(graph: Graph) -> list[Inputs]:
    return [node["inputs"] for node in graph.values()]


def _makes_canvas(inputs: Inputs) -> bool:
    return {"width", "height"} <= inputs.keys() and bool(_CANVAS_MARKS & inputs.keys())


def _put_all(every: Iterable[Inputs], names: Iterable[str], value: Any) -> bool:
    """Set a value in every input that takes it; return whether any did."""
    taken = [_put(inputs, name, value) for inputs in every for name in names]
    return any(taken)


def _put(inputs: Inputs, name: str, value: Any) -> bool:
    if name not in inputs or is_link(inputs[name]) or not _is_number(inputs[name]):
        return False
    inputs[name] = value
    return True


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
