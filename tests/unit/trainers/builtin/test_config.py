from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import InvalidInput
from lorapod.trainers.builtin.dataset import with_trigger
from lorapod.trainers.builtin.parsing import parse_config
from lorapod.trainers.builtin.values import Architecture, Precision


def fields(**sections: Any) -> dict[str, Any]:
    process = {
        "type": "sd_trainer",
        "training_folder": "/out",
        "model": {"name_or_path": "/models/tiny"},
        "datasets": [{"folder_path": "/data"}],
        **sections,
    }
    return {"job": "extension", "config": {"name": "mine", "process": [process]}}


def problems(config: Mapping[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        parse_config(config)
    return {problem["field"]: problem["error"] for problem in caught.value.details}


def test_a_small_config_gets_ai_toolkits_defaults() -> None:
    config = parse_config(fields())
    process = config.process
    assert config.name == "mine"
    assert process.model.arch is Architecture.SD1
    assert (process.network.linear, process.network.linear_alpha) == (4, 1.0)
    assert (process.train.steps, process.train.batch_size, process.train.lr) == (1000, 1, 1e-6)
    assert process.train.gradient_checkpointing
    assert process.train.dtype is Precision.FP32
    assert (process.save.save_every, process.save.max_step_saves_to_keep) == (1000, 5)
    assert process.save.dtype is Precision.FP16
    assert process.datasets[0].resolution == (512,)


def test_what_an_ai_toolkit_template_carries_is_taken() -> None:
    config = fields(
        device="cuda:0",
        performance_log_every=1000,
        trigger_word="p3r5on",
        network={"type": "lora", "linear": 16, "linear_alpha": 16},
        save={"dtype": "float16", "save_every": 250, "max_step_saves_to_keep": 4, "push_to_hub": False},
        datasets=[
            {
                "folder_path": "/data",
                "caption_ext": ".txt",
                "caption_dropout_rate": 0.05,
                "shuffle_tokens": False,
                "cache_latents_to_disk": True,
                "resolution": [512, 768],
            }
        ],
        train={
            "batch_size": 1,
            "steps": 2000,
            "gradient_accumulation_steps": 1,
            "train_unet": True,
            "train_text_encoder": False,
            "gradient_checkpointing": True,
            "noise_scheduler": "ddpm",
            "optimizer": "adamw",
            "lr": 1e-4,
            "ema_config": {"use_ema": False, "ema_decay": 0.99},
            "dtype": "bf16",
        },
        model={"name_or_path": "stabilityai/sdxl", "is_xl": True, "quantize": False},
        sample={
            "sampler": "ddpm",
            "sample_every": 250,
            "width": 1024,
            "height": 1024,
            "prompts": ["[trigger] at the beach"],
            "neg": "",
            "seed": 42,
            "walk_seed": True,
            "guidance_scale": 4,
            "sample_steps": 20,
        },
    )
    config["meta"] = {"name": "[name]", "version": "1.0"}
    process = parse_config(config).process
    assert process.model.arch is Architecture.SDXL
    assert process.train.dtype is Precision.BF16
    assert process.datasets[0].resolution == (512, 768)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("train", "ema_config", {"use_ema": True, "ema_decay": 0.99}),
        ("train", "min_snr_gamma", 5.0),
        ("train", "optimizer", "adamw8bit"),
        ("train", "lr_scheduler", "cosine"),
        ("train", "noise_scheduler", "flowmatch"),
        ("train", "train_text_encoder", True),
        ("train", "train_unet", False),
        ("train", "steps", 0),
        ("train", "steps", "many"),
        ("train", "lr", 0),
        ("network", "type", "lokr"),
        ("network", "conv", 4),
        ("network", "linear", 0),
        ("model", "arch", "flux"),
        ("model", "quantize", True),
        ("model", "is_flux", True),
        ("save", "push_to_hub", True),
        ("save", "dtype", "float8"),
        ("sample", "sampler", "flowmatch"),
        ("sample", "width", 100),
        ("logging", "use_wandb", True),
    ],
)
def test_what_lies_outside_the_subset_is_refused_by_name(section: str, key: str, value: Any) -> None:
    config = fields()
    config["config"]["process"][0].setdefault(section, {})[key] = value
    found = problems(config)
    assert set(found) == {f"config.process[0].{section}.{key}"}
    (sentence,) = found.values()
    assert sentence
    assert "\n" not in sentence


def test_all_problems_are_told_at_once() -> None:
    config = fields(train={"setps": 10, "lr": -1}, slider={"x": 1}, network={"type": "dora"})
    config["config"]["process"][0]["datasets"][0] |= {"control_path": "/c", "resolution": 500}
    config["job"] = "generate"
    found = problems(config)
    assert set(found) == {
        "job",
        "config.process[0].slider",
        "config.process[0].train.setps",
        "config.process[0].train.lr",
        "config.process[0].network.type",
        "config.process[0].datasets[0].control_path",
        "config.process[0].datasets[0].resolution[0]",
    }
    assert found["config.process[0].train.setps"].endswith("did you mean 'steps'?")
    assert found["job"] == "must be 'extension' for the builtin trainer"


