"""A workflow in ComfyUI's API format: nodes by their id, each with a class and inputs that are values or links.

Placeholders such as `{{ PROMPT }}` are filled in the parsed workflow: a value stays one value, whatever it contains.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeGuard

from lorapod.errors import InvalidInput

#: Node id -> `{"class_type": …, "inputs": {name: value or [node id, output number]}}`.
Graph: TypeAlias = dict[str, dict[str, Any]]

NODES_MAX = 2000
#: Deepest nesting of one input's value.
DEPTH_MAX = 32

_EXPORT_HINT = "In ComfyUI, export it with Workflow > Export (API), and send that."


#: Classes that save or show what they get, and so run.
_SAVES = re.compile(r"Save|Preview")

PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z][A-Za-z0-9_]*)\s*\}\}")


def parse_graph(value: object, *, name: str) -> Graph:
    """Return a copy of `value` after checking that it is a workflow in API format.

    Args:
        value: parsed JSON.
        name: what to call it in a message.

    Raises:
        InvalidInput: it is the editor's format, or no workflow at all, or a node that certainly runs depends on a node that
            is not there.
    """
    if not isinstance(value, Mapping) or not value:
        raise InvalidInput(f"{name} is not a workflow: it must be an object with a node for each key.")
    if isinstance(value.get("nodes"), list):
        raise InvalidInput(
            f"{name} is in the format of ComfyUI's editor, which its API does not run.", hint=_EXPORT_HINT
        )
    if len(value) > NODES_MAX:
        raise InvalidInput(f"{name} has {len(value)} nodes; {NODES_MAX} are read at most.")
    graph = {str(node_id): _node(node, f"{name}: node {node_id}") for node_id, node in value.items()}
    for node_id, node in graph.items():
        # Only ComfyUI knows which other nodes run, and ignores the links of those that do not.
        if "filename_prefix" in node["inputs"] or _SAVES.match(node["class_type"]):
            for broken in broken_links(graph, node_id):
                shown = shown_node(graph, broken.node_id)
                raise InvalidInput(f"{name}: {broken.input} of node {shown} {broken.problem}.")
    return graph


@dataclass(frozen=True, kw_only=True)
class BrokenLink:
    """A link to a node that is not in the workflow."""

    node_id: str
    input: str
    #: What is wrong with it, as a message continues.
    problem: str


def broken_links(graph: Graph, node_id: str) -> list[BrokenLink]:
    """Return the broken links of a node and of all that it depends on."""
    found, seen, waiting = [], {node_id}, [node_id]
    while waiting:
        at = waiting.pop()
        for field, link in links_of(graph[at]):
            if link[0] not in graph:
                problem = f"is linked to node {link[0]}, which is not in the workflow"
                found.append(BrokenLink(node_id=at, input=field, problem=problem))
            elif link[0] not in seen:
                seen.add(link[0])
                waiting.append(link[0])
    return found


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Return whether an input's value is a link to another node's output, by ComfyUI's own rule."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int | float)
        and not isinstance(value[1], bool)
    )


def links_of(node: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the inputs of a node that are links, with their names."""
    for field, value in node["inputs"].items():
        if is_link(value):
            yield field, value


def shown_node(graph: Mapping[str, Mapping[str, Any]], node_id: str) -> str:
    """Return a node as messages name it: its id and class."""
    node = graph.get(node_id)
    return f"{node_id} ({node['class_type']})" if node else node_id


def title_of(graph: Mapping[str, Mapping[str, Any]], node_id: str) -> str:
    """Return a node as progress names it: the title its author gave, else its class."""
    node = graph.get(node_id, {})
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return title if isinstance(title, str) and title else str(node.get("class_type", node_id))


def _node(node: object, shown: str) -> dict[str, Any]:
    if not isinstance(node, Mapping):
        raise InvalidInput(f"{shown} is not an object.", hint=_EXPORT_HINT)
    if not isinstance(node.get("class_type"), str):
        raise InvalidInput(f"{shown} has no class_type.", hint=_EXPORT_HINT)
    if not isinstance(node.get("inputs", {}), Mapping):
        raise InvalidInput(f"{shown}: inputs is not an object.", hint=_EXPORT_HINT)
    if depth_of(node) > DEPTH_MAX:
        raise InvalidInput(f"{shown} is nested deeper than {DEPTH_MAX} levels.")
    return {**copy.deepcopy(dict(node)), "inputs": copy.deepcopy(dict(node.get("inputs", {})))}


def depth_of(value: object) -> int:
    """Return how deep a JSON value is nested; count without recursion."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
    return depth


def load_graph(text: str, *, name: str) -> Graph:
    """Return the workflow in a JSON text.

    Raises:
        InvalidInput: as `parse_graph`, or it is not JSON.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} is not valid JSON: {error}.") from None
    return parse_graph(value, name=name)


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A workflow after its placeholders were filled."""

    graph: Graph
    #: Names that were there and had a value.
    used: frozenset[str]
    #: Names that were there and had no value; they are unchanged.
    missing: frozenset[str]


def placeholders_in(graph: Graph) -> frozenset[str]:
    """Return the names of every placeholder in the inputs, in capitals."""
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
