from __future__ import annotations

from typing import Any

import pytest
from tests.servers.comfyui_graphs import node

from lorapod.engines.comfyui.knobs import set_knobs

SAMPLER = node("KSampler", seed=1, steps=20, cfg=7.0, denoise=1.0, model=["9", 0])


@pytest.mark.parametrize(
    "canvas",
    [
        node("EmptyLatentImage", width=1, height=1, batch_size=1),
        node("EmptySD3LatentImage", width=1, height=1, batch_size=1),
        node("WanImageToVideo", width=1, height=1, length=1, batch_size=1),
        node("SVD_img2vid_Conditioning", width=1, height=1, video_frames=1),
        node("NodeOfTheFuture", width=1, height=1, num_frames=1),
    ],
)
def test_the_size_is_set_on_whatever_makes_the_canvas(canvas: dict[str, Any]) -> None:
    assert set_knobs({"1": canvas}, {"width": 832, "height": 480}) == set()
    assert (canvas["inputs"]["width"], canvas["inputs"]["height"]) == (832, 480)


def test_nodes_that_scale_or_crop_keep_their_size() -> None:
    graph = {"1": node("ImageScale", width=1, height=1, crop="center", image=["2", 0]), "2": node("N")}

    assert set_knobs(graph, {"width": 832}) == {"width"}
    assert graph["1"]["inputs"]["width"] == 1


@pytest.mark.parametrize("name", ["length", "video_frames", "num_frames"])
def test_the_length_has_several_names(name: str) -> None:
    graph = {"1": node("Video", width=1, height=1, **{name: 81})}

    assert set_knobs(graph, {"length": 33}) == set()
    assert graph["1"]["inputs"][name] == 33


def test_what_is_linked_is_left_alone() -> None:
    graph = {"1": node("EmptyLatentImage", width=["2", 0], height=8, batch_size=1), "2": node("Number")}

    assert set_knobs(graph, {"width": 832}) == {"width"}
    assert graph["1"]["inputs"]["width"] == ["2", 0]


def test_every_sampler_gets_the_seed_whatever_it_calls_it() -> None:
    graph = {
        "1": node("KSampler", seed=1),
        "2": node("RandomNoise", noise_seed=2),
        "3": node("N", seed="text"),
    }

    assert set_knobs(graph, {"seed": 40}) == set()
    assert [found["inputs"] for found in graph.values()] == [
        {"seed": 40},
        {"noise_seed": 40},
        {"seed": "text"},
    ]


def test_samplers_that_share_the_steps_keep_their_parts() -> None:
    """Wan 2.2 samples the first half with one model and the rest with another."""
    high = node("KSamplerAdvanced", steps=20, cfg=3.5, start_at_step=0, end_at_step=10)
    low = node("KSamplerAdvanced", steps=20, cfg=3.5, start_at_step=10, end_at_step=10000)

    set_knobs({"1": high, "2": low}, {"steps": 8})

    assert (high["inputs"]["start_at_step"], high["inputs"]["end_at_step"]) == (0, 4)
    assert (low["inputs"]["start_at_step"], low["inputs"]["end_at_step"]) == (4, 10000)


def test_steps_of_other_things_are_not_the_samplers() -> None:
    graph = {
        "1": node("SaveLoRANode", steps=5, prefix="x"),
        "2": node("BasicScheduler", steps=4, scheduler="simple"),
    }

    assert set_knobs(graph, {"steps": 9}) == set()
    assert [found["inputs"]["steps"] for found in graph.values()] == [5, 9]


def test_guidance_goes_to_the_condition_where_a_model_takes_it_so() -> None:
    flux = {"1": node("FluxGuidance", guidance=3.5, conditioning=["9", 0]), "2": node("KSampler", cfg=1.0)}
    plain = {"2": node("KSampler", cfg=7.0)}

    assert set_knobs(flux, {"guidance_scale": 2.0}) == set()
    assert set_knobs(plain, {"guidance_scale": 2.0}) == set()

    assert (flux["1"]["inputs"]["guidance"], flux["2"]["inputs"]["cfg"]) == (2.0, 1.0)
    assert plain["2"]["inputs"]["cfg"] == 2.0


def test_strength_is_only_set_where_it_is_clear_what_is_meant() -> None:
    one = {"1": node("KSampler", denoise=1.0)}
    two = {"1": node("KSampler", denoise=1.0), "2": node("KSampler", denoise=0.4)}

    assert set_knobs(one, {"strength": 0.6}) == set()
    assert set_knobs(two, {"strength": 0.6}) == {"strength"}
    assert [found["inputs"]["denoise"] for found in two.values()] == [1.0, 0.4]
