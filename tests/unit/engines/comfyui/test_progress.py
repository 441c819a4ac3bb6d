from __future__ import annotations

from typing import Any

from tests.servers.comfyui_graphs import node

from lorapod.engines.comfyui.progress import PromptProgress
from lorapod.engines.port import GenerationProgress

GRAPH = {
    "1": node("Load"),
    "2": {**node("KSampler", steps=8), "_meta": {"title": "Sample"}},
    "3": node("Save"),
}


def state(**nodes: tuple[str, float, float]) -> dict[str, Any]:
    return {
        "nodes": {
            key[1:]: {"state": kind, "value": value, "max": most, "real_node_id": key[1:]}
            for key, (kind, value, most) in nodes.items()
        }
    }


def test_samplers_count_as_much_as_they_have_steps() -> None:
    progress = PromptProgress(GRAPH, image=1, total_images=1)

    told = progress.read("progress_state", state(n1=("finished", 1, 1), n2=("running", 4, 8)))

    assert told == GenerationProgress(
        step=4,
        total_steps=8,
        image=1,
        total_images=1,
        node="Sample",
        node_id="2",
        node_value=4,
        node_max=8,
        nodes_done=1,
        total_nodes=3,
        percent=50.0,
        detail="Sample (1 of 3 nodes are done)",
    )


def test_each_picture_is_a_part_of_the_whole() -> None:
    progress = PromptProgress(GRAPH, image=2, total_images=4)

    told = progress.read("execution_cached", {"nodes": ["1", "2", "3"]})

    assert told is not None
    assert told.percent == 50.0


def test_the_node_at_work_is_named() -> None:
    progress = PromptProgress(GRAPH, image=1, total_images=1)

    told = progress.read("executing", {"node": "3", "display_node": "3"})

    assert told is not None
    assert (told.node, told.step) == ("Save", None)


def test_older_servers_tell_of_one_node_at_a_time() -> None:
    progress = PromptProgress(GRAPH, image=1, total_images=1)

    told = progress.read("progress", {"node": "2", "value": 2, "max": 8})

    assert told is not None
    assert (told.step, told.total_steps, told.node) == (2, 8, "Sample")


def test_nothing_new_is_not_told() -> None:
    progress = PromptProgress(GRAPH, image=1, total_images=1)
    progress.read("executing", {"node": "3"})

    assert progress.read("executing", {"node": "3"}) is None
    assert progress.read("status", {"sid": "x"}) is None
    assert progress.read("progress_state", {"nodes": None}) is None
    assert progress.read("progress", {"node": None, "value": None}) is None


def test_a_node_that_the_workflow_does_not_have_does_no_harm() -> None:
    """A node may become several while it runs; these count for the one they came from."""
    progress = PromptProgress(GRAPH, image=1, total_images=1)

    told = progress.read("progress_state", state(n2_0_7=("running", 1, 2)))

    assert told is not None
    assert told.percent == 0.0


def test_a_node_begins_without_what_the_one_before_it_counted() -> None:
    progress = PromptProgress(GRAPH, image=1, total_images=1)
    progress.read("progress_state", state(n1=("finished", 1, 1), n2=("running", 8, 8)))

    told = progress.read("executing", {"node": "3"})

    assert told is not None
    assert (told.node, told.node_id, told.node_value, told.node_max) == ("Save", "3", None, None)
    told = progress.read("progress_state", state(n2=("finished", 8, 8), n3=("running", 0, 1)))
    assert told is not None
    assert (told.node_value, told.node_max, told.step, told.nodes_done) == (0, 1, None, 2)


def test_the_end_counts_every_node() -> None:
    """ComfyUI does not run a node whose result no one uses."""
    progress = PromptProgress({**GRAPH, "4": node("Load")}, image=1, total_images=2)
    progress.read("progress_state", state(n1=("finished", 1, 1), n2=("finished", 8, 8), n3=("running", 0, 1)))

    told = progress.ended()

    assert (told.nodes_done, told.total_nodes, told.percent) == (4, 4, 50.0)
