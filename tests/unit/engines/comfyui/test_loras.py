from __future__ import annotations

from typing import Any

import pytest
from tests.servers.comfyui_graphs import node

from lorapod.engines.comfyui.loras import NamedLora, listed_name, lora_places, place_loras
from lorapod.errors import InvalidInput

FIRST, SECOND = NamedLora(name="a.safetensors", weight=0.8), NamedLora(name="b.safetensors", weight=-0.5)


def workflow() -> dict[str, dict[str, Any]]:
    place = node(
        "LoraLoader",
        model=["1", 0],
        clip=["1", 1],
        lora_name="{{ LORA }}",
        strength_model=1.0,
        strength_clip=1.0,
    )
    return {
        "1": node("CheckpointLoaderSimple", ckpt_name="sd"),
        "2": place,
        "3": node("KSampler", model=["2", 0]),
        "4": node("CLIPTextEncode", clip=["2", 1]),
    }


def test_without_loras_the_place_is_bridged() -> None:
    graph = workflow()

    place_loras(graph, [])

    assert set(graph) == {"1", "3", "4"}
    assert graph["3"]["inputs"]["model"] == ["1", 0]
    assert graph["4"]["inputs"]["clip"] == ["1", 1]


def test_each_lora_is_a_node_after_the_other() -> None:
    graph = workflow()

    place_loras(graph, [FIRST, SECOND])

    first, second = (graph[key]["inputs"] for key in ("2_lora_1", "2_lora_2"))
    assert (first["model"], first["clip"]) == (["1", 0], ["1", 1])
    assert (second["model"], second["clip"]) == (["2_lora_1", 0], ["2_lora_1", 1])
    assert (first["lora_name"], first["strength_model"], first["strength_clip"]) == (
        "a.safetensors",
        0.8,
        0.8,
    )
    assert second["strength_model"] == -0.5
    assert graph["3"]["inputs"]["model"] == ["2_lora_2", 0]
    assert graph["4"]["inputs"]["clip"] == ["2_lora_2", 1]


def test_two_places_one_behind_the_other_are_both_filled() -> None:
    graph = {
        "1": node("UNETLoader"),
        "2": node("LoraLoaderModelOnly", model=["1", 0], lora_name="{{ LORA }}", strength_model=1.0),
        "3": node("LoraLoaderModelOnly", model=["2", 0], lora_name="{{ lora }}", strength_model=1.0),
        "4": node("KSampler", model=["3", 0]),
    }
    assert lora_places(graph) == ["2", "3"]

    place_loras(graph, [FIRST])

    assert graph["3_lora_1"]["inputs"]["model"] == ["2_lora_1", 0]
    assert graph["4"]["inputs"]["model"] == ["3_lora_1", 0]


def test_a_loader_with_a_name_is_no_place() -> None:
    graph = {"1": node("LoraLoader", lora_name="mine.safetensors")}

    assert lora_places(graph) == []


def test_a_link_to_what_a_place_does_not_pass_on_is_refused() -> None:
    graph = {
        "1": node("UNETLoader"),
        "2": node("LoraLoaderModelOnly", model=["1", 0], lora_name="{{ LORA }}"),
        "3": node("CLIPTextEncode", clip=["2", 1]),
    }

    with pytest.raises(InvalidInput, match="output 1 of node 2"):
        place_loras(graph, [])


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("style/fox.safetensors", "style/fox.safetensors"),
        ("fox.safetensors", "style/fox.safetensors"),
        ("fox", "style/fox.safetensors"),
        ("models/loras/wolf.safetensors", "wolf.safetensors"),
        ("bear", None),
    ],
)
def test_a_model_is_found_by_the_last_part_of_its_name(wanted: str, found: str | None) -> None:
    assert listed_name(wanted, ["style/fox.safetensors", "wolf.safetensors"]) == found
