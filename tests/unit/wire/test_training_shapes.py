from __future__ import annotations

from typing import Any

import pytest

from lorapod.wire.envelope import open_envelope
from lorapod.wire.shapes.table import as_training, recognised
from lorapod.wire.shapes.training import FROM_SUPABASE, FROM_URLS

ZIP = {
    "internal_job_id": "12345",
    "config": "…",
    "dataset_urls": ["https://hartsy.com/dataset.zip"],
    "callback_base_url": "https://hartsy.com",
    "callback_token": "<temporary-auth-token>",
}
BUCKETS = {
    "config": "yaml_config_string",
    "dataset_config": {"bucket_name": "training-datasets", "folder_path": "my-dataset-folder"},
    "upload_config": {"bucket_name": "training-outputs", "folder_path": "training-session-123456"},
}


@pytest.mark.parametrize(("fields", "kind"), [(ZIP, "train_from_urls"), (BUCKETS, "train_from_supabase")])
def test_both_inputs_are_known_and_passed_on_as_they_are(fields: dict[str, Any], kind: str) -> None:
    call = open_envelope({"id": "1", "input": fields})
    assert (call.type, call.request_fields()) == (kind, fields)


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        *(({name: ZIP[name]}, FROM_URLS) for name in ZIP if name not in {"config", "callback_token"}),
        *(({name: BUCKETS[name]}, FROM_SUPABASE) for name in BUCKETS if name != "config"),
    ],
)
def test_one_field_of_its_own_is_enough(fields: dict[str, Any], shape: object) -> None:
    assert recognised(fields) is shape


def test_a_config_alone_is_no_training() -> None:
    assert recognised({"config": "…"}) is None
    assert recognised({"action": "train", "dataset_urls": []}) is None


def test_a_success_is_answered_as_it_is() -> None:
    answer = {"success": True, "session_id": "training_session_1"}
    assert FROM_URLS.answer(ZIP, answer) == answer


def test_a_failure_has_the_four_fields_of_those_handlers() -> None:
    error = {
        "error": "It broke.",
        "code": "internal",
        "hint": "Mend it.",
        "details": [{"session_id": "training_session_1", "process_id": "train_1", "job_id": "job-1"}],
    }
    told = {"success": False, "error": "It broke. Mend it.", "session_id": "training_session_1"}
    assert FROM_URLS.answer(ZIP, error) == {**told, "job_id": "12345"}
    assert FROM_SUPABASE.answer(BUCKETS, error) == {**told, "job_id": "job-1"}


@pytest.mark.parametrize(("sent", "told"), [(7, "7"), (None, None), ({"a": 1}, None), ("a", "a")])
def test_what_was_refused_has_no_session(sent: Any, told: str | None) -> None:
    answer = FROM_URLS.answer({"internal_job_id": sent}, {"error": "No.", "details": [{"field": "a"}]})
    assert answer == {"success": False, "error": "No.", "session_id": None, "job_id": told}


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (None, "train_from_urls"),
        ([], "train_from_urls"),
        ({"config": "…"}, "train_from_urls"),
        (BUCKETS, "train_from_supabase"),
        ({"type": "ping"}, "ping"),
        ({"action": "ping"}, "ping"),
    ],
)
def test_a_handler_that_only_trains_takes_everything_else_for_a_training(sent: Any, kind: str) -> None:
    assert open_envelope({"input": as_training(sent)}).type == kind
