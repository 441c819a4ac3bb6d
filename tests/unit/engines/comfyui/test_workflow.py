from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.servers import comfyui_graphs as graphs
from tests.unit.engines.comfyui.generations import generation

from lorapod.engines.comfyui.workflow import Composed, Parts, compose
from lorapod.engines.port import LoraUse
from lorapod.errors import InvalidInput

LORA = LoraUse(path=Path("/workspace/fox.safetensors"), name="fox")


def composed(graph: dict[str, dict[str, Any]], **fields: Any) -> Composed:
    return compose(generation(workflow=graph, **fields), graph, Parts())


def test_the_template_stays_as_it_is() -> None:
    graph = graphs.from_input()

    composed(graph, image=Path("/in.png"))

    assert graph == graphs.from_input()


@pytest.mark.parametrize(
    ("placeholder", "missing"),
    [
        ("PROMPT", "prompt"),
        ("VIDEO_PROMPT", "prompt"),
        ("INPUT_IMAGE", "image"),
        ("MODEL", "model"),
        ("LENGTH", "length"),
    ],
)
def test_what_a_workflow_needs_and_the_request_has_not_is_refused(placeholder: str, missing: str) -> None:
    with pytest.raises(InvalidInput, match=f"{placeholder}.*no {missing}"):
        composed(graphs.text(f"{{{{ {placeholder} }}}}"))


@pytest.mark.parametrize("fields", [{"image": Path("/in.png")}, {"loras": [LORA]}])
def test_what_would_be_lost_silently_and_costs_much_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="no place"):
        composed(graphs.picture(), **fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"prompt": "a fox"}, "prompt was not used"),
        ({"negative_prompt": "dull"}, "negative_prompt was not used"),
        ({"model": "sd"}, "model was not used"),
        ({"steps": 4}, "takes steps"),
        ({"length": 4}, "takes length"),
        ({"guidance_scale": 4.0}, "takes guidance_scale"),
        ({"params": {"sampler": "euler"}}, "'sampler'"),
    ],
)
def test_what_no_node_takes_is_told(fields: dict[str, Any], told: str) -> None:
    [warning] = composed(graphs.picture(), **fields).warnings

    assert told in warning


def test_a_callers_own_placeholders_are_filled_from_params() -> None:
    made = composed(graphs.text("{{ STYLE }} {{ PROMPT }}"), prompt="fox", params={"style": "ink"})

    assert made.graph["1"]["inputs"]["string"] == "ink fox"
    assert made.warnings == []


def test_an_unknown_placeholder_of_a_callers_own_workflow_is_its_own_business() -> None:
    assert composed(graphs.text("{{ wildcard }}")).graph["1"]["inputs"]["string"] == "{{ wildcard }}"


def test_an_unknown_placeholder_of_a_template_is_asked_for() -> None:
    with pytest.raises(InvalidInput, match="params has no style"):
        compose(generation(), graphs.text("{{ STYLE }}"), Parts())


@pytest.mark.parametrize("key", ["3.filename_prefix", "SaveImage.filename_prefix", "Keep it.filename_prefix"])
def test_params_reach_any_input_of_any_node(key: str) -> None:
    graph = graphs.picture()
    graph["3"]["_meta"] = {"title": "Keep it"}

    made = composed(graph, params={key: "named"})

    assert made.graph["3"]["inputs"]["filename_prefix"] == "lorapod/job/named"
    assert made.warnings == []


def test_a_param_is_a_value_even_where_it_looks_like_a_link() -> None:
    made = composed(graphs.picture(), params={"1.color": ["2", 0]})

    assert made.graph["1"]["inputs"]["color"] == {"__value__": ["2", 0]}


def test_a_misspelt_param_is_answered_with_the_nearest() -> None:
    [warning] = composed(graphs.picture(), params={"1.colour": 3}).warnings

    assert "did you mean '1.color'?" in warning


def test_each_picture_has_the_next_seed() -> None:
    graph = {"1": graphs.node("KSampler", seed=0), "2": graphs.node("SaveImage", filename_prefix="x")}
    asked = generation(seed=40)

    made = [compose(asked, graph, Parts(index=index)) for index in range(3)]

    assert [each.graph["1"]["inputs"]["seed"] for each in made] == [40, 41, 42]
    assert [each.seed for each in made] == [40, 41, 42]


def test_the_size_of_a_picture_that_is_only_scaled_is_no_warning() -> None:
    assert composed(graphs.from_input(), image=Path("/in.png"), width=64, height=64).warnings == []


def test_a_workflow_of_the_callers_own_keeps_its_seeds_where_the_request_has_none() -> None:
    graph = {"1": graphs.node("KSampler", seed=5), "2": graphs.node("SaveImage", filename_prefix="x")}
    asked = generation(workflow=graph, seed=40, seed_given=False)

    made = [compose(asked, graph, Parts(index=index)) for index in range(2)]

    assert [each.graph["1"]["inputs"]["seed"] for each in made] == [5, 6]
    assert [each.seed for each in made] == [5, 6]


def test_a_template_gets_the_seed_that_was_chosen() -> None:
    graph = {"1": graphs.node("KSampler", seed=0), "2": graphs.node("SaveImage", filename_prefix="x")}

    made = compose(generation(seed=40, seed_given=False), graph, Parts())

    assert made.graph["1"]["inputs"]["seed"] == 40
