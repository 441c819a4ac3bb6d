from __future__ import annotations

from typing import Any

import pytest
from tests.servers import comfyui_graphs as graphs

from lorapod.engines.comfyui.graph import DEPTH_MAX, is_link, load_graph, parse_graph, title_of
from lorapod.errors import InvalidInput

EDITOR = {"nodes": [{"id": 1, "type": "SaveImage"}], "links": [], "version": 0.4}


def test_a_workflow_is_copied_and_not_the_callers_own() -> None:
    sent = graphs.picture()

    graph = parse_graph(sent, name="workflow")
    graph["1"]["inputs"]["width"] = 1

    assert sent["1"]["inputs"]["width"] == 64


def test_the_editors_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidInput, match="editor") as refused:
        parse_graph(EDITOR, name="workflow")

    assert "Export (API)" in refused.value.hint


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        "text",
        {"1": "SaveImage"},
        {"1": {"inputs": {}}},
        {"1": {"class_type": 7, "inputs": {}}},
        {"1": {"class_type": "SaveImage", "inputs": []}},
        {str(number): {"class_type": "N", "inputs": {}} for number in range(3000)},
    ],
)
def test_what_is_no_workflow_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        parse_graph(value, name="workflow")


def test_a_node_without_inputs_is_one_with_none() -> None:
    assert parse_graph({"1": {"class_type": "N"}}, name="workflow") == {
        "1": {"class_type": "N", "inputs": {}}
    }


def test_a_link_to_nowhere_is_named() -> None:
    with pytest.raises(InvalidInput, match=r"images of node 3 \(SaveImage\) is linked to node 9"):
        parse_graph({"3": graphs.node("SaveImage", images=["9", 0])}, name="workflow")


def test_what_is_nested_without_end_is_refused() -> None:
    value: Any = 1
    for _ in range(DEPTH_MAX + 500):
        value = [value]

    with pytest.raises(InvalidInput, match="nested deeper"):
        parse_graph({"1": graphs.node("N", deep=value)}, name="workflow")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "{'1': 2}"])
def test_a_text_that_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="workflow x is not valid JSON"):
        load_graph(text, name="workflow x")


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (["1", 0], True),
        (["1", 0.0], True),
        ([1, 0], False),
        (["1", True], False),
        (["1"], False),
        ("1", False),
    ],
)
def test_links_are_told_as_comfyui_tells_them(value: Any, *, is_one: bool) -> None:
    assert is_link(value) is is_one


def test_a_node_is_called_as_its_author_called_it() -> None:
    graph = {"1": {**graphs.node("KSampler"), "_meta": {"title": "Sample"}}, "2": graphs.node("KSampler")}

    assert [title_of(graph, node) for node in ("1", "2", "9")] == ["Sample", "KSampler", "9"]
