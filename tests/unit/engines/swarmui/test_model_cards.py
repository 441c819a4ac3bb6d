from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lorapod.engines.swarmui.model_cards import card, edited, subtype_of, view
from lorapod.errors import InvalidInput, Unsupported
from lorapod.models.kinds import ModelKind

TOLD: dict[str, Any] = {
    "name": "people/cat.v1.safetensors",
    "title": "Cat",
    "author": "me",
    "description": "A cat.",
    "preview_image": "data:image/jpeg;base64,AAAA",
    "architecture": "stable-diffusion-xl-v1-base/lora",
    "class": "Stable Diffusion XL 1.0-Base LoRA",
    "standard_width": 1024,
    "standard_height": 1024,
    "license": "",
    "date": "2026",
    "prediction_type": None,
    "usage_hint": None,
    "trigger_phrase": "sks cat; sitting",
    "tags": ["animal", "pet"],
    "is_negative_embedding": False,
    "lora_default_weight": "0.8",
    "lora_default_confinement": "",
    "local": True,
    "time_modified": 1_767_225_600_000,
    "hash": "0xabc",
}


def test_a_list_shows_it_in_the_workers_words() -> None:
    shown = view(TOLD, ModelKind.LORA)

    assert shown.model_dump(exclude_none=True) == {
        "name": "people/cat.v1",
        "kind": "lora",
        "format": "safetensors",
        "modified_at": datetime(2026, 1, 1, tzinfo=UTC),
        "base_model": "Stable Diffusion XL 1.0-Base LoRA",
        "trigger_words": ["sks cat", "sitting"],
        "title": "Cat",
        "tags": ["animal", "pet"],
    }


def test_a_model_that_tells_nothing_has_a_name() -> None:
    shown = view({"name": "x.ckpt", "time_modified": 0}, ModelKind.CHECKPOINT)

    assert shown.model_dump(exclude_none=True) == {"name": "x.ckpt", "kind": "checkpoint", "format": "ckpt"}


def test_its_card_has_all_but_the_picture() -> None:
    shown = card(TOLD, ModelKind.LORA)

    assert shown.description == "A cat."
    assert shown.architecture == "stable-diffusion-xl-v1-base/lora"
    assert shown.metadata is not None
    assert shown.metadata["hash"] == "0xabc"
    assert "preview_image" not in shown.metadata


def test_what_is_not_changed_is_written_as_it_is() -> None:
    assert edited(TOLD, {"title": "The cat"}) == {
        "title": "The cat",
        "author": "me",
        "description": "A cat.",
        "usage_hint": "",
        "date": "2026",
        "license": "",
        "trigger_phrase": "sks cat; sitting",
        "prediction_type": "",
        "tags": "animal,pet",
        "type": "",
        "standard_width": 0,
        "standard_height": 0,
        "lora_default_weight": "0.8",
        "lora_default_confinement": "",
        "is_negative_embedding": False,
    }


def test_every_field_can_be_changed_and_removed() -> None:
    changes = {
        "trigger_words": ["a", "b"],
        "tags": ["x"],
        "architecture": "sdxl",
        "standard_width": "512",
        "is_negative_embedding": True,
        "lora_default_weight": 1,
        "preview_image": "data:image/png;base64,BBBB",
        "author": None,
    }

    made = edited(TOLD, changes)

    assert made["trigger_phrase"] == "a; b"
    assert made["tags"] == "x"
    assert made["type"] == "sdxl"
    assert made["standard_width"] == 512
    assert made["is_negative_embedding"] is True
    assert made["lora_default_weight"] == "1"
    assert made["preview_image"] == "data:image/png;base64,BBBB"
    assert made["author"] == ""
    assert edited(TOLD, {"tags": None, "preview_image": None}) | {
        "tags": "",
        "preview_image": "clear",
    } == edited(TOLD, {"tags": [], "preview_image": ""})


@pytest.mark.parametrize("field", ["source", "base_model", "model", "subtype", "stepz"])
def test_fields_that_swarmui_does_not_keep_are_refused(field: str) -> None:
    with pytest.raises(Unsupported, match=f"keeps no field '{field}'"):
        edited(TOLD, {field: "x"})


def test_values_that_it_would_misread_are_refused() -> None:
    with pytest.raises(InvalidInput, match="tags"):
        edited(TOLD, {"tags": ["a, b"]})
    with pytest.raises(InvalidInput, match="standard_width"):
        edited(TOLD, {"standard_width": "wide"})


def test_kinds_have_swarmuis_names() -> None:
    assert subtype_of(ModelKind.LORA) == "LoRA"
    assert subtype_of(ModelKind.DIFFUSION_MODEL) == subtype_of(ModelKind.CHECKPOINT) == "Stable-Diffusion"
    assert subtype_of(ModelKind.UPSCALE) is None
