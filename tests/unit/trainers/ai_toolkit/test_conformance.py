from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.ai_toolkit.schema import toolkit_schema
from lorapod.trainers.port import TrainingPlan

Prepare = Callable[..., TrainingPlan]
Refused = Callable[..., dict[str, str]]


def process_of(plan: TrainingPlan) -> dict[str, Any]:
    process: dict[str, Any] = plan.config["config"]["process"][0]
    return process


class TestPlaces:
    @pytest.mark.parametrize(
        ("key", "meant"),
        [
            ("train.step", "train.steps"),
            ("train.stepz", "train.steps"),
            ("train.learning_rate", "train.lr"),
            ("train.max_train_steps", "train.steps"),
            ("train.linear", "network.linear"),
            ("lr", "train.lr"),
            ("steps", "train.steps"),
            ("caption_ext", "datasets.caption_ext"),
            ("network.network_dim", "network.linear"),
            ("sample.save_every", "save.save_every"),
            ("datasets.0.trigger", "datasets[0].trigger_word"),
            ("datasets.0.captionext", "datasets[0].caption_ext"),
            ("train.ema_config", "train.ema_config.use_ema"),
        ],
    )
    def test_an_unknown_key_is_named_with_the_one_that_was_meant(
        self, refused: Refused, key: str, meant: str
    ) -> None:
        value: object = {"use_emma": True} if key == "train.ema_config" else 1
        (told,) = refused({key: value}).values()
        assert "unknown key" in told
        assert repr(meant) in told

    def test_a_key_above_the_process(self, refused: Refused, sent: dict[str, Any]) -> None:
        sent["config"]["trigger_word"] = "ohwx"
        sent["name"] = "my lora"
        found = refused(config=sent)
        assert "'trigger_word'" in found["config.trigger_word"]
        assert set(found) == {"config.trigger_word", "name"}

    def test_a_key_that_resembles_nothing(self, refused: Refused) -> None:
        assert "strict" in refused({"train.xqzw": 1})["train.xqzw"]

    def test_a_newer_toolkit_may_know_it(self, prepare: Prepare) -> None:
        plan = prepare({"train.stepz": 5, "train.optimizer": "an optimizer of tomorrow"}, strict=False)
        assert process_of(plan)["train"]["stepz"] == 5
        assert process_of(plan)["train"]["optimizer"] == "an optimizer of tomorrow"
        told = "\n".join(plan.warnings)
        assert "train.stepz" in told
        assert "train.optimizer" in told

    @pytest.mark.parametrize("kind", ["concept_slider", "ultimate_slider_trainer", "concept_replacer"])
    def test_each_trainer_has_keys_of_its_own(self, prepare: Prepare, refused: Refused, kind: str) -> None:
        key, value = {
            "concept_slider": ("slider", {"positive_prompt": "happy", "guidance_strength": 2}),
            "ultimate_slider_trainer": ("slider", {"datasets": [{"pair_folder": "training_data/cats"}]}),
            "concept_replacer": ("replacements", [{"concept": "a dog", "replacement": "a cat"}]),
        }[kind]
        assert prepare({"type": kind, key: value}).config
        assert "unknown key" in refused({key: value})[key]


