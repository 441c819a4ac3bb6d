from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorapod.errors import InvalidInput
from lorapod.trainers import presets
from lorapod.trainers.builtin.config import BuiltinConfig
from lorapod.trainers.fit import memory_need
from lorapod.trainers.presets import build_config
from lorapod.wire.knobs import Optimizer, TrainKnobs
from lorapod.wire.presets import PRESET_NAMES, Learns
from lorapod.wire.validation import parse

EXPECTED = set(PRESET_NAMES)

SIZES = st.integers(8, 512).map(lambda eighths: eighths * 8)
KNOBS = st.builds(
    TrainKnobs,
    steps=st.none() | st.integers(1, 1_000_000),
    learning_rate=st.none() | st.floats(1e-9, 1),
    rank=st.none() | st.integers(1, 1024),
    resolution=st.none() | SIZES | st.lists(SIZES, min_size=1, max_size=16),
    batch_size=st.none() | st.integers(1, 1024),
    trigger_word=st.none() | st.just("ohwx"),
    sample_prompts=st.none()
    | st.lists(st.sampled_from(["a cat --ctrl_img a.png", "--ctrl_img b.png"]), max_size=3),
    sample_every=st.none() | st.integers(1, 1_000_000),
    save_every=st.none() | st.integers(1, 1_000_000),
    seed=st.none() | st.integers(0, (1 << 32) - 1),
    model=st.none() | st.just("models/own.safetensors"),
    optimizer=st.none() | st.sampled_from(Optimizer),
)


def process_of(config: dict[str, Any]) -> dict[str, Any]:
    process: dict[str, Any] = config["config"]["process"][0]
    return process


def test_the_names_for_the_shell_are_those_of_the_files() -> None:
    assert presets.names() == PRESET_NAMES


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_tier_fits_its_gpu(name: str) -> None:
    preset = presets.get(name)
    for tier in preset.tiers:
        paired = preset.learns == (Learns.PAIRS,)
        knobs = TrainKnobs(tier=tier.name, control=["before"] if paired else None)
        need = memory_need(process_of(build_config(name, knobs)))
        assert need is not None
        assert need.total <= tier.gpu_memory_bytes, (tier.name, need.explained())


@pytest.mark.parametrize("name", sorted(name for name in EXPECTED if presets.get(name).samples_need_control))
def test_a_model_whose_samples_need_a_control_image_makes_none_by_default(name: str) -> None:
    process = process_of(build_config(name, TrainKnobs(trigger_word="ohwx")))
    assert process["sample"]["prompts"] == []
    assert process["train"]["disable_sampling"] is True
    with pytest.raises(InvalidInput, match="--ctrl_img") as caught:
        build_config(name, TrainKnobs(sample_prompts=["make it snow"]))
    assert caught.value.details == ({"field": "sample_prompts[0]", "error": "has no --ctrl_img"},)
    prompt = "make it snow --ctrl_img before/1.png"
    process = process_of(build_config(name, TrainKnobs(sample_prompts=[prompt])))
    assert process["sample"]["prompts"] == [prompt]
    assert process["train"]["disable_sampling"] is False


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_tier_is_the_largest_that_fits_the_gpu_or_the_one_that_is_named(name: str) -> None:
    preset = presets.get(name)
    sizes = [tier.gpu_memory_bytes for tier in preset.tiers]
    assert sizes == sorted(set(sizes))
    assert preset.tier_for(None) == preset.tier_for(1) == preset.tiers[0]
    for tier in preset.tiers:
        assert preset.tier_for(tier.gpu_memory_bytes) == tier
        assert tier.name == f"{tier.gpu_memory_bytes // 10**9}gb"
        by_name = build_config(name, TrainKnobs(tier=tier.name))
        assert by_name == build_config(name, TrainKnobs(), gpu_memory_bytes=tier.gpu_memory_bytes + 10**9)


def test_an_unknown_tier_is_answered_with_those_that_exist() -> None:
    with pytest.raises(InvalidInput, match="'sdxl' has no tier '5gb'; its tiers are 12gb") as caught:
        build_config("sdxl", TrainKnobs(tier="5gb"))
    assert caught.value.details[0]["field"] == "tier"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_preset_is_whole(name: str) -> None:
    preset = presets.get(name)
    assert preset.description
    assert preset.licence
    assert preset.learns
    assert preset.min_gpu_memory_bytes >= 4_000_000_000
    assert set(preset.trainers) <= {"ai-toolkit", "builtin"}
    assert "ai-toolkit" in preset.trainers
    process = process_of(build_config(name, TrainKnobs()))
    assert process["type"] == "diffusion_trainer"
    assert process["network"]["type"] == "lora"
    assert process["network"]["linear_alpha"] == process["network"]["linear"]
    # Numbers that YAML 1.1 would read as text (1e-4) train nothing.
    assert isinstance(process["train"]["lr"], float)
    assert process["sample"]["neg"] == ""
    assert process["model"]["arch"]
    assert "folder_path" not in process["datasets"][0]
    assert "training_folder" not in process


def test_only_stable_diffusion_runs_on_the_builtin_trainer() -> None:
    assert {name for name in presets.names() if "builtin" in presets.get(name).trainers} == {"sd15", "sdxl"}


