from __future__ import annotations

import json
from typing import Any

import pytest
from tests.servers.comfyui_graphs import Graph, node, picture

from lorapod.engines.comfyui.editor import editor_form, sent_editor_form, workflow_in
from lorapod.errors import InvalidInput


def test_links_join_the_outputs_and_inputs_that_they_name() -> None:
    graph = {
        "1": node("Load"),
        "a:2": node("K", seed=5, steps=4, model=["1", 2], clip=["1", 0]),
        "9": node("Save"),
    }

    made = editor_form(graph)

    assert [output["links"] for output in made["nodes"][0]["outputs"]] == [[2], [], [1]]
    assert made["nodes"][1]["id"] == "a:2"
    assert made["nodes"][1]["widgets_values"] == [5, "fixed", 4]
    assert [entry["link"] for entry in made["nodes"][1]["inputs"]] == [1, 2]
    assert (made["last_node_id"], made["last_link_id"]) == (9, 2)


@pytest.mark.parametrize("link", [["99", 0], ["1", -1], ["1", 10**9], ["1", float("nan")]])
def test_a_link_to_nowhere_is_left_out(link: list[Any]) -> None:
    graph: Graph = {"1": node("Load"), "2": node("Show", source=link)}

    assert editor_form(graph)["links"] == []


def test_a_workflow_alone_is_the_workflow() -> None:
    assert workflow_in(picture()) == picture()
    assert sent_editor_form(picture()) is None
    assert sent_editor_form(None) is None


def test_a_node_called_prompt_is_a_node() -> None:
    graph = {"prompt": node("SaveImage", images=["2", 0])}

    assert workflow_in(graph) == graph


def test_a_form_that_is_nested_without_end_is_refused() -> None:
    deep = json.loads("[" * 200 + "]" * 200)
    body = {"prompt": picture(), "extra_data": {"extra_pnginfo": {"workflow": {"nodes": [deep]}}}}

    with pytest.raises(InvalidInput, match="too deeply"):
        sent_editor_form(body)