class TestValues:
    @pytest.mark.parametrize(
        ("key", "value", "words"),
        [
            ("save.dtype", "foo", "unknown value 'foo'; use one of"),
            ("save.dtype", "fp61", "did you mean 'fp16'?"),
            ("train.dtype", "bf17", "did you mean 'bf16'?"),
            ("save.save_format", "safetensor", "did you mean 'safetensors'?"),
            ("sample.format", "jpq", "did you mean 'jpg'?"),
            ("sample.sampler", "flow_match", "did you mean 'flowmatch'?"),
            ("train.noise_scheduler", "flowmach", "did you mean 'flowmatch'?"),
            ("train.optimizer", "adamw9bit", "did you mean 'adamw8bit'?"),
            ("train.lr_scheduler", "polynomial", "use one of"),
            ("train.loss_type", "mea", "did you mean 'mse'?"),
            ("train.timestep_type", "sigmod", "did you mean 'sigmoid'?"),
            ("model.qtype", "uint9", "did you mean 'uint8'?"),
            ("datasets.0.controls", ["dept"], "did you mean 'depth'?"),
            ("train.gradient_checkpointing", "false", "is not true or false; remove the quotes"),
            ("datasets.0.num_repeats", "5", "is not a whole number; remove the quotes"),
            ("datasets.0.flip_x", 2, "2 is not true or false"),
            ("train.optimizer_params", [1], "is not a mapping"),
            ("train.optimizer", ["adamw"], "is not text"),
            ("trigger_word", True, "True is not text; put it in quotes"),
            ("datasets.0.caption_dropout_rate", "much", "'much' is not a number"),
            ("sample.prompts", ["a cat", {"prompt": "a dog"}], "is not a list of texts"),
            ("sample.samples", [{"promt": "a cat"}], "did you mean"),
        ],
    )
    def test_wrong_ones(self, refused: Refused, key: str, value: object, words: str) -> None:
        ((field, told),) = refused({key: value}).items()
        assert field.startswith(key.replace(".0.", "[0]."))
        assert words in told

    @pytest.mark.parametrize(
        ("key", "value", "becomes"),
        [
            ("save.save_every", 250.0, 250),
            ("train.lr", "1e-4", 1e-4),
            ("datasets.0.caption_dropout_rate", "0.05", 0.05),
            ("trigger_word", 1234, "1234"),
            ("datasets.0.is_reg", 0, False),
            ("train.optimizer_params", None, {}),
            ("sample.prompts", [1234], ["1234"]),
            ("model.qtype", "uint3|org/adapters/one.safetensors", ...),
            ("train.optimizer", "AdamW8bit", ...),
            ("datasets.0.resolution", [512, 768], ...),
            ("sample.guidance_scale", 3.5, ...),
            ("train.max_grad_norm", 1, ...),
        ],
    )
    def test_what_means_one_thing_only_is_corrected(
        self, prepare: Prepare, key: str, value: object, becomes: object
    ) -> None:
        found: Any = process_of(prepare({key: value}))
        for part in key.split("."):
            found = found[int(part) if part.isdigit() else part]
        expected = value if becomes is ... else becomes
        assert (found, type(found)) == (expected, type(expected))


class TestSchema:
    def test_what_forms_and_presets_ask_it(self) -> None:
        schema = toolkit_schema()
        assert schema.version == "0.12.26"
        assert {"adamw8bit", "automagic3", "prodigyopt"} <= set(schema.key("train.optimizer").choices)
        assert schema.key("train.steps").default == 1000
        assert schema.key("datasets.resolution").types >= {"integer", "list"}
        assert schema.models["zimage:turbo"].defaults["model.name_or_path"] == "Tongyi-MAI/Z-Image-Turbo"
        assert schema.models["flux"].gate is not None
        assert {"flux2_klein_9b", "krea2", "ltx2.3"} <= schema.archs

    def test_a_key_that_is_none(self) -> None:
        with pytest.raises(KeyError):
            toolkit_schema().key("train.stepz")


class TestVersions:
    def test_the_version_that_the_schema_describes(self, trainer: AIToolkitTrainer) -> None:
        assert "strict" not in trainer.probe().detail

    @pytest.mark.parametrize("version", ["0.12.27", "0.11.0"])
    def test_another_version_is_named(self, trainer: AIToolkitTrainer, toolkit: Path, version: str) -> None:
        (toolkit / "version.py").write_text(f'VERSION = "{version}"\n')
        status = trainer.probe()
        assert status.available
        assert status.version == version
        assert "0.12.26" in status.detail
        assert version in status.detail
        assert "strict: false" in status.detail
