from __future__ import annotations

import json
from typing import Any

import pytest

from lorapod.engines.port import GenerationProgress
from lorapod.engines.swarmui.generating import Arrival, Stream


def progress(index: Any, share: Any) -> dict[str, Any]:
    return {"gen_progress": {"batch_index": index, "overall_percent": share, "current_percent": 0.5}}


def percent(told: object) -> float | None:
    assert isinstance(told, GenerationProgress)
    return told.percent


def test_progress_counts_every_picture() -> None:
    stream = Stream(expected=2)

    assert percent(stream.read(progress("0", 0.5))) == 25
    stream.read({"image": "View/a.png", "batch_index": "0"})
    assert percent(stream.read(progress(1, 0.5))) == 75


def test_progress_never_goes_back() -> None:
    stream = Stream(expected=1)
    stream.read(progress("0", 0.9))

    assert percent(stream.read(progress("0", 0.2))) == 90
    assert percent(stream.read(progress("0", 7))) == 100


def test_a_picture_comes_with_the_seed_of_its_metadata() -> None:
    metadata = json.dumps({"sui_image_params": {"seed": 42}})

    found = Stream(expected=1).read({"image": "View/a.png", "batch_index": "1", "metadata": metadata})

    assert found == Arrival(index=1, address="View/a.png", seed=42)


@pytest.mark.parametrize("metadata", [None, "", "{}", "no json", '{"sui_image_params": []}', 5])
def test_a_picture_without_such_metadata_has_no_seed(metadata: Any) -> None:
    found = Stream(expected=1).read({"image": "View/a.png", "batch_index": 0, "metadata": metadata})

    assert found == Arrival(index=0, address="View/a.png")


@pytest.mark.parametrize("index", ["-1", -11, "odd", None])
def test_grids_and_pictures_from_between_are_nobodys(index: Any) -> None:
    assert Stream(expected=1).read({"image": "View/grid.png", "batch_index": index}) is None


def test_what_is_taken_back_is_kept_in_mind() -> None:
    stream = Stream(expected=3)

    stream.read({"discard_indices": [0, "2", "odd"]})

    assert stream.discarded == {0, 2}


def test_the_end_is_an_intention() -> None:
    stream = Stream(expected=1)
    stream.read({"keep_alive": True})
    assert not stream.over

    stream.read({"socket_intention": "close"})

    assert stream.over


def test_what_it_waits_for_is_told_once() -> None:
    stream = Stream(expected=1)
    loading = {"status": {"waiting_gens": 1, "loading_models": 1, "waiting_backends": 1, "live_gens": 0}}
    waiting = {"status": {"waiting_gens": 1, "loading_models": 0, "waiting_backends": 1, "live_gens": 0}}

    told = [stream.read(waiting), stream.read(waiting), stream.read(loading), stream.read(loading)]

    assert [found.detail for found in told if isinstance(found, GenerationProgress)] == [
        "waiting for a backend of SwarmUI's",
        "loading the model",
    ]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"status": None},
        {"image": 5},
        {"gen_progress": []},
        progress("x", 0.5),
        progress("0", "half"),
        {"raw": 1},
    ],
)
def test_what_it_does_not_read_is_nothing(message: dict[str, Any]) -> None:
    assert Stream(expected=1).read(message) is None
