from __future__ import annotations

import pytest
from tests.servers import comfyui_graphs as graphs

from lorapod.engines.comfyui.folders import forget_cached, set_prefixes


@pytest.mark.parametrize(
    ("prefix", "saved"),
    [
        ("ComfyUI", "lorapod/job/ComfyUI"),
        ("video/ComfyUI", "lorapod/job/ComfyUI"),
        ("../../etc/passwd", "lorapod/job/passwd"),
        ("..\\..\\x", "lorapod/job/x"),
        ("%date:yyyy%_%width%", "lorapod/job/date_yyyy_width"),
        ("..", "lorapod/job/3"),
        ("", "lorapod/job/3"),
        ("a" * 500, "lorapod/job/" + "a" * 60),
    ],
)
def test_every_node_saves_in_the_jobs_folder(prefix: str, saved: str) -> None:
    graph = graphs.picture(prefix)

    set_prefixes(graph, "lorapod/job")

    assert graph["3"]["inputs"]["filename_prefix"] == saved


def test_a_prefix_that_is_linked_is_left_to_the_workflow() -> None:
    graph = graphs.picture()
    graph["3"]["inputs"]["filename_prefix"] = ["2", 0]

    set_prefixes(graph, "lorapod/job")

    assert graph["3"]["inputs"]["filename_prefix"] == ["2", 0]


def test_only_the_last_nodes_are_run_again() -> None:
    graph = graphs.picture()

    forget_cached(graph, "once")

    assert [node for node, found in graph.items() if "once" in found["inputs"].values()] == ["3"]
