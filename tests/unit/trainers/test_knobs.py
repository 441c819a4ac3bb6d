"""The knobs of `train` in a preset's config."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from lorapod.errors import InvalidInput
from lorapod.trainers.presets import build_config, knob_of
from lorapod.wire.knobs import NetworkType, Optimizer, Scheduler, TimestepType, TrainKnobs, WeightFormat
from lorapod.wire.validation import parse


def process_of(preset: str, **knobs: Any) -> dict[str, Any]:
    process: dict[str, Any] = build_config(preset, parse(TrainKnobs, knobs))["config"]["process"][0]
    return process


@pytest.mark.parametrize(
    ("knob", "value", "place", "written"),
    [
        ("optimizer", "automagic3", "train.optimizer", "automagic3"),
        ("gradient_accumulation", 4, "train.gradient_accumulation", 4),
        ("caption_dropout", 0.2, "datasets.0.caption_dropout_rate", 0.2),
        ("low_vram", True, "model.low_vram", True),
        ("timestep_type", "linear", "train.timestep_type", "linear"),
        ("quantize", False, "model.quantize", False),
        ("quantize", False, "model.quantize_te", False),
        ("quantize", "uint4", "model.qtype", "uint4"),
        ("quantize", "uint4", "model.quantize_te", True),
        ("ema", True, "train.ema_config", {"use_ema": True, "ema_decay": 0.99}),
        ("ema", False, "train.ema_config.use_ema", False),
        ("ema", 0.9, "train.ema_config", {"use_ema": True, "ema_decay": 0.9}),
        ("scheduler", "cosine", "train.lr_scheduler", "cosine"),
        ("scheduler", "linear", "train.lr_scheduler_params", {"start_factor": 1.0, "end_factor": 0.0}),
        ("scheduler", "constant_with_warmup", "train.lr_scheduler_params", {"num_warmup_steps": 100}),
        ("network", {"rank": 8}, "network.linear_alpha", 8),
        ("network", {"rank": 8, "alpha": 4.0}, "network.linear_alpha", 4.0),
        ("network", {"type": "dora"}, "network.type", "dora"),
        ("network", {"type": "lokr"}, "network.lokr_full_rank", True),
        ("network", {"type": "lokr", "rank": 8}, "network.lokr_full_rank", False),
    ],
)
def test_a_knob_arrives_at_its_place(knob: str, value: Any, place: str, written: Any) -> None:
    found: Any = process_of("flux-dev", **{knob: value})
    for key in place.split("."):
        found = found[int(key)] if key.isdigit() else found[key]
    assert found == written


def test_rank_counts_for_every_kind_of_network() -> None:
    process = process_of("flux-dev", rank=8, network={"type": "lokr", "alpha": 2.0})
    assert process["network"] == {"type": "lokr", "linear": 8, "linear_alpha": 2.0, "lokr_full_rank": False}


def test_several_datasets_each_have_their_values_and_the_rest_of_the_request() -> None:
    process = process_of(
        "sdxl",
        resolution=768,
        caption_dropout=0.1,
        datasets=[
            {"training_name": "cat", "repeats": 10},
            {"path": "training_data/animals", "is_reg": True, "caption_dropout": 0.0},
        ],
    )
    cat, animals = process["datasets"]
    assert (cat["folder_path"], cat["num_repeats"]) == ("training_data/cat", 10)
    assert (animals["folder_path"], animals["is_reg"]) == ("training_data/animals", True)
    assert "is_reg" not in cat
    assert (cat["caption_dropout_rate"], animals["caption_dropout_rate"]) == (0.1, 0.0)
    assert cat["resolution"] == animals["resolution"] == [768]


def test_an_edit_is_learnt_from_the_images_before_it() -> None:
    process = process_of("flux-kontext", control=["before", "training_data/masks"])
    assert process["datasets"][0]["control_path"] == ["training_data/before", "training_data/masks"]
    assert process_of("flux-kontext", control=["b"])["datasets"][0]["control_path"] == "training_data/b"
    several = process_of(
        "flux2-dev", datasets=[{"training_name": "a", "control": ["b"]}, {"training_name": "c"}]
    )
    assert [each.get("control_path") for each in several["datasets"]] == ["training_data/b", None]


def test_frames_of_videos() -> None:
    assert process_of("wan21", num_frames=33)["datasets"][0]["num_frames"] == 33
    assert process_of("wan22-5b", num_frames=1)["datasets"][0]["num_frames"] == 1


@pytest.mark.parametrize(
    ("preset", "knobs", "field", "why"),
    [
        ("sdxl", {"timestep_type": "shift"}, "timestep_type", "not a flow-matching model"),
        ("sdxl", {"network": {"type": "dora"}}, "network", "convolutions"),
        ("sdxl", {"num_frames": 17}, "num_frames", "learns from images, not from videos"),
        ("flux-dev", {"control": ["before"]}, "control", "learns from images, not from pairs"),
        ("wan22-i2v", {"validation": True}, "validation", "learns from videos"),
        ("flux-kontext", {"control": ["b"], "validation": True}, "validation", "learns from pairs"),
    ],
)
def test_a_knob_that_does_not_go_with_the_preset_is_refused(
    preset: str, knobs: dict[str, Any], field: str, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why) as caught:
        process_of(preset, **knobs)
    assert caught.value.details[0]["field"] == field


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"rank": 8, "network": {"rank": 4}}, "not in both"),
        ({"network": {"type": "lokar"}}, "'lora', 'lokr' or 'dora'"),
        ({"network": {"rnk": 4}}, "did you mean 'rank'"),
        ({"scheduler": "cosin"}, "cosine"),
        ({"timestep_type": "sigmoids"}, "sigmoid"),
        ({"quantize": "uint9"}, "uint7"),
        ({"ema": 1.5}, "less than 1"),
        ({"caption_dropout": 1.2}, "less than or equal to 1"),
        ({"datasets": []}, "at least 1"),
        ({"datasets": [{}]}, "exactly one of training_name, path"),
        ({"datasets": [{"training_name": "a", "repeats": 0}]}, "greater than or equal to 1"),
        ({"control": ["a", "b", "c", "d"]}, "at most 3"),
        ({"validation": {"share": 0.9}}, "less than or equal to 0.5"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse(TrainKnobs, knobs)
    assert message.split(maxsplit=1)[0] in str(caught.value) or caught.value.details


def test_a_refused_key_is_named_by_its_knob() -> None:
    knobs = parse(TrainKnobs, {"scheduler": "cosine", "ema": True, "network": {"type": "dora"}})
    assert knob_of("config.process[0].train.lr_scheduler", knobs) == "scheduler"
    assert knob_of("config.process[0].train.ema_config", knobs) == "ema"
    assert knob_of("config.process[0].network.type", knobs) == "network"
    # What the caller did not set is the preset's.
    assert knob_of("config.process[0].train.lr", knobs) == "config.process[0].train.lr"
    assert knob_of("dataset", knobs) == "dataset"
    assert knob_of("config.process[0].datasets[0].control_path", parse(TrainKnobs, {})) == "control"
    several = parse(TrainKnobs, {"datasets": [{"training_name": "a"}]})
    assert knob_of("config.process[0].datasets[0].is_reg", several) == "datasets"


class TestAgainstTheSchema:
    """The choices of the knobs are those of AI Toolkit's schema, or some of them."""

    @pytest.mark.parametrize(
        ("section", "key", "choices"),
        [
            # `step` fails in the toolkit, whatever its parameters.
            ("TrainConfig", "lr_scheduler", Scheduler),
            ("ModelConfig", "qtype", WeightFormat),
            ("NetworkConfig", "type", NetworkType),
        ],
    )
    def test_some_of_the_choices(self, section: str, key: str, choices: Any) -> None:
        assert {str(choice) for choice in choices} < choices_of(section, key)

    @pytest.mark.parametrize(("key", "choices"), [("optimizer", Optimizer), ("timestep_type", TimestepType)])
    def test_all_choices(self, key: str, choices: Any) -> None:
        assert {str(choice) for choice in choices} == choices_of("TrainConfig", key)


def choices_of(section: str, key: str) -> set[str]:
    text = (resources.files("lorapod.trainers.ai_toolkit") / "schema.json").read_text(encoding="utf-8")
    return set(json.loads(text)["classes"][section][key]["choices"])
