"""`{{ PROMPT }}` and its like, filled in the parsed workflow: whatever a value holds, it stays one value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorapod.engines.comfyui.graph import Graph

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A workflow after its placeholders were filled."""

    graph: Graph
    #: Names that were there and had a value.
    used: frozenset[str]
    #: Names that were there and had none; they stand as they were.
    missing: frozenset[str]


def placeholders_in(graph: Graph) -> frozenset[str]:
    """The names of every placeholder in the inputs, in capitals."""
    found: set[str] = set()
    for node in graph.values():
        _walk(node["inputs"], {}, found)
    return frozenset(found)


def fill(graph: Graph, values: Mapping[str, Any]) -> Filled:
    """Put `values` in the place of the placeholders of their names, once: what a value holds is not looked at again.

    An input that is nothing but a placeholder takes the value with its type; within a longer text its text is put in.
    """
    found: set[str] = set()
    filled = {
        node_id: {**node, "inputs": _walk(node["inputs"], values, found)} for node_id, node in graph.items()
    }
    return Filled(graph=filled, used=frozenset(found & set(values)), missing=frozenset(found - set(values)))


def _walk(value: Any, values: Mapping[str, Any], found: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: _walk(inner, values, found) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walk(inner, values, found) for inner in value]
    if not isinstance(value, str):
        return value
    found.update(name.upper() for name in PLACEHOLDER.findall(value))
    whole = PLACEHOLDER.fullmatch(value.strip())
    if whole:
        return values.get(whole[1].upper(), value)
    return PLACEHOLDER.sub(lambda match: str(values.get(match[1].upper(), match[0])), value)
