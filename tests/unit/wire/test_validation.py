from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from lorapod.errors import InvalidInput
from lorapod.wire.generation import GenerateRequest
from lorapod.wire.model import Request, WireModel
from lorapod.wire.validation import nearest, parse


class Inner(WireModel):
    folder_path: str


class Outer(Request):
    steps: int = Field(default=1, ge=1)
    name: str
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()


def refused(fields: dict[str, object]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse(Outer, fields)
    return caught.value


def test_a_request_that_fits_is_read() -> None:
    assert parse(Outer, {"name": "a", "steps": 3}) == Outer(name="a", steps=3)


def test_a_typo_is_answered_with_the_nearest_name() -> None:
    assert refused({"name": "a", "stesp": 3}).message == "stesp: unknown field, did you mean 'steps'?"


def test_a_typo_in_a_nested_object_is_answered_with_its_own_names() -> None:
    error = refused({"name": "a", "inner": {"folder_paht": "x", "folder_path": "x"}})
    assert error.details == (
        {"field": "inner.folder_paht", "error": "unknown field, did you mean 'folder_path'?"},
    )


def test_what_is_not_an_object_is_told_in_the_words_of_json() -> None:
    error = refused({"name": "a", "inner": "x", "inners": [None]})
    assert error.message == "inner: must be an object; inners.0: must be an object."


class Choice(Request):
    size: Annotated[int, Field(multiple_of=8)] | list[Annotated[int, Field(multiple_of=8)]] = 8
    config: str | dict[str, str] = ""


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"size": 9}, ({"field": "size", "error": "must be a multiple of 8, or must be a valid list"},)),
        ({"size": [8, 9]}, ({"field": "size.1", "error": "must be a multiple of 8"},)),
        ({"config": 5}, ({"field": "config", "error": "must be a valid string, or must be an object"},)),
        ({"config": {"dict": 5}}, ({"field": "config.dict", "error": "must be a valid string"},)),
    ],
)
def test_a_field_of_several_types_is_named_without_them(fields: dict[str, object], details: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse(Choice, fields)
    assert caught.value.details == details


def test_a_name_like_none_is_said_to_be_unknown() -> None:
    assert refused({"name": "a", "zzzz": 3}).message == "zzzz: unknown field."


def test_every_problem_is_a_detail_and_the_first_three_are_said() -> None:
    error = refused({"steps": 0, "a1": 1, "a2": 1, "a3": 1})
    assert len(error.details) == 5
    assert "and 2 more" in error.message


def test_names_of_any_length_stay_short_in_the_message() -> None:
    error = refused({"name": "a", "x" * 5000: 1})
    assert len(error.message) < 300


def test_nearest_needs_some_likeness() -> None:
    assert nearest("trian", ["train", "ping"]) == "train"
    assert nearest("TRAIN", ["train", "ping"]) == "train"
    assert nearest("quux", ["train", "ping"]) is None


def test_a_workflow_sent_as_the_prompt_is_told_its_field() -> None:
    with pytest.raises(InvalidInput, match="send a ComfyUI workflow as `workflow`"):
        parse(GenerateRequest, {"prompt": {"1": {"class_type": "EmptyImage", "inputs": {}}}})