@given(name=st.sampled_from(sorted(EXPECTED)), knobs=KNOBS)
def test_every_knob_arrives_and_nothing_else_changes(name: str, knobs: TrainKnobs) -> None:
    plain, turned = process_of(build_config(name, TrainKnobs())), process_of(build_config(name, knobs))
    wanted = {
        ("train", "steps"): knobs.steps,
        ("train", "lr"): knobs.learning_rate,
        ("train", "batch_size"): knobs.batch_size,
        ("train", "optimizer"): knobs.optimizer,
        ("network", "linear"): knobs.rank,
        ("network", "linear_alpha"): knobs.rank,
        ("sample", "sample_every"): knobs.sample_every,
        ("save", "save_every"): knobs.save_every,
        ("sample", "seed"): knobs.seed,
        ("model", "name_or_path"): knobs.model,
    }
    for (section, key), value in wanted.items():
        assert turned[section][key] == (plain[section][key] if value is None else value)
    assert turned.get("trigger_word") == knobs.trigger_word
    assert turned.get("training_seed") == knobs.seed
    for section in ("network", "model", "save"):
        assert turned[section].keys() == plain[section].keys()


def test_building_leaves_the_preset_alone() -> None:
    before = build_config("sd15", TrainKnobs())
    process_of(build_config("sd15", TrainKnobs(steps=1, resolution=64)))["train"]["lr"] = 5
    assert build_config("sd15", TrainKnobs()) == before


def test_square_samples_follow_the_resolution_and_films_keep_their_frame() -> None:
    square = process_of(build_config("sdxl", TrainKnobs(resolution=[768, 512, 768])))
    assert square["datasets"][0]["resolution"] == [512, 768]
    assert (square["sample"]["width"], square["sample"]["height"]) == (768, 768)
    film = process_of(build_config("wan21", TrainKnobs(resolution=512)))
    assert (film["sample"]["width"], film["sample"]["height"]) == (832, 480)


def prompts_of(name: str, **knobs: Any) -> list[str]:
    prompts: list[str] = process_of(build_config(name, TrainKnobs(**knobs)))["sample"]["prompts"]
    return prompts


def test_samples_show_the_callers_prompts_or_none() -> None:
    assert prompts_of("sd15", trigger_word="ohwx", sample_prompts=["ohwx in a hat"]) == ["ohwx in a hat"]
    none = process_of(build_config("sd15", TrainKnobs(sample_prompts=[])))
    assert none["sample"]["prompts"] == []
    assert none["train"]["disable_sampling"] is True


@pytest.mark.parametrize(
    ("knobs", "subject"),
    [
        ({"trigger_word": "ohwx"}, "ohwx"),
        ({"trigger_word": "ohwx", "class_word": "dog"}, "ohwx dog"),
        ({"class_word": "dog"}, "a dog"),
        ({"class_word": "owl"}, "an owl"),
    ],
)
@pytest.mark.parametrize("name", ["sd15", "wan22", "wan22-5b"])
def test_by_default_samples_show_the_subject_in_three_situations(
    name: str, knobs: dict[str, str], subject: str
) -> None:
    prompts = prompts_of(name, **knobs)
    assert len(set(prompts)) == 3
    for prompt in prompts:
        assert f" {subject}" in f" {prompt}"
        assert len(prompt.split()) > len(subject.split()) + 3
    assert ("video" in prompts[0]) is (name == "wan22-5b")


def test_an_unknown_preset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'flux-dev'") as caught:
        presets.get("flux_dev")
    assert "sd35-large" in caught.value.hint


@pytest.mark.parametrize("name", ["", "../sd15", "sd15.yaml", "\0", "\ud800", "x" * 5000])
def test_a_name_is_never_a_path(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        presets.get(name)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("knob", "value", "message"),
    [
        ("steps", 0, "greater than or equal to 1"),
        ("steps", "100", "valid integer"),
        ("steps", True, "valid integer"),
        ("steps", 1.5, "valid integer"),
        ("learning_rate", 0, "greater than 0"),
        ("learning_rate", float("nan"), "finite number"),
        ("learning_rate", "1e-4", "valid number"),
        ("rank", 4096, "less than or equal to 1024"),
        ("resolution", 16, "greater than or equal to 64"),
        ("resolution", 500, "multiple of 8"),
        ("resolution", [], "at least 1 entry"),
        ("seed", -1, "greater than or equal to 0"),
        ("trigger_word", "two\nlines", "must be one line"),
        ("trigger_word", "", "at least 1 character"),
        ("model", "a\0b", "must be one line"),
        ("sample_prompts", ["x" * 4001], "at most 4000"),
        ("sample_prompts", ["ok", 3], "valid string"),
        ("optimizer", "adamx", "adamw8bit"),
        ("learning_rat", 1e-4, "did you mean 'learning_rate'"),
    ],
)
def test_a_knob_out_of_bounds_is_refused_with_its_reason(knob: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        parse(TrainKnobs, {knob: value})
    assert caught.value.details[0]["field"].startswith(knob)


@pytest.mark.parametrize("name", ["sd15", "sdxl"])
@settings(max_examples=40)
@given(knobs=KNOBS)
def test_the_builtin_trainer_takes_its_presets(name: str, knobs: TrainKnobs) -> None:
    optimizer = knobs.optimizer if knobs.optimizer in {Optimizer.ADAM, Optimizer.ADAMW} else None
    config = placed(build_config(name, knobs.model_copy(update={"optimizer": optimizer})), "cat")
    process = BuiltinConfig.model_validate(config).process
    assert process.network.linear_alpha == process.network.linear
    assert knobs.seed is None or process.train.seed == knobs.seed
    assert process.train.optimizer_params.weight_decay == 0.01


def placed(config: dict[str, Any], name: str) -> dict[str, Any]:
    """The config as a trainer gets it: with its name and its folders."""
    config["config"]["name"] = name
    process_of(config)["training_folder"] = "/out"
    process_of(config)["datasets"][0]["folder_path"] = "/data"
    return config
