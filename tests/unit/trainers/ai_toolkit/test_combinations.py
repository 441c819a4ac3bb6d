from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lorapod.trainers.port import TrainingPlan
from lorapod.workspace import Workspace

Prepare = Callable[..., TrainingPlan]
Refused = Callable[..., dict[str, str]]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (
            {"train.diff_output_preservation": True, "train.blank_prompt_preservation": True},
            "train.blank_prompt_preservation",
        ),
        ({"train.diff_output_preservation": True, "trigger_word": None}, "trigger_word"),
        ({"train.diff_output_preservation": True, "network": None}, "network"),
        ({"train.blank_prompt_preservation": True, "network": None}, "network"),
        (
            {"train.diff_output_preservation": True, "train.train_text_encoder": True},
            "train.train_text_encoder",
        ),
        (
            {"train.bypass_guidance_embedding": True, "train.do_guidance_loss": True},
            "train.do_guidance_loss",
        ),
        ({"model.use_flux_cfg": True, "train.do_guidance_loss": True}, "train.do_guidance_loss"),
        (
            {"datasets": [{"cache_text_embeddings": True}, {"is_reg": True}]},
            "datasets[1].cache_text_embeddings",
        ),
        ({"train.unload_text_encoder": True, "train.train_text_encoder": True}, "train.train_text_encoder"),
        ({"train.cache_text_embeddings": True, "train.train_text_encoder": True}, "train.train_text_encoder"),
        (
            {"model.arch": "qwen_image_edit", "train.unload_text_encoder": True}
            | {"datasets.0.control_path": "training_data/cats"},
            "train.unload_text_encoder",
        ),
        (
            {"train.gradient_accumulation": 2, "train.gradient_accumulation_steps": 2},
            "train.gradient_accumulation_steps",
        ),
        (
            {"model.accuracy_recovery_adapter": "org/a/b.safetensors", "model.assistant_lora_path": "org/c"},
            "model.assistant_lora_path",
        ),
        (
            {"model.qtype": "uint3|org/a/b.safetensors", "model.assistant_lora_path": "org/c"},
            "model.assistant_lora_path",
        ),
        ({"model.arch": "sdxl", "model.attn_masking": True}, "model.attn_masking"),
        ({"model.arch": "sdxl", "network.type": "dora"}, "network.type"),
        ({"model.arch": "sdxl", "model.split_model_over_gpus": True}, "model.split_model_over_gpus"),
        ({"model.arch": "sdxl", "decorator": {"num_tokens": 4}}, "decorator"),
        ({"datasets.0.buckets": False, "datasets.0.batch_size": 2}, "datasets[0].batch_size"),
        (
            {"datasets.0.buckets": False, "datasets.0.control_path": "training_data/cats"},
            "datasets[0].buckets",
        ),
        (
            {"datasets.0.buckets": False, "datasets.0.num_frames": 9, "model.arch": "wan21"},
            "datasets[0].buckets",
        ),
        ({"datasets": [{"buckets": False}, {}]}, "datasets[0].buckets"),
        ({"datasets.0.poi": "face"}, "datasets[0].poi"),
        ({"datasets.0.type": "slider"}, "datasets[0].type"),
        ({"train.lr_scheduler": "step"}, "train.lr_scheduler"),
        ({"train.min_denoising_steps": 900, "train.max_denoising_steps": 100}, "train.min_denoising_steps"),
        ({"datasets.0.num_repeats": 0}, "datasets[0].num_repeats"),
        ({"datasets.0.batch_size": 0}, "datasets[0].batch_size"),
        ({"datasets.0.num_frames": 0}, "datasets[0].num_frames"),
        ({"datasets.0.num_workers": -1}, "datasets[0].num_workers"),
        ({"datasets.0.caption_dropout_rate": 5}, "datasets[0].caption_dropout_rate"),
        ({"network.dropout": 1.5}, "network.dropout"),
        ({"train.ema_config": {"use_ema": True, "ema_decay": 99}}, "train.ema_config.ema_decay"),
        (
            {"train.validation_config": {"validate_every_n_steps": 0}},
            "train.validation_config.validate_every_n_steps",
        ),
    ],
)
def test_what_does_not_go_together(refused: Refused, changes: dict[str, Any], field: str) -> None:
    assert set(refused(changes)) == {field}


