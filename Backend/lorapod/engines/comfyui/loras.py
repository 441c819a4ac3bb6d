"""LoRAs in a workflow: a node whose `lora_name` is `{{ LORA }}` becomes one node for each LoRA."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.engines.comfyui.graph import PLACEHOLDER, Graph, is_link, links_of, shown_node
from lorapod.errors import InvalidInput

PLACE = "LORA"
_STRENGTHS = ("strength_model", "strength_clip", "strength")
#: What comes in at an input of that name goes out at that output.
_PASSED = ("model", "clip")


@dataclass(frozen=True, kw_only=True)
class NamedLora:
    """A LoRA as ComfyUI lists it."""

    name: str
    weight: float


def listed_name(wanted: str, listed: Sequence[str]) -> str | None:
    """Return the name in `listed` that is `wanted`, or whose last part is, with or without suffix; else None."""
    if wanted in listed:
        return wanted
    last = wanted.rpartition("/")[2]
    names = {name: name.replace("\\", "/").rpartition("/")[2] for name in listed}
    return next((name for name, end in names.items() if last in {end, end.rpartition(".")[0]}), None)


def lora_places(graph: Graph) -> list[str]:
    """Return the ids of the placeholder nodes, each for any number of LoRAs."""
    return [node_id for node_id, node in graph.items() if _is_place(node["inputs"].get("lora_name"))]


def place_loras(graph: Graph, loras: Sequence[NamedLora]) -> None:
    """Replace each placeholder by a chain of one node for each LoRA, in place; without LoRAs, link its neighbours.

    Raises:
        InvalidInput: a link leads to an output that the placeholder does not pass on.
    """
    for place in lora_places(graph):
        node = graph.pop(place)
        sources = {name: node["inputs"].get(name) for name in _PASSED if is_link(node["inputs"].get(name))}
        last = dict(sources)
        for number, lora in enumerate(loras, start=1):
            link_id = f"{place}_lora_{number}"
            graph[link_id] = _link(node, lora, last)
            last = {name: [link_id, position] for position, name in enumerate(_PASSED) if name in sources}
        _join(graph, place, last)


def _link(place: dict[str, Any], lora: NamedLora, before: dict[str, Any]) -> dict[str, Any]:
    node = copy.deepcopy(place)
    node["inputs"] |= {name: copy.copy(link) for name, link in before.items()} | {"lora_name": lora.name}
    node["inputs"] |= {name: lora.weight for name in _STRENGTHS if name in node["inputs"]}
    return node


def _join(graph: Graph, place: str, last: dict[str, Any]) -> None:
    """Move every link to the placeholder's outputs to the end of its chain."""
    outputs = dict(enumerate(_PASSED))
    for node_id, node in graph.items():
        for field, link in list(links_of(node)):
            if link[0] != place:
                continue
            if outputs.get(link[1]) not in last:
                raise InvalidInput(
                    f"{field} of node {shown_node(graph, node_id)} is linked to output {link[1]} of node {place}, "
                    "which is replaced by LoRA nodes and has no such output.",
                    hint="A LoRA placeholder passes on its model and clip, if these are linked.",
                )
            node["inputs"][field] = copy.copy(last[outputs[link[1]]])


def _is_place(value: object) -> bool:
    match = PLACEHOLDER.fullmatch(value.strip()) if isinstance(value, str) else None
    return match is not None and match[1].upper() == PLACE
