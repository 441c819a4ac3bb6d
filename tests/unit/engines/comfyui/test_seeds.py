"""The seed of an answer is one that was used, or there is none and the reason is a warning."""

from __future__ import annotations

from typing import Any

import pytest
from tests.servers.comfyui_graphs import Graph, node
from tests.unit.engines.comfyui.generations import generation

from lorapod.engines.comfyui.workflow import Composed, Parts, compose

SAVE = node("SaveImage", filename_prefix="x")


def composed(graph: Graph, index: int = 0, **fields: Any) -> Composed:
    return compose(generation(workflow=graph, **fields), graph, Parts(index=index))


@pytest.mark.parametrize("given", [{"seed": 40, "seed_given": True}, {"seed_given": False}])
@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ({"1": node("KSampler", seed=["2", 0])}, "seed of node 1 (KSampler) comes from another node"),
        ({"1": node("KSampler", seed="5")}, "seed of node 1 (KSampler) is written as text"),
        (
            {"1": node("KSampler", seed=5), "3": node("RandomNoise", noise_seed=["2", 0])},
            "noise_seed of node 3 (RandomNoise) comes from another node",
        ),
    ],
)
def test_a_seed_that_cannot_be_known_is_told(nodes: Graph, says: str, given: dict[str, Any]) -> None:
    made = composed({**nodes, "2": node("PrimitiveInt", value=5)}, **given)

    assert made.seed is None
    assert [warning for warning in made.warnings if "seed" in warning] == [
        f"The seed that was used is not known: {says}."
    ]


def test_several_seeds_of_a_workflows_own_are_told_as_unknown() -> None:
    graph = {"1": node("KSampler", seed=5), "2": node("RandomNoise", noise_seed=6)}

    made = composed(graph, seed_given=False)

    assert made.seed is None
    assert made.warnings == ["The seed that was used is not known: the workflow has several."]
    assert composed(graph, seed=40, seed_given=True).seed == 40


def test_a_seed_for_a_workflow_without_one_was_not_used() -> None:
    made = composed({"1": SAVE}, seed=40, seed_given=True)

    assert made.seed is None
    assert made.warnings == ["No node of the workflow takes seed: it was not used."]


def test_a_workflow_without_a_seed_needs_no_warning_where_none_was_given() -> None:
    made = composed({"1": SAVE}, seed_given=False)

    assert made.seed is None
    assert made.warnings == []


@pytest.mark.parametrize("given", [True, False])
def test_the_placeholder_is_the_seed(*, given: bool) -> None:
    graph = {"1": node("RegexReplace", string="{{ SEED }}"), "2": node("KSampler", seed="{{ SEED }}")}

    made = [composed(graph, index, seed=40, seed_given=given) for index in range(3)]

    assert [each.seed for each in made] == [40, 41, 42]
    assert [each.graph["2"]["inputs"]["seed"] for each in made] == [40, 41, 42]
    assert [each.graph["1"]["inputs"]["string"] for each in made] == [40, 41, 42]
    assert [each.warnings for each in made] == [[]] * 3
