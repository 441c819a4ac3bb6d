from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import InvalidInput
from lorapod.wire.envelope import Call, open_envelope
from lorapod.wire.shapes.swarmui import SWARM_SHAPES


def opened(**fields: Any) -> Call:
    return open_envelope({"input": fields})


def test_a_generation_has_its_fields_under_the_workers_names() -> None:
    call = opened(
        action="generate_image",
        payload={
            "prompt": "a cat",
            "negativeprompt": "a dog",
            "model": "OfficialStableDiffusion/sd_xl_base_1.0",
            "images": 2,
            "width": 512,
            "height": 768,
            "steps": 20,
            "cfg_scale": 6.5,
            "seed": -1,
            "sampler": "euler",
            "initimage": "data:image/png;base64,AAAA",
            "initimagecreativity": 0.5,
            "scheduler": None,
        },
    )

    assert call.type == "generate"
    assert call.request_fields() == {
        "engine": "swarmui",
        "wait": True,
        "prompt": "a cat",
        "negative_prompt": "a dog",
        "model": "OfficialStableDiffusion/sd_xl_base_1.0",
        "num_images": 2,
        "width": 512,
        "height": 768,
        "steps": 20,
        "guidance_scale": 6.5,
        "seed": -1,
        "image": "data:image/png;base64,AAAA",
        "strength": 0.5,
        "params": {"sampler": "euler"},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "generate", "prompt": "a cat", "images": 3, "sampler": "euler"},
        {"action": "generate", "payload": {"prompt": "a cat", "images": 3, "sampler": "euler"}},
        {"action": "generate", "images": 3, "raw_input": {"prompt": "a cat", "sampler": "euler"}},
        {"action": "generate", "rawInput": {"prompt": "a cat", "images": 3, "sampler": "euler"}},
        {"action": "generate_image", "prompt": "a cat", "images": 3, "sampler": "euler", "session_id": "x"},
    ],
)
def test_the_fields_may_stand_in_several_places(fields: dict[str, Any]) -> None:
    assert opened(**fields).request_fields() == {
        "engine": "swarmui",
        "wait": True,
        "prompt": "a cat",
        "num_images": 3,
        "params": {"sampler": "euler"},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "generate", "prompt": "a cat", "steps": 4},
        {"action": "generate", "workflow": {}, "images": [{"name": "a.png", "image": "QUJD"}]},
        {"action": "list_models", "kind": "lora"},
        {"action": "describe_model", "model": "cat"},
        {"action": "edit_model", "model": "cat", "title": "Cat"},
        {"action": "keep_alive", "duration_s": 5},
        {"type": "keep_alive", "duration": 5},
        {"action": ["generate_image"]},
    ],
)
def test_an_action_in_the_workers_own_form_stays_one(fields: dict[str, Any]) -> None:
    try:
        shape = opened(**fields).shape
    except InvalidInput:
        shape = None
    assert shape is None


def test_models_are_listed_by_kind_folder_and_depth() -> None:
    call = opened(action="list_models", path="people", depth=1, subtype="LoRA", sort_reverse=True)
    models = [{"name": name} for name in ("dog", "people/a", "people/b", "people/far/c", "peoples")]

    told = call.shaped({"models": models})

    assert call.request_fields() == {"engine": "swarmui", "kind": "lora", "limit": 2000}
    assert told == {
        "success": True,
        "models": [{"name": "people/b"}, {"name": "people/a"}],
        "folders": ["far"],
    }


def test_without_a_subtype_checkpoints_are_meant() -> None:
    assert opened(action="list_models", payload={}).request_fields()["kind"] == "checkpoint"
    with pytest.raises(InvalidInput, match="'Wildcards' is not a kind"):
        opened(action="list_models", subtype="Wildcards").request_fields()


def test_a_model_is_described() -> None:
    call = opened(action="describe_model", payload={"model_name": "cat", "subtype": "VAE"})

    assert call.request_fields() == {"engine": "swarmui", "kind": "vae", "model": "cat", "sha256": False}
    with pytest.raises(InvalidInput, match="model_name"):
        opened(action="describe_model", subtype="VAE").request_fields()


