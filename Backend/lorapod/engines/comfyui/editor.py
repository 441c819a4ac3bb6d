"""A workflow in the form of ComfyUI's editor, which nodes of extensions read and images carry as metadata.

ComfyUI's own page sends it with every prompt, as `extra_pnginfo`. A caller may send it too: in place of the workflow alone,
with the whole body that the page sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.engines.comfyui.graph import Graph, depth_of, links_of
from lorapod.errors import InvalidInput

#: Deepest nesting of a workflow in the editor's form: it holds groups and subgraphs.
_DEPTH_MAX = 100
_BODY_FIELDS = frozenset({"prompt", "extra_data", "client_id", "prompt_id"})
_VERSION = 0.4
#: More outputs than any node has.
_SLOTS_MAX = 100
_COLUMN_PX, _ROW_PX, _COLUMNS = 320, 260, 4
#: The editor shows its own widget after each of these.
_SEEDS = frozenset({"seed", "noise_seed"})
_AFTER_SEED = "fixed"


def is_body(workflow: Mapping[str, Any]) -> bool:
    """Return whether it is the body that ComfyUI's page sends to `/prompt`, with the workflow under `prompt`."""
    prompt = workflow.get("prompt")
    return isinstance(prompt, Mapping) and "class_type" not in prompt


def workflow_in(workflow: Mapping[str, Any]) -> Any:
    """Return the workflow in API form that a caller sent, alone or in a body.

    Raises:
        InvalidInput: the body has a field that would be ignored.
    """
    if not is_body(workflow):
        return workflow
    if unknown := sorted(workflow.keys() - _BODY_FIELDS):
        raise InvalidInput(f"workflow: {unknown[0]} cannot be sent beside prompt and extra_data.")
    return workflow["prompt"]


def sent_editor_form(workflow: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the editor's form that a caller sent with the workflow; None without one.

    Raises:
        InvalidInput: it is not a workflow of the editor, or other data is beside it.
    """
    if workflow is None or not is_body(workflow):
        return None
    extra: Any = workflow.get("extra_data", {})
    for name in ("extra_pnginfo", "workflow"):
        if not isinstance(extra, Mapping):
            raise InvalidInput("workflow.extra_data.extra_pnginfo: must be an object that has a workflow.")
        if unknown := sorted(extra.keys() - {name}):
            hint = "Send a key as comfy_org_api_key." if "api_key" in unknown[0] else ""
            raise InvalidInput(
                f"workflow.extra_data: only extra_pnginfo.workflow is used, not {unknown[0]}.", hint=hint
            )
        if name not in extra:
            return None
        extra = extra[name]
    if not isinstance(extra, Mapping) or not isinstance(extra.get("nodes"), list):
        raise InvalidInput(
            "workflow.extra_data.extra_pnginfo.workflow: must be in the form of ComfyUI's editor."
        )
    if depth_of(extra) > _DEPTH_MAX:
        raise InvalidInput("workflow.extra_data.extra_pnginfo.workflow is nested too deeply.")
    return extra


def editor_form(graph: Graph) -> dict[str, Any]:
    """Return a workflow as the editor would save it, as far as that is known without its nodes' definitions."""
    ids = {node_id: int(node_id) if node_id.isdecimal() else node_id for node_id in graph}
    links: list[list[Any]] = []
    nodes: dict[str, dict[str, Any]] = {}
    for order, (node_id, node) in enumerate(graph.items()):
        column, row = order % _COLUMNS, order // _COLUMNS
        nodes[node_id] = {
            "id": ids[node_id],
            "type": node["class_type"],
            "pos": [column * _COLUMN_PX, row * _ROW_PX],
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": [],
            "outputs": [],
            "properties": {"Node name for S&R": node["class_type"]},
            "widgets_values": _widgets(node["inputs"], {name for name, _ in links_of(node)}),
        }
        meta = node.get("_meta")
        if isinstance(meta, Mapping) and isinstance(meta.get("title"), str):
            nodes[node_id]["title"] = meta["title"]
    for node_id, node in graph.items():
        for name, (source, slot) in links_of(node):
            if source not in nodes or not 0 <= slot < _SLOTS_MAX:
                continue
            outputs, inputs = nodes[source]["outputs"], nodes[node_id]["inputs"]
            outputs += [{"name": "", "type": "*", "links": []} for _ in range(int(slot) + 1 - len(outputs))]
            number = len(links) + 1
            outputs[int(slot)]["links"].append(number)
            links.append([number, ids[source], int(slot), ids[node_id], len(inputs), "*"])
            inputs.append({"name": name, "type": "*", "link": number})
    numbers = [number for number in ids.values() if isinstance(number, int)]
    return {
        "last_node_id": max(numbers, default=0),
        "last_link_id": len(links),
        "nodes": list(nodes.values()),
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": _VERSION,
    }


def _widgets(inputs: Mapping[str, Any], linked: set[str]) -> list[Any]:
    values: list[Any] = []
    for name, value in inputs.items():
        if name not in linked:
            values.append(value)
            if name in _SEEDS:
                values.append(_AFTER_SEED)
    return values
