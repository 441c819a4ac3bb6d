from __future__ import annotations

import json
from typing import Any

import pytest

from lorapod.actions.registry import ACTIONS
from lorapod.errors import ErrorCode, InvalidInput, WorkerError
from lorapod.wire.envelope import SECRET_FIELDS, error_answer, open_envelope, secrets_of

#: The tree itself; further down, an error may ask for more than its sentence.
ERRORS = [kind for kind in WorkerError.__subclasses__() if kind.__module__ == WorkerError.__module__]


def test_type_and_fields_are_taken_apart() -> None:
    call = open_envelope({"id": "job-1", "input": {"type": "logs", "process_id": "x"}})
    assert (call.job_id, call.type, dict(call.fields)) == ("job-1", "logs", {"process_id": "x"})


def test_action_is_accepted_for_type() -> None:
    call = open_envelope({"input": {"action": "ping"}})
    assert (call.type, dict(call.fields)) == ("ping", {})


def test_beside_a_type_an_action_is_a_field() -> None:
    call = open_envelope({"input": {"type": "schema", "action": "train"}})
    assert (call.type, dict(call.fields)) == ("schema", {"action": "train"})


def test_a_prompt_alone_asks_for_generate() -> None:
    call = open_envelope({"input": {"prompt": "a cat"}})
    assert (call.type, dict(call.fields)) == ("generate", {"prompt": "a cat"})


def test_the_callers_event_is_left_as_it_was() -> None:
    event = {"input": {"type": "ping", "more": 1}}
    open_envelope(event)
    assert event == {"input": {"type": "ping", "more": 1}}


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "ping",
        7,
        {},
        {"input": None},
        {"input": []},
        {"input": "ping"},
        {"input": {}},
        {"input": {"type": None}},
        {"input": {"type": 3}},
        {"input": {"type": ["ping"]}},
        {"input": {"action": {}}},
    ],
)
def test_another_form_is_refused_with_a_sentence(event: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_envelope(event)
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_is_a_string_with_a_code(kind: type[WorkerError]) -> None:
    answer = error_answer(kind())
    assert set(answer) == {"error", "code"}
    assert isinstance(answer["error"], str)
    assert ErrorCode(answer["code"]) is kind.code
    json.dumps(answer)


def test_a_callers_line_ends_stay_inside_the_sentence() -> None:
    answer = error_answer(InvalidInput("No file a\nb\x7f\ud800\u2028c.", hint="Not\tthis."))
    assert answer["error"] == r"No file a\nb\x7f\ud800\u2028c."
    assert answer["hint"] == r"Not\tthis."


def test_names_in_any_script_stay_as_they_are() -> None:
    message = "Kein Bild „süß\u00a0“, 日本\u3000語, 👩‍🎨, C:\\x 'y'."
    assert error_answer(InvalidInput(message))["error"] == message


def test_hint_and_details_go_with_an_error_that_has_them() -> None:
    answer = error_answer(InvalidInput("No.", hint="Yes.", details=[{"field": "a", "error": "b"}]))
    assert answer == {
        "error": "No.",
        "code": "invalid_input",
        "hint": "Yes.",
        "details": [{"field": "a", "error": "b"}],
    }


def test_every_code_has_one_error() -> None:
    assert sorted(kind.code for kind in ERRORS) == sorted(ErrorCode)


def test_a_jobs_own_bucket_stands_beside_its_input() -> None:
    event = {"input": {"type": "ping"}, "s3Config": {"accessId": "id", "accessSecret": "planted"}}
    call = open_envelope(event)
    assert call.s3_config == event["s3Config"]
    assert "planted" not in repr(call)
    assert secrets_of(event) == {"planted"}
    assert open_envelope({"input": {"type": "ping"}, "s3Config": {}}).s3_config is None


def test_secrets_of_an_input_are_known_by_the_names_of_their_fields() -> None:
    event = {
        "input": {
            "type": "train",
            "callback_token": "planted-1",
            "payload": {"comfy_org_api_key": "planted-2", "prompt": "a cat"},
        },
        "s3Config": {"accessSecret": "planted-3"},
    }
    assert secrets_of(event) == {"planted-1", "planted-2", "planted-3"}


def test_every_secret_field_of_a_request_is_known() -> None:
    fields = {
        name
        for action in ACTIONS.values()
        for name, field in action.request.model_fields.items()
        if "SecretStr" in str(field.annotation)
    }
    assert fields
    assert fields == SECRET_FIELDS


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"s3Config": None},
        {"s3Config": {"accessSecret": 5}},
        {"input": 5},
        {"input": {"callback_token": None, "payload": [1]}},
    ],
)
def test_an_event_without_secrets(event: object) -> None:
    assert secrets_of(event) == frozenset()


def test_a_bucket_of_another_form_is_refused() -> None:
    with pytest.raises(InvalidInput, match="s3Config"):
        open_envelope({"input": {"type": "ping"}, "s3Config": ["mine"]})
