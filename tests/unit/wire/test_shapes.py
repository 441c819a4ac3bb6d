from __future__ import annotations

from typing import Any

import pytest

from lorapod.errors import InvalidInput
from lorapod.wire import envelope
from lorapod.wire.envelope import Call, open_envelope
from lorapod.wire.shapes.shape import Fields, Shape
from lorapod.wire.shapes.table import PROMPT, SHAPES, recognised


def _wrapped(fields: Fields) -> Fields:
    if not isinstance(fields["letter"], str):
        raise InvalidInput("letter: is not a text.")
    return {"text": fields["letter"]}


LETTER = Shape(
    name="A letter",
    summary="`letter`: a ping.",
    type="ping",
    recognise=lambda fields: "letter" in fields,
    fields=_wrapped,
    answer=lambda sent, answer: {"to": sent["letter"], "said": answer},
)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "recognised", lambda fields: recognised(fields, (LETTER, PROMPT)))


@pytest.mark.usefixtures("letters")
def test_an_input_is_known_by_its_fields() -> None:
    call = open_envelope({"id": "job-1", "input": {"letter": "a", "prompt": "b"}})
    assert (call.type, call.shape) == ("ping", LETTER)
    assert call.request_fields() == {"text": "a"}
    assert call.shaped({"pong": True}) == {"to": "a", "said": {"pong": True}}


@pytest.mark.usefixtures("letters")
def test_what_does_not_make_a_request_is_told_in_the_shape_too() -> None:
    call = open_envelope({"input": {"letter": 7}})
    with pytest.raises(InvalidInput):
        call.request_fields()
    assert call.shaped({"error": "No."}) == {"to": 7, "said": {"error": "No."}}


@pytest.mark.usefixtures("letters")
def test_a_type_counts_more_than_any_shape() -> None:
    call = open_envelope({"input": {"type": "logs", "letter": "a"}})
    assert (call.type, call.shape, dict(call.fields)) == ("logs", None, {"letter": "a"})


@pytest.mark.usefixtures("letters")
def test_a_shape_may_be_known_beside_an_action() -> None:
    assert open_envelope({"input": {"action": "anything", "letter": "a"}}).shape is LETTER


def test_an_action_with_a_prompt_is_that_action() -> None:
    call = open_envelope({"input": {"action": "ping", "prompt": "a cat"}})
    assert (call.type, call.shape) == ("ping", None)


def test_without_a_shape_fields_and_answer_are_as_they_are() -> None:
    call = Call(job_id="", type="ping", fields={"a": 1})
    assert (call.request_fields(), call.shaped({"b": 2})) == ({"a": 1}, {"b": 2})


@pytest.mark.parametrize("fields", [{}, {"anything": 1}, {"config": "x"}, {"action": "ping"}])
def test_other_inputs_are_of_no_shape(fields: dict[str, Any]) -> None:
    assert recognised(fields) is None


def test_every_shape_has_a_name_of_its_own() -> None:
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
