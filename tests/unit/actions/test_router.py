from __future__ import annotations

import errno
from typing import Any

import pytest
from tests.unit.actions.desk import Desk

from lorapod.actions import ping
from lorapod.actions.action import Action
from lorapod.actions.registry import ACTIONS
from lorapod.errors import Conflict
from lorapod.processes.store.port import StateStoreRefused, StateStoreUnavailable
from lorapod.wire import envelope
from lorapod.wire.shapes.shape import Shape
from lorapod.wire.shapes.table import recognised


def test_an_action_answers_under_type_and_under_action(desk: Desk) -> None:
    expected = {"pong": True, "worker_id": "pod-test"}
    assert desk.ask(type="ping") == expected
    assert desk.ask(action="ping") == expected


def test_an_unknown_type_is_answered_with_the_list_and_the_nearest(desk: Desk) -> None:
    answer = desk.ask(type="trian")
    assert answer["code"] == "unknown_type"
    assert "did you mean 'train'?" in answer["error"]
    assert all(name in answer["hint"] for name in ACTIONS)


def test_a_type_of_any_length_stays_short_in_the_answer(desk: Desk) -> None:
    answer = desk.ask(type="x" * 100_000)
    assert answer["code"] == "unknown_type"
    assert len(answer["error"]) < 200


def test_a_prompt_alone_is_generate(desk: Desk) -> None:
    assert desk.ask(prompt="a cat")["process_id"].startswith("generate_")


def test_no_type_is_invalid(desk: Desk) -> None:
    assert desk.ask(process_id="x")["code"] == "invalid_input"


def test_an_unknown_field_is_refused_with_the_nearest(desk: Desk) -> None:
    answer = desk.ask(type="train", preset="sd15", stesp=10)
    assert answer["code"] == "invalid_input"
    assert {"field": "stesp", "error": "unknown field, did you mean 'steps'?"} in answer["details"]


@pytest.mark.parametrize("event", [None, [], "ping", 3, {}, {"input": None}, {"input": "ping"}])
def test_an_event_of_another_form_is_invalid(desk: Desk, event: Any) -> None:
    answer = desk.send(event)
    assert answer["code"] == "invalid_input"
    assert isinstance(answer["error"], str)


def test_schema_tells_of_every_action_or_of_one(desk: Desk) -> None:
    everything = desk.ask(type="schema")
    assert set(everything["actions"]) == set(ACTIONS)
    one = desk.ask(type="schema", action="train")
    assert one["actions"] == {"train": everything["actions"]["train"]}
    assert one["error_answer"]["required"] == ["error", "code"]
    assert desk.ask(type="schema", action="trian")["error"].endswith("did you mean 'train'?")


@pytest.mark.parametrize("name", sorted(ACTIONS))
def test_no_success_looks_like_a_failure_to_the_sdk(name: str) -> None:
    """The RunPod SDK takes `error` and `refresh_worker` out of an answer."""
    assert {"error", "refresh_worker"}.isdisjoint(ACTIONS[name].result.model_fields)


def test_health_answers_on_this_machine(desk: Desk) -> None:
    answer = desk.ask(type="health")
    assert {check["name"]: check["ok"] for check in answer["checks"]}["workspace"] is True
    assert answer["disk"]["total_bytes"] > 0


def _logged(raised: Exception, code: str) -> Any:
    return pytest.param(raised, code, marks=pytest.mark.expects_errors(repr(raised)))


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (Conflict("Busy."), "conflict"),
        _logged(OSError(errno.ENOSPC, "No space left on device"), "insufficient_storage"),
        _logged(OSError(errno.EIO, "Input/output error"), "internal"),
        _logged(StateStoreUnavailable("the traceback's own address"), "upstream_error"),
        _logged(StateStoreRefused("the traceback's own reason"), "upstream_error"),
        _logged(ValueError("the traceback's own words"), "internal"),
    ],
)
def test_what_an_action_raises_becomes_a_sentence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, raised: Exception, code: str
) -> None:
    async def fail(_request: ping.PingRequest) -> ping.PingResult:
        raise raised

    broken = Action(type="ping", summary="Fails.", request=ping.PingRequest, result=ping.PingResult, run=fail)
    desk.use(monkeypatch, {"ping": broken})
    answer = desk.ask(type="ping")
    assert answer["code"] == code
    assert "traceback" not in answer["error"]


def test_an_input_without_a_type_is_answered_in_its_own_shape(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    knock = Shape(
        name="A knock",
        summary="`knock`: a ping.",
        type="ping",
        recognise=lambda fields: "knock" in fields,
        fields=lambda sent: {} if sent["knock"] else {"unknown": 1},
        answer=lambda sent, answer: {"knock": sent["knock"], "told": answer.get("code", "come in")},
    )
    monkeypatch.setattr(envelope, "recognised", lambda fields: recognised(fields, (knock,)))
    assert desk.ask(knock=True) == {"knock": True, "told": "come in"}
    assert desk.ask(knock=False) == {"knock": False, "told": "invalid_input"}