@pytest.mark.parametrize(
    "changes",
    [
        {"train.diff_output_preservation": True, "train.diff_output_preservation_class": "person"},
        {"train.diff_output_preservation": True, "trigger_word": None, "datasets.0.trigger_word": "ohwx"},
        {"train.cache_text_embeddings": True, "datasets": [{}, {"is_reg": True}]},
        {"datasets": [{"buckets": False}, {"buckets": True, "is_reg": True}]},
        {"datasets.0.buckets": False},
        {"datasets.0.batch_size": 2},
        {"model.arch": "flux", "model.attn_masking": True},
        {"model.arch": None, "model.is_flux": True, "model.attn_masking": True},
    ],
)
def test_what_goes_together(prepare: Prepare, changes: dict[str, Any]) -> None:
    assert prepare(changes).config


class TestModelFolders:
    def place(self, workspace: Workspace, pipeline: str) -> str:
        folder = workspace.models / "mine"
        folder.mkdir()
        (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
        return "models/mine"

    @pytest.mark.parametrize(
        ("pipeline", "arch", "meant"),
        [
            ("StableDiffusionXLPipeline", "flux", "sdxl"),
            ("StableDiffusionXLPipeline", None, "sdxl"),
            ("StableDiffusionPipeline", "sdxl", "sd1"),
            ("FluxPipeline", "sd1", "flux"),
            ("StableDiffusion3Pipeline", "sdxl", "sd3"),
            ("WanPipeline", "flux", "wan21"),
            ("QwenImagePipeline", "zimage", "qwen_image"),
        ],
    )
    def test_another_architecture(
        self, refused: Refused, workspace: Workspace, pipeline: str, arch: str | None, meant: str
    ) -> None:
        path = self.place(workspace, pipeline)
        told = refused({"model.name_or_path": path, "model.arch": arch})["model.arch"]
        assert pipeline in told
        assert meant in told

    @pytest.mark.parametrize(
        ("pipeline", "arch"),
        [
            ("StableDiffusionXLPipeline", "sdxl"),
            ("StableDiffusionPipeline", "sd15"),
            ("StableDiffusionPipeline", None),
            ("FluxPipeline", "flex1"),
            ("WanImageToVideoPipeline", "wan22_14b_i2v:x"),
            ("SomePipelineOfTomorrow", "flux"),
            (None, "flux"),
        ],
    )
    def test_the_same_or_an_unknown_one(
        self, prepare: Prepare, workspace: Workspace, pipeline: str, arch: str | None
    ) -> None:
        assert prepare({"model.name_or_path": self.place(workspace, pipeline), "model.arch": arch}).config

    def test_an_index_that_is_none(self, prepare: Prepare, workspace: Workspace) -> None:
        path = self.place(workspace, "x")
        (workspace.models / "mine" / "model_index.json").write_text("no json")
        assert prepare({"model.name_or_path": path}).config


@pytest.mark.parametrize(
    ("arch", "scheduler"), [("sd1", "flowmatch"), ("sdxl", "flowmatch"), ("flux", "ddpm"), ("wan21", "ddpm")]
)
def test_a_noise_scheduler_that_the_model_was_not_made_for(
    prepare: Prepare, arch: str, scheduler: str
) -> None:
    (warning,) = prepare({"model.arch": arch, "train.noise_scheduler": scheduler}).warnings
    assert "noise_scheduler" in warning


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a cat --w wide", "--w 'wide' is not a whole number"),
        ("a cat --cfg high", "--cfg 'high' is not a number"),
        ("a cat --seed 1.5", "--seed '1.5' is not a whole number"),
    ],
)
def test_flags_on_which_the_first_sample_would_fail(refused: Refused, prompt: str, words: str) -> None:
    assert words in refused({"sample.prompts": ["a dog", prompt]})["sample.prompts[1]"]


def test_flags_that_ai_toolkit_does_not_read(prepare: Prepare) -> None:
    plan = prepare(
        {"sample.prompts": ["a cat --ar 16:9", "a cat --sed 1", "a cat --w 512 --n a dog --m 0.5"]}
    )
    assert len(plan.warnings) == 2
    assert "--ar" in plan.warnings[0]
    assert "--seed" in plan.warnings[1]
