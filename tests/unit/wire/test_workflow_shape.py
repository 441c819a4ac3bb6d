from __future__ import annotations

from typing import Any

import pytest

from lorapod.wire.envelope import open_envelope
from lorapod.wire.generation import GenerateRequest
from lorapod.wire.shapes.table import PROMPT, recognised
from lorapod.wire.shapes.workflow import PICTURE_TO_VIDEO
from lorapod.wire.validation import parse

WHOLE: dict[str, Any] = {
    "prompt": "a fox runs",
    "image": "aGVsbG8=",
    "width": 640,
    "height": 640,
    "length": 81,
    "comfyui_workflow_name": "mine",
    "comfy_org_api_key": "key-that-must-not-leak",
}


def test_the_whole_of_it_becomes_a_generation_on_comfyui() -> None:
    call = open_envelope({"input": WHOLE})

    assert call.shape is PICTURE_TO_VIDEO
    request = parse(GenerateRequest, call.request_fields())
    assert (request.engine, request.comfyui_workflow_name, request.length) == ("comfyui", "mine", 81)
    assert "must-not-leak" not in repr(request)


@pytest.mark.parametrize(
    "more", [{}, {"comfyui_workflow_name": None, "comfy_org_api_key": None, "length": None}]
)
def test_a_prompt_and_a_picture_are_enough(more: dict[str, Any]) -> None:
    call = open_envelope({"input": {"prompt": "a fox", "image": "aGVsbG8=", **more}})

    assert parse(GenerateRequest, call.request_fields()).comfyui_workflow_name == "video_wan2_2_14B_i2v"


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a fox"},
        {"prompt": "a fox", "image": "aGVsbG8=", "strength": 0.5},
        {"prompt": "a fox", "length": 81, "comfyui_workflow_name": "mine"},
    ],
)
def test_whatever_else_has_a_prompt_is_a_plain_generation(fields: dict[str, Any]) -> None:
    assert recognised(fields) is PROMPT


def test_the_answer_has_the_form_that_its_callers_know() -> None:
    answer = {
        "process_id": "generate_000000000001",
        "images": [{"filename": "a.png", "type": "base64", "data": "YQ==", "path": "output/a.png"}],
        "videos": [
            {"filename": "a.mp4", "type": "url", "url": "https://store/a.mp4", "path": "output/a.mp4"}
        ],
        "other": [],
        "warnings": [],
    }

    assert PICTURE_TO_VIDEO.answer(WHOLE, answer) == {
        "output": {
            "images": [{"filename": "a.png", "type": "base64", "data": "YQ=="}],
            "videos": [{"filename": "a.mp4", "type": "s3_url", "data": "https://store/a.mp4"}],
        }
    }


def test_sound_and_warnings_are_not_kept_from_them() -> None:
    answer = {
        "other": [{"filename": "a.flac", "type": "path", "path": "output/a.flac"}],
        "warnings": ["Too loud."],
    }

    assert PICTURE_TO_VIDEO.answer(WHOLE, answer)["output"] == {
        "images": [],
        "videos": [],
        "other": [{"filename": "a.flac", "type": "path", "data": "output/a.flac"}],
        "warnings": ["Too loud."],
    }


def test_an_error_stays_one() -> None:
    error = {"error": "No.", "code": "internal"}

    assert PICTURE_TO_VIDEO.answer(WHOLE, error) == error
