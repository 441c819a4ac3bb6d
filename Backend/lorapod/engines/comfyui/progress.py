"""The progress of a prompt, from the events of its socket."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorapod.engines.comfyui.graph import Graph, title_of
from lorapod.engines.port import GenerationProgress


class PromptProgress:
    """Follows one prompt: which nodes are done, which is at work, and how far.

    A node counts as much as it has steps, others once: most of the time goes into the samplers.
    """

    def __init__(self, graph: Graph, *, image: int, total_images: int) -> None:
        """Begin with nothing done; `image` counts from 1."""
        self._graph = graph
        self._image = image
        self._total_images = total_images
        self._weights = {node_id: _weight(node["inputs"]) for node_id, node in graph.items()}
        #: By node, from 0 to 1.
        self._done: dict[str, float] = {}
        self._finished: set[str] = set()
        self._node: str | None = None
        #: Of the node at work, if it counts any.
        self._step: tuple[int, int] | None = None
        #: Of the node at work, as ComfyUI tells it.
        self._value: tuple[float, float] | None = None

    def read(self, kind: str, data: Mapping[str, Any]) -> GenerationProgress | None:
        """Return the progress after an event; None if it changed nothing."""
        before = (dict(self._done), len(self._finished), self._node, self._value)
        match kind:
            case "execution_cached":
                self._finish(data.get("nodes") or ())
            case "progress_state":
                for node_id, state in (data.get("nodes") or {}).items():
                    self._see(state.get("real_node_id") or node_id, state)
            case "progress":
                self._see(data.get("node"), {**data, "state": "running"})
            case "executing":
                self._begin(data.get("display_node") or data.get("node"))
        return self._told() if (self._done, len(self._finished), self._node, self._value) != before else None

    def ended(self) -> GenerationProgress:
        """Return the progress of a prompt that ended well: a node whose result no one used did not run."""
        self._finish(self._graph)
        return self._told()

    def _finish(self, nodes: Iterable[str]) -> None:
        self._finished.update(nodes)
        self._done |= dict.fromkeys(self._finished, 1.0)

    def _begin(self, node_id: Any) -> None:
        if isinstance(node_id, str) and node_id != self._node:
            self._node, self._step, self._value = node_id, None, None

    def _see(self, node_id: Any, state: Mapping[str, Any]) -> None:
        value, most = state.get("value"), state.get("max")
        if (
            not isinstance(node_id, str)
            or not isinstance(value, int | float)
            or not isinstance(most, int | float)
        ):
            return
        self._done[node_id] = min(1.0, max(0.0, value / most)) if most > 0 else 0.0
        if state.get("state") == "finished":
            self._finish([node_id])
        elif state.get("state") == "running":
            self._begin(node_id)
            self._value = (value, most)
            self._step = (int(value), int(most)) if most > 1 else None

    def _told(self) -> GenerationProgress:
        whole = sum(self._weights.values())
        done = sum(weight * self._done.get(node_id, 0.0) for node_id, weight in self._weights.items())
        step, total_steps = self._step or (None, None)
        value, most = self._value or (None, None)
        nodes_done = len(self._finished & self._graph.keys())
        node = title_of(self._graph, self._node) if self._node else None
        return GenerationProgress(
            step=step,
            total_steps=total_steps,
            image=self._image,
            total_images=self._total_images,
            node=node,
            node_id=self._node,
            node_value=value,
            node_max=most,
            nodes_done=nodes_done,
            total_nodes=len(self._graph),
            detail=None if node is None else f"{node} ({nodes_done} of {len(self._graph)} nodes are done)",
            percent=round(100 * (self._image - 1 + done / whole) / self._total_images, 1),
        )


def _weight(inputs: Mapping[str, Any]) -> float:
    steps = inputs.get("steps")
    return float(max(1, steps)) if isinstance(steps, int) and not isinstance(steps, bool) else 1.0
