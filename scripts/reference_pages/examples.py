"""Examples for the reference: inputs if the required fields alone would not tell much, and an answer of each action."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "schema": {"action": "train"},
        "train": {
            "preset": "sdxl",
            "dataset": {"training_name": "my-cat"},
            "name": "my-cat-lora",
            "trigger_word": "ohwx cat",
            "steps": 1500,
            "learning_rate": 0.0001,
            "sample_prompts": ["ohwx cat on a sofa"],
        },
        "train_with_yaml": {
            "yaml_config": "job: extension\nconfig:\n  name: my-cat-lora\n  process:\n    - type: diffusion_trainer\n      …",
            "dataset": {"training_name": "my-cat"},
        },
        "train_from_urls": {
            "internal_job_id": "12345",
            "config": "job: extension\nconfig:\n  name: my-cat-lora\n  process:\n    - type: diffusion_trainer\n      …",
            "dataset_urls": ["https://example.com/cat.zip"],
            "callback_base_url": "https://example.com",
            "callback_token": "…",
        },
        "train_from_supabase": {
            "config": "job: extension\nconfig:\n  name: my-cat-lora\n  process:\n    - type: diffusion_trainer\n      …",
            "dataset_config": {"bucket_name": "training-datasets", "folder_path": "my-cat"},
            "upload_config": {"bucket_name": "training-outputs", "folder_path": "training-session-123456"},
        },
        "caption_dataset": {"training_name": "my-cat", "style": "natural", "trigger_word": "ohwx cat"},
        "compare": {
            "process_ids": ["train_0123456789ab"],
            "steps": "last:4",
            "prompts": ["ohwx cat on a sofa", "ohwx cat as an astronaut"],
            "weights": [0.8, 1.0],
        },
        "delete": {"process_id": "train_0123456789ab", "keep": "final", "dry_run": True},
        "process_status": {"process_id": "train_0123456789ab", "log_tail": 20},
        "processes": {"status": "running", "limit": 20},
        "generate": {
            "prompt": "ohwx cat on a sofa",
            "loras": [{"process_id": "train_0123456789ab", "weight": 0.8}],
            "num_images": 2,
            "seed": 42,
        },
        "dataset": {
            "training_name": "my-cat",
            "resolution": 1024,
            "trigger_word": "ohwx cat",
            "preset": "sdxl",
        },
        "edit_dataset": {
            "training_name": "my-cat",
            "operations": [{"op": "prepend", "text": "ohwx cat"}, {"op": "remove", "find": "watermark"}],
            "delete_names": ["blurred.jpg"],
        },
        "keep_alive": {"until_idle": True, "duration_s": 3600},
        "list_models": {"kind": "lora"},
        "describe_model": {"model": "models/loras/my-cat.safetensors"},
        "download_model": {
            "source": "hf://stabilityai/sdxl-turbo/sd_xl_turbo_1.0_fp16.safetensors",
            "kind": "checkpoint",
        },
        "edit_model": {
            "model": "my-cat",
            "title": "My cat",
            "trigger_words": ["ohwx cat"],
            "tags": ["animal"],
        },
        "publish_model": {
            "model": "models/loras/my-cat.safetensors",
            "huggingface": {"repo_id": "me/my-cat", "private": True},
        },
        "merge_loras": {
            "loras": [
                {"process_id": "train_0123456789ab", "weight": 0.8},
                {"path": "models/loras/watercolour.safetensors", "weight": 0.5},
            ],
            "method": "svd",
            "name": "cat-in-watercolour",
        },
        "resize_lora": {"process_id": "train_0123456789ab", "energy": 0.95, "name": "my-cat-small"},
        "convert_lora": {
            "path": "models/loras/my-cat.safetensors",
            "format": "comfyui",
            "name": "my-cat-comfyui",
        },
        "bulk_download": {"process_ids": ["train_0123456789ab"]},
        "logs": {"process_id": "train_0123456789ab", "offset": -4000},
        "metrics": {"process_id": "train_0123456789ab", "keys": ["loss/loss"], "stride": 10},
    }
)

#: An answer of each action, by its type.
ANSWERS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    json.loads((Path(__file__).parent / "answers.json").read_text("utf-8"))
)
