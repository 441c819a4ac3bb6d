"""The workflow that nodes of extensions want, and that saved images carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.integration.engines.conftest import Bench, OpenBench
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import ComfyUIStandIn

from lorapod.errors import InvalidInput

EDITOR = {
    "nodes": [{"id": 1, "type": "EmptyImage"}],
    "links": [],
    "version": 0.4,
    "extra": {"by": "its author"},
}


def carried(path: Path) -> Any:
    with Image.open(path) as image:
        assert isinstance(image.info, dict)
        return json.loads(image.info["workflow"])


def body(**extra: Any) -> dict[str, Any]:
    return {"prompt": graphs.picture(), "client_id": "page", "extra_data": extra}


def test_a_node_of_an_extension_gets_the_workflow(stand_in: ComfyUIStandIn, open_bench: OpenBench) -> None:
    graph = graphs.picture()
    graph["3"]["class_type"] = "Image Save"

    assert open_bench(stand_in.url, stand_in.root).make(workflow=graph).files


def test_an_image_carries_the_workflow_in_the_editors_form(bench: Bench) -> None:
    graph = graphs.picture()
    graph["2"]["_meta"] = {"title": "Turn round"}

    [file] = bench.make(workflow=graph).files

    nodes = {node["id"]: node for node in carried(file.path)["nodes"]}
    assert {number: node["type"] for number, node in nodes.items()} == {
        1: "EmptyImage",
        2: "ImageInvert",
        3: "SaveImage",
    }
    assert nodes[2]["title"] == "Turn round"
    assert nodes[1]["widgets_values"] == [64, 64, 1, 0x204060]
    assert [link[1:5] for link in carried(file.path)["links"]] == [[1, 0, 2, 0], [2, 0, 3, 0]]


def test_a_callers_own_editor_form_is_passed_on(bench: Bench) -> None:
    [file] = bench.make(workflow=body(extra_pnginfo={"workflow": EDITOR}), width=32).files

    assert carried(file.path) == EDITOR


def test_the_page_may_send_no_editor_form(bench: Bench) -> None:
    [file] = bench.make(workflow={"prompt": graphs.picture()}).files

    assert len(carried(file.path)["nodes"]) == 3


@pytest.mark.parametrize(
    ("workflow", "says"),
    [
        (body(extra_pnginfo={"workflow": graphs.picture()}), "form of ComfyUI's editor"),
        (body(extra_pnginfo=[1]), "must be an object"),
        (body(api_key_comfy_org="x"), "api_key_comfy_org"),
        ({**body(), "front": True}, "front cannot be sent"),
        ({"prompt": {"1": {}}}, "no class_type"),
    ],
)
def test_what_would_be_lost_is_refused_at_once(bench: Bench, workflow: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        bench.engine.prepare(bench.generation(workflow=workflow))