def test_a_model_is_fetched() -> None:
    call = opened(action="download_model", url="https://x/y.safetensors", model_name="y", model_type="LoRA")

    assert call.type == "download_model"
    assert call.request_fields() == {
        "engine": "swarmui",
        "kind": "lora",
        "name": "y",
        "source": "https://x/y.safetensors",
    }
    described = opened(
        action="download_model", payload={"url": "u", "model_name": "y", "metadata": '{"a": 1}'}
    )
    assert described.request_fields()["metadata"] == {"a": 1}
    with pytest.raises(InvalidInput, match="metadata"):
        opened(action="download_model", url="u", model_name="y", metadata="{").request_fields()


def test_a_model_is_edited() -> None:
    metadata = {
        "title": "Cat",
        "author": "",
        "type": "sdxl/lora",
        "description": "A cat.",
        "standard_width": 1024,
        "standard_height": 1024,
        "usage_hint": "x",
        "date": "2026",
        "license": "MIT",
        "trigger_phrase": "sks; cat",
        "prediction_type": "",
        "tags": "a, b",
    }
    call = opened(action="edit_model_metadata", model_name="cat", subtype="LoRA", metadata=metadata)

    assert call.type == "edit_model"
    assert call.request_fields() == {
        "engine": "swarmui",
        "kind": "lora",
        "model": "cat",
        "title": "Cat",
        "author": None,
        "description": "A cat.",
        "usage_hint": "x",
        "license": "MIT",
        "tags": ["a", "b"],
        "trigger_words": ["sks; cat"],
        "params": {
            "architecture": "sdxl/lora",
            "standard_width": 1024,
            "standard_height": 1024,
            "date": "2026",
            "prediction_type": "",
        },
    }


def test_changes_may_stand_beside_the_model() -> None:
    call = opened(action="edit_model", payload={"model_name": "cat", "subtype": "LoRA", "title": "Cat"})

    assert call.request_fields() == {
        "engine": "swarmui",
        "kind": "lora",
        "model": "cat",
        "title": "Cat",
        "params": {},
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"duration": 300, "interval": 20}, {"duration_s": 300, "interval_s": 20}),
        ({"duration_seconds": 300, "interval_seconds": 20}, {"duration_s": 300, "interval_s": 20}),
        ({"payload": {"duration": 300}}, {"duration_s": 300}),
        ({"payload": {}}, {"duration_s": 60.0}),
    ],
)
def test_a_worker_is_kept_alive(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert opened(action="keep_alive", **fields).request_fields() == expected


def test_how_it_was_kept_alive_is_told() -> None:
    call = opened(action="keep_alive", duration=5)
    engines = [{"name": "swarmui", "pings": 3}, {"name": "other", "pings": 1}]
    answer = {"worker_id": "w", "kept_alive_s": 5.0, "processes": {}, "engines": engines}

    assert call.shaped(answer) == {**answer, "success": True, "pings": 3, "duration": 5.0}
    engines[0]["last_error"] = "It is away."
    assert call.shaped(answer)["success"] is False
    assert call.shaped(answer)["last_error"] == "It is away."


@pytest.mark.parametrize("shape", SWARM_SHAPES, ids=lambda shape: shape.name)
def test_a_failure_is_told_in_each(shape: Any) -> None:
    answer = {"error": "No.", "code": "not_found"}

    assert shape.answer({"action": "x", "payload": "odd"}, answer) == {"success": False, **answer}


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "generate_image", "payload": "a cat"},
        {"action": "generate", "raw_input": "a cat"},
        {"action": "generate", "prompt": "a cat", "install_only": True},
        {"action": "generate_image", "payload": {"install_only": True}},
        {"action": "edit_model_metadata", "model_name": "x", "metadata": "Cat"},
        {"action": "describe_model", "model_name": 7},
    ],
)
def test_what_makes_no_request_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        opened(**fields).request_fields()


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    "payload path depth subtype model_name metadata images raw_input duration interval sort_reverse".split()
)


@given(
    action=st.sampled_from(
        [
            "generate",
            "generate_image",
            "list_models",
            "describe_model",
            "download_model",
            "edit_model",
            "keep_alive",
        ]
    ),
    fields=st.dictionaries(NAMES, ODD, max_size=5),
)
def test_whatever_stands_in_them_ends_in_fields_or_in_a_refusal(action: str, fields: dict[str, Any]) -> None:
    sent = {"action": action, **fields}
    for shape in SWARM_SHAPES:
        if shape.recognise(sent):
            try:
                shape.fields(sent)
            except InvalidInput:
                continue
            answer = {
                "models": [{"name": "a/b"}],
                "engines": [],
                "kept_alive_s": 1.0,
                "images": [],
                "seed": 1,
            }
            shape.answer(sent, answer)