def test_missing_parts_are_told() -> None:
    assert set(problems({})) == {"job", "config"}
    assert set(problems({"job": "extension", "config": {"name": "x", "process": []}})) == {
        "config.process[0]"
    }
    two = fields()
    two["config"]["process"] *= 2
    assert problems(two) == {"config.process": "must hold exactly one process"}


def test_contradictions_are_told() -> None:
    assert problems(fields(model={"name_or_path": "m", "arch": "sd1", "is_xl": True})) == {
        "config.process[0].model": "is_xl and arch contradict each other; leave one of them out"
    }
    accumulation = {"gradient_accumulation": 2, "gradient_accumulation_steps": 2}
    assert "config.process[0].train" in problems(fields(train=accumulation))


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "../up", "a\0b", "x" * 101])
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    config = fields()
    config["config"]["name"] = name
    assert "config.name" in problems(config)


def test_variables_are_refused_and_the_name_is_filled_in() -> None:
    config = fields(sample={"prompts": ["${HF_TOKEN}", "[name] at sea"]})
    assert set(problems(config)) == {"config.process[0].sample.prompts[0]"}
    config = fields(sample={"prompts": ["[name] at sea"]})
    assert parse_config(config).process.sample.prompts == ("mine at sea",)


@pytest.mark.parametrize(("given_arch", "expected"), [("sd15", "sd1"), ("sdxl:turbo", "sdxl"), (None, "sd1")])
def test_architectures_have_other_names(given_arch: str | None, expected: str) -> None:
    config = parse_config(fields(model={"name_or_path": "m", "arch": given_arch}))
    assert config.process.model.arch == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["train", "steps", "lr", "model", "arch", "x"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    path=st.lists(st.sampled_from(["model", "train", "network", "save", "sample", "datasets"]), max_size=1),
    value=JSON,
)
def test_whatever_stands_there_is_taken_or_refused_with_a_place(path: list[str], value: Any) -> None:
    config = copy.deepcopy(fields())
    if path:
        config["config"]["process"][0][path[0]] = value
    else:
        config["config"]["process"] = value
    told: list[dict[str, Any]] = [{"field": "config", "error": "none"}]
    try:
        parse_config(config)
    except InvalidInput as error:
        told = list(error.details)
    assert told
    assert all(problem["field"] and problem["error"] for problem in told)


def test_no_torch_is_imported_to_check_a_config() -> None:
    code = "import sys, lorapod.trainers.builtin.preparation, lorapod.trainers.builtin.adapter; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("text", "word", "prepended", "plain"),
    [
        ("a [trigger] at sea", "zoe", "a zoe at sea", "a zoe at sea"),
        ("a cat", "zoe", "zoe a cat", "a cat"),
        ("zoe sings", "zoe", "zoe sings", "zoe sings"),
        ("", "zoe", "zoe", ""),
        ("[trigger] a cat", None, "a cat", "a cat"),
    ],
)
def test_the_trigger_word(text: str, word: str | None, prepended: str, plain: str) -> None:
    assert with_trigger(text, word, prepend=True) == prepended
    assert with_trigger(text, word, prepend=False) == plain


@pytest.mark.parametrize(
    ("changes", "place", "sentence"),
    [
        ({"train": {"lr": "abc"}}, "train.lr", "'abc' is not a number"),
        ({"train": {"lr": [1]}}, "train.lr", "is not a number"),
        ({"train": {"lr": 2.5}}, "train.lr", "2.5 is too large: at most 1"),
        ({"train": {"lr": 0}}, "train.lr", "0 is too small: more than 0"),
        ({"train": {"steps": 1.5}}, "train.steps", "1.5 is not a whole number"),
        ({"train": {"steps": 0}}, "train.steps", "0 is too small: at least 1"),
        ({"train": {"seed": -1}}, "train.seed", "-1 is too small: at least 0"),
        (
            {"train": {"disable_sampling": "perhaps"}},
            "train.disable_sampling",
            "'perhaps' is not true or false",
        ),
        ({"train": 3}, "train", "3 is not a mapping"),
        ({"sample": {"prompts": "a cat"}}, "sample.prompts", "'a cat' is not a list"),
        ({"sample": {"prompts": [7]}}, "sample.prompts[0]", "7 is not text; put it in quotes"),
        ({"sample": {"width": 100}}, "sample.width", "100 is not a multiple of 8"),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_plain_words(
    changes: dict[str, Any], place: str, sentence: str
) -> None:
    found = problems(fields(**changes))
    assert found[f"config.process[0].{place}"] == sentence
