"""The form of worker-comfyui: how its inputs are known, and what its callers read."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import InvalidInput
from lorapod.wire.envelope import open_envelope, secrets_of
from lorapod.wire.generation import Delivery, GenerateRequest
from lorapod.wire.shapes.table import PROMPT, recognised
from lorapod.wire.shapes.worker_comfyui import COMFYUI_WORKFLOW
from lorapod.wire.validation import parse

KEY = "comfy-org-key-that-must-not-leak"
WORKFLOW = {"1": {"class_type": "SaveImage", "inputs": {}}}
SENT: dict[str, Any] = {"workflow": WORKFLOW, "comfy_org_api_key": KEY}
IMAGE = {"filename": "a_00001_.png", "type": "base64", "data": "YQ==", "path": "output/x/a_00001_.png"}


@pytest.mark.parametrize("form", ["object", "JSON text"])
def test_a_workflow_alone_is_a_generation_by_comfyui(form: str) -> None:
    event = {"id": "j", "input": json.dumps(SENT) if form == "JSON text" else SENT}

    call = open_envelope(event)

    assert call.shape is COMFYUI_WORKFLOW
    request = parse(GenerateRequest, call.request_fields())
    assert (request.engine, request.workflow) == ("comfyui", WORKFLOW)
    assert request.delivery is Delivery.BUCKET
    assert KEY not in repr(request)
    assert secrets_of(event) == {KEY}


def test_the_key_may_have_the_name_that_comfyui_gives_it() -> None:
    event = {"input": {"workflow": WORKFLOW, "api_key_comfy_org": KEY}}

    request = parse(GenerateRequest, open_envelope(event).request_fields())

    assert request.comfy_org_api_key is not None
    assert request.comfy_org_api_key.get_secret_value() == KEY
    assert secrets_of(event) == {KEY}
    assert COMFYUI_WORKFLOW.answer(event["input"], {"images": [IMAGE]}).keys() == {"images"}


@pytest.mark.parametrize("text", ['{"workflow": ', "[1]", "7", "workflow", "[" * 100_000])
def test_a_text_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="not the JSON of an object"):
        open_envelope({"input": text})


@pytest.mark.parametrize("empty", [None, [], ""])
def test_empty_fields_count_as_left_out(empty: Any) -> None:
    call = open_envelope({"input": {"workflow": WORKFLOW, "images": empty, "comfy_org_api_key": empty}})

    assert call.request_fields() == {"workflow": WORKFLOW, "return": "bucket", "engine": "comfyui"}


def test_its_callers_may_choose_how_results_come() -> None:
    fields = open_envelope(
        {"input": {"workflow": WORKFLOW, "return": "path", "job_id": "7"}}
    ).request_fields()

    assert (fields["return"], fields["job_id"]) == ("path", "7")
    kept = {"filename": "b.png", "type": "path", "path": "output/x/b.png"}
    assert COMFYUI_WORKFLOW.answer({**SENT, "return": "path"}, {"images": [kept]}) == {
        "images": [{"filename": "b.png", "type": "path", "data": "output/x/b.png"}]
    }


def test_with_a_prompt_it_is_a_generation_in_the_own_form() -> None:
    assert recognised({"workflow": WORKFLOW, "prompt": "a fox"}) is PROMPT
    assert recognised({"workflow": WORKFLOW, "action": "generate"}) is None


def test_an_image_is_answered_as_its_callers_read_it() -> None:
    assert COMFYUI_WORKFLOW.answer(SENT, {"process_id": "x", "images": [IMAGE], "warnings": []}) == {
        "images": [{"filename": "a_00001_.png", "type": "base64", "data": "YQ=="}]
    }


def test_an_image_in_a_bucket_is_an_s3_url() -> None:
    stored = {"filename": "a.png", "type": "url", "url": "https://store/a.png", "path": "output/x/a.png"}

    assert COMFYUI_WORKFLOW.answer(SENT, {"images": [stored]})["images"] == [
        {"filename": "a.png", "type": "s3_url", "data": "https://store/a.png"}
    ]


def test_videos_and_sound_are_not_lost() -> None:
    video = {**IMAGE, "filename": "a.mp4"}
    sound = {**IMAGE, "filename": "a.flac"}

    assert COMFYUI_WORKFLOW.answer(SENT, {"videos": [video], "other": [sound]}) == {
        "status": "success_no_images",
        "images": [],
        "videos": [{"filename": "a.mp4", "type": "base64", "data": "YQ=="}],
        "other": [{"filename": "a.flac", "type": "base64", "data": "YQ=="}],
    }


def test_a_video_that_comfyui_lists_as_an_image_stays_where_its_callers_look() -> None:
    shown = {**IMAGE, "filename": "a.webp", "listed_as": "images"}
    combined = {**IMAGE, "filename": "b.mp4", "listed_as": "gifs"}

    answer = COMFYUI_WORKFLOW.answer(SENT, {"images": [IMAGE], "videos": [shown, combined]})

    assert [file["filename"] for file in answer["images"]] == ["a_00001_.png", "a.webp"]
    assert [file["filename"] for file in answer["videos"]] == ["a.webp", "b.mp4"]
    assert "status" not in answer


def test_no_answer_is_too_large_because_a_video_is_in_it_twice() -> None:
    shown = {**IMAGE, "filename": "a.mp4", "data": "a" * 9_000_000, "listed_as": "images"}

    answer = COMFYUI_WORKFLOW.answer(SENT, {"videos": [shown]})

    assert [file["filename"] for file in answer["images"]] == ["a.mp4"]
    assert "videos" not in answer


@pytest.mark.parametrize("before", ["", "data:image/png;base64,", "image/png;base64,"])
def test_input_images_are_taken_as_that_worker_takes_them(before: str) -> None:
    image = {"name": "a.png", "image": f"{before}YQ==", "size": 7}

    fields = open_envelope({"input": {"workflow": WORKFLOW, "images": [image]}}).request_fields()

    (taken,) = parse(GenerateRequest, fields).images
    assert (taken.name, taken.image.rpartition(",")[2]) == ("a.png", "YQ==")


@pytest.mark.parametrize("images", ["a", [7], {"name": "a"}, [{"name": "a.png"}], [{"image": "YQ=="}]])
def test_input_images_of_another_form_are_refused(images: Any) -> None:
    call = open_envelope({"input": {"workflow": WORKFLOW, "images": images}})

    with pytest.raises(InvalidInput, match="images"):
        parse(GenerateRequest, call.request_fields())


def test_no_image_is_answered_as_that_worker_does() -> None:
    assert COMFYUI_WORKFLOW.answer(SENT, {"images": []}) == {"status": "success_no_images", "images": []}


def test_an_image_that_could_not_be_delivered_is_an_error_not_an_image() -> None:
    large = {"filename": "b.png", "type": "path", "path": "output/x/b.png"}

    answer = COMFYUI_WORKFLOW.answer(SENT, {"images": [IMAGE, large], "warnings": ["Too large."]})

    assert [image["filename"] for image in answer["images"]] == ["a_00001_.png"]
    assert [("b.png" in error, "output/x/b.png" in error) for error in answer["errors"]] == [(True, True)]
    assert answer["warnings"] == ["Too large."]


def test_an_upload_that_failed_is_an_error_beside_the_image_itself() -> None:
    problem = "a.png could not be uploaded: no."
    told = [f"{problem} Fetch it with `download_file`, by its `path`."]

    answer = COMFYUI_WORKFLOW.answer(SENT, {"images": [{**IMAGE, "error": problem}], "warnings": told})

    assert (len(answer["images"]), answer["errors"]) == (1, [problem])
    assert "warnings" not in answer


def test_if_nothing_can_be_delivered_the_job_fails_as_it_does_there() -> None:
    answer = COMFYUI_WORKFLOW.answer(
        SENT, {"images": [{"filename": "b.png", "type": "path", "path": "output/x/b.png"}]}
    )

    assert "images" not in answer
    assert "output/x/b.png" in answer["error"]
    assert len(answer["details"]) == 1


def test_an_ignored_field_is_named() -> None:
    answer = COMFYUI_WORKFLOW.answer({**SENT, "sede": 7}, {"images": [IMAGE]})

    assert "errors" not in answer
    assert ["'sede'" in warning for warning in answer["warnings"]] == [True]


def test_a_failure_is_one_text_and_texts() -> None:
    failure = {
        "error": "ckpt_name: 'a' is not there.",
        "code": "invalid_input",
        "hint": "Download it.",
        "details": [
            {"process_id": "generate_1", "status": "failed"},
            {"node": "4", "field": "workflow.4.ckpt_name", "error": "no such model"},
            {"node": "5", "error": "It broke."},
            {"error": "It is late."},
        ],
    }

    assert COMFYUI_WORKFLOW.answer(SENT, failure) == {
        "error": "ckpt_name: 'a' is not there. Download it.",
        "code": "invalid_input",
        "details": ["workflow.4.ckpt_name: no such model", "Node 5: It broke.", "It is late."],
        "process_id": "generate_1",
    }


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from("workflow images comfy_org_api_key api_key_comfy_org return job_id seed".split())
IMAGES = st.lists(st.fixed_dictionaries({"name": ODD, "image": ODD}), max_size=2)


@given(fields=st.dictionaries(NAMES, ODD, max_size=4), images=IMAGES | ODD)
def test_whatever_is_sent_ends_in_a_request_or_in_a_refusal(fields: dict[str, Any], images: Any) -> None:
    call = open_envelope({"input": {**fields, "workflow": fields.get("workflow"), "images": images}})

    assert call.shape is COMFYUI_WORKFLOW
    with suppress(InvalidInput):
        parse(GenerateRequest, call.request_fields())
    assert call.shaped({"images": [IMAGE]})["images"]
    assert call.shaped({"error": "No.", "code": "internal"})["error"] == "No."
