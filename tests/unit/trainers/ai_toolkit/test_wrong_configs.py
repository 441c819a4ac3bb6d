"""Sixty wrong configs, each with one mistake: each is refused before the start, with the right field.

The first ones are those on which the real AI Toolkit ended late, or trained something else without a word.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from PIL import Image
from tests.unit.trainers.ai_toolkit.conftest import CONFIG

from lorapod.errors import ErrorCode, WorkerError
from lorapod.trainers.port import TrainingPlan
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import parse_config

Prepare = Callable[..., TrainingPlan]


@dataclass(frozen=True)
class Wrong:
    """One wrong config."""

    name: str
    #: The field that the error must name, below the process.
    field: str
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Changes of the whole document, by its top-level key.
    document: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: What is replaced in the YAML text, before it is parsed.
    text: tuple[str, str] | None = None


T, F = True, False

TABLE = [
    Wrong("number of repeats as text", "datasets[0].num_repeats", {"datasets.0.num_repeats": "3"}),
    Wrong("no repeats", "datasets[0].num_repeats", {"datasets.0.num_repeats": 0}),
    Wrong("batch size of a dataset as text", "datasets[0].batch_size", {"datasets.0.batch_size": "2"}),
    Wrong("batch size of a dataset 0", "datasets[0].batch_size", {"datasets.0.batch_size": 0}),
    Wrong(
        "batch size without buckets",
        "datasets[0].batch_size",
        {"datasets.0.batch_size": 2, "datasets.0.buckets": F},
    ),
    Wrong("precision of the training", "train.dtype", {"train.dtype": "bf61"}),
    Wrong("precision of the weights", "save.dtype", {"save.dtype": "foo"}),
    Wrong("format of the weights", "save.save_format", {"save.save_format": "ckpt"}),
    Wrong("format of the samples", "sample.format", {"sample.format": "gif89"}),
    Wrong("trigger word true, as JSON", "trigger_word", {"trigger_word": T}),
    Wrong(
        "both preservations",
        "train.blank_prompt_preservation",
        {"train.diff_output_preservation": T, "train.blank_prompt_preservation": T},
    ),
    Wrong(
        "bypass with guidance loss",
        "train.do_guidance_loss",
        {"train.bypass_guidance_embedding": T, "train.do_guidance_loss": T},
    ),
    Wrong(
        "text cache on one of two datasets",
        "datasets[1].cache_text_embeddings",
        {"datasets": [{"cache_text_embeddings": T}, {"is_reg": T}]},
    ),
    Wrong("push without a token", "save.push_to_hub", {"save.push_to_hub": T, "save.hf_repo_id": "a/b"}),
    Wrong("SDXL folder trained as flux", "model.arch", {"model.name_or_path": "models/xl"}),
    Wrong("stepz", "train.stepz", {"train.stepz": 100}),
    Wrong("train.step", "train.step", {"train.step": 100}),
    Wrong("unknown loss", "train.loss_type", {"train.loss_type": "l3"}),
    Wrong("unknown timesteps", "train.timestep_type", {"train.timestep_type": "cubic"}),
    Wrong(
        "control images of other names",
        "datasets[0].control_path",
        {"datasets.0.control_path": "training_data/dogs", "model.arch": "flux_kontext"},
    ),
    Wrong("unknown architecture", "model.arch", {"model.arch": "fluxx"}),
    Wrong("missing dataset", "datasets[0].folder_path", {"datasets.0.folder_path": "training_data/none"}),
    Wrong("environment variable", "trigger_word", {"trigger_word": "${USER}"}),
    Wrong("unknown process type", "type", {"type": "lora_trainer"}),
    # Mistakes of names and places.
    Wrong("rate of other trainers", "train.learning_rate", {"train.learning_rate": 1e-4}),
    Wrong("steps beside train", "steps", {"steps": 100}),
    Wrong("rank in train", "train.rank", {"train.rank": 16}),
    Wrong("trigger in a dataset", "datasets[0].trigger", {"datasets.0.trigger": "ohwx"}),
    Wrong("resolution beside the datasets", "resolution", {"resolution": 512}),
    Wrong("dataset instead of datasets", "dataset", {"dataset": {"folder_path": "training_data/cats"}}),
    Wrong("typing error in ema", "train.ema_config.use_emma", {"train.ema_config": {"use_emma": T}}),
    Wrong("typing error in a sample", "sample.samples[0].promt", {"sample.samples": [{"promt": "a cat"}]}),
    Wrong("keys of kohya", "network.network_dim", {"network.network_dim": 16}),
    Wrong(
        "trigger word above the process", "config.trigger_word", document={"config": {"trigger_word": "x"}}
    ),
    # Values.
    Wrong("steps as text", "train.steps", {"train.steps": "2000"}),
    Wrong("no steps", "train.steps", {"train.steps": 0}),
    Wrong("rate that is none", "train.lr", {"train.lr": "high"}),
    Wrong("unknown optimizer", "train.optimizer", {"train.optimizer": "adamw16bit"}),
    Wrong("unknown schedule", "train.lr_scheduler", {"train.lr_scheduler": "polynomial"}),
    Wrong("schedule that cannot start", "train.lr_scheduler", {"train.lr_scheduler": "step"}),
    Wrong("unknown sampler", "sample.sampler", {"sample.sampler": "dpm++ 2m"}),
    Wrong("unknown noise scheduler", "train.noise_scheduler", {"train.noise_scheduler": "flow"}),
    Wrong("unknown quantization", "model.qtype", {"model.qtype": "int3"}),
    Wrong("unknown network", "network.type", {"network.type": "loha"}),
    Wrong("switch as text", "model.quantize", {"model.quantize": "false"}),
    Wrong("dropout beyond 1", "datasets[0].caption_dropout_rate", {"datasets.0.caption_dropout_rate": 5}),
    Wrong("resolution as text", "datasets[0].resolution", {"datasets.0.resolution": "512x512"}),
    Wrong("prompts that are one text", "sample.prompts", {"sample.prompts": "a cat"}),
    Wrong("prompt with a wrong flag", "sample.prompts[0]", {"sample.prompts": ["a cat --w wide"]}),
    # What does not go together.
    Wrong(
        "no trigger word to preserve",
        "trigger_word",
        {"train.diff_output_preservation": T, "trigger_word": None},
    ),
    Wrong(
        "two accumulations",
        "train.gradient_accumulation_steps",
        {"train.gradient_accumulation": 2, "train.gradient_accumulation_steps": 2},
    ),
    Wrong(
        "text encoder trained and unloaded",
        "train.train_text_encoder",
        {"train.train_text_encoder": T, "train.unload_text_encoder": T},
    ),
    Wrong(
        "clips without buckets",
        "datasets[0].buckets",
        {"datasets.0.buckets": F, "datasets.0.mask_path": "training_data/cats"},
    ),
    # Paths.
    Wrong("path outside", "datasets[0].mask_path", {"datasets.0.mask_path": "/etc"}),
    Wrong("model that is nowhere", "model.name_or_path", {"model.name_or_path": "models/none"}),
    # Jobs and text.
    Wrong("a job that makes images", "job", document={"job": "generate"}),
    Wrong("Windows path in double quotes", "config", text=("/path/to/images", '"C:\\Users\\me"')),
    Wrong("typographic quotes", "config", text=("my lora", "\u201cmy lora\u201d")),
    Wrong("no name of a model", "model.name_or_path", {"model.name_or_path": ""}),
    Wrong("a model of spaces", "model.name_or_path", {"model.name_or_path": "  "}),
    Wrong("nothing but regularisation", "datasets[0].is_reg", {"datasets.0.is_reg": T}),
    Wrong("learning rate twice", "train.optimizer_params.lr", {"train.optimizer_params": {"lr": 1e-4}}),
    Wrong(
        "eps that is passed twice", "train.optimizer_params.eps", {"train.optimizer_params": {"eps": 1e-8}}
    ),
    Wrong("tab", "config", text=("  name:", "\tname:")),
    Wrong("open quote", "config", text=("my lora", '"my lora')),
    Wrong("unquoted trigger in a prompt", "config", text=("a [trigger]", "[trigger] in a field")),
]


@pytest.fixture
def tree(workspace: Workspace) -> None:
    """Datasets and a model for the entries of the table that need some."""
    for name, file in (("cats", "1.png"), ("dogs", "other.png")):
        (workspace.training_data / name).mkdir(exist_ok=True)
        Image.new("RGB", (64, 64)).save(workspace.training_data / name / file)
    (workspace.training_data / "cats" / "1.txt").write_text("a cat")
    (workspace.models / "xl").mkdir()
    index = {"_class_name": "StableDiffusionXLPipeline"}
    (workspace.models / "xl" / "model_index.json").write_text(json.dumps(index))


def refusal(prepare: Prepare, wrong: Wrong) -> WorkerError | None:
    """Return the error of one wrong config, None if it is accepted."""
    sent = copy.deepcopy(CONFIG)
    for key, value in wrong.document.items():
        sent[key] = {**sent[key], **value} if isinstance(value, dict) else value
    try:
        if wrong.text is not None:
            text = yaml.safe_dump(sent, sort_keys=False)
            assert wrong.text[0] in text
            sent = parse_config(text.replace(*wrong.text))
        own = any(key in wrong.changes for key in ("datasets.0.folder_path",))
        prepare(wrong.changes, config=sent, dataset=None if own else "cats")
    except WorkerError as error:
        return error
    return None


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("wrong", TABLE, ids=lambda wrong: wrong.name)
def test_it_is_refused_with_the_right_field(prepare: Prepare, wrong: Wrong) -> None:
    error = refusal(prepare, wrong)
    assert error is not None
    assert error.code is not ErrorCode.INTERNAL
    fields = [detail["field"].removeprefix("config.process[0].") for detail in error.details]
    assert fields == [wrong.field]


def test_the_table_has_sixty() -> None:
    assert len(TABLE) >= 60
    assert len({wrong.name for wrong in TABLE}) == len(TABLE)
