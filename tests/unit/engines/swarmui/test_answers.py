from __future__ import annotations

import pytest

from lorapod.engines.swarmui.answers import SessionUnknown, SwarmInterrupted, read_answer, told
from lorapod.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OutOfMemory,
    Unsupported,
    UpstreamError,
    WorkerError,
    WorkerTimeout,
)


def test_an_answer_without_error_is_read() -> None:
    assert read_answer("ListModels", 200, b'{"files": [], "error": null}') == {"files": [], "error": None}


def test_a_session_that_is_not_known_is_told_from_every_error() -> None:
    body = b'{"error": "Invalid session ID. You may need to refresh the page.", "error_id": "invalid_session_id"}'

    with pytest.raises(SessionUnknown):
        read_answer("ListModels", 401, body)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff", b'"text"', b"null"])
def test_what_is_no_json_object_is_no_answer(body: bytes) -> None:
    with pytest.raises(UpstreamError, match="not a JSON object"):
        read_answer("ListModels", 200, body)


def test_a_failure_without_a_sentence_is_a_failure() -> None:
    with pytest.raises(UpstreamError, match="answers 418 to ListModels"):
        read_answer("ListModels", 418, b"{}")
    with pytest.raises(UpstreamError, match="internal error in ListModels"):
        read_answer(
            "ListModels", 400, b'{"error_id": "internal_error", "error": "An internal error occurred"}'
        )
    with pytest.raises(UpstreamError, match="bad_permissions"):
        read_answer("ListModels", 400, b'{"error_id": "bad_permissions"}')


def test_a_route_that_it_has_not_is_told() -> None:
    with pytest.raises(Unsupported, match="no route GenerateText2ImageWS"):
        read_answer("GenerateText2ImageWS", 400, b'{"error_id": "bad_route", "error": "Unknown API route"}')


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("No model input given. Did your UI load properly?", InvalidInput),
        ("No backends available!", UpstreamError),
        ("No backends match the settings of the request given! Backends refused …", InvalidInput),
        ("Timeout! All backends are occupied with other tasks.", WorkerTimeout),
        ("Model not found.", NotFound),
        ("LoRA Model 'x' not found in the model set.", NotFound),
        ("Invalid model value for param Model - 'x' - are you sure that model name is correct?", NotFound),
        ("Invalid value for parameter Steps: Invalid integer value for param Steps - 'x'", InvalidInput),
        ("Missing required parameter 'images'", InvalidInput),
        ("Invalid sub-type.", InvalidInput),
        ("Invalid URL.", InvalidInput),
        ("Model at that save path already exists.", Conflict),
        ("ComfyUI execution error: CUDA out of memory. Tried to allocate 20 MiB", OutOfMemory),
        ("Generation session interrupted.", SwarmInterrupted),
        ("Something went wrong while generating images.", UpstreamError),
    ],
)
def test_its_sentences_become_errors_with_a_code(text: str, kind: type[WorkerError]) -> None:
    error = told(text)

    assert type(error) is kind
    assert text in error.message


def test_a_long_sentence_is_cut() -> None:
    assert len(told("x" * 10_000).message) < 500
