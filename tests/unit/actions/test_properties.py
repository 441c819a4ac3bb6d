"""Whatever comes in, what goes out is an answer: for every action and any JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.unit.actions.desk import SECRETS, Desk

from lorapod.actions.registry import ACTIONS, UNSUPPORTED_TYPES
from lorapod.errors import ErrorCode
from lorapod.trainers import presets

TYPES = sorted({*ACTIONS, *UNSUPPORTED_TYPES})

#: Texts that have broken workers: paths that lead out, names that tools read otherwise, half of a character.
NASTY = st.sampled_from(
    [
        "",
        ".",
        "..",
        "../stray",
        "../../etc/passwd",
        "/etc/passwd",
        "/workspace",
        "/workspace/../../stray",
        "training_data/../../stray",
        "training_data",
        "output/./..//../stray",
        "-rf",
        "~/stray",
        "a\0b",
        "\ud800",
        "x" * 5000,
        "a/" * 2500,
        "CON",
        "stray\n",
        "${HF_TOKEN}",
        "[name]",
        "{{7*7}}",
        "train_0123456789ab",
        "train_0123456789ab/../..",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "data:image/png;base64,AAAA",
        "a.png",
        "a.zip",
        "Zm9v",
        "&a [*a, *a]",
        "a: &a [x]\nb: [*a, *a, *a]",
        "job: extension\nconfig:\n  name: x\n  process: []",
        "1e400",
        "null",
    ]
)
TEXT = (
    NASTY
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())
)
NUMBERS = st.integers(-(1 << 70), 1 << 70) | st.floats() | st.sampled_from([0, 1, -1, 100])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


#: A few of all the names that requests have.
NAMES = st.lists(
    st.sampled_from(sorted({name for action in ACTIONS.values() for name in action.request.model_fields})),
    min_size=1,
    max_size=12,
)


def fields_of(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with a model's own names, and values that may fit."""
    return st.fixed_dictionaries(
        {}, optional={name: fitting(name, field.annotation) for name, field in model.model_fields.items()}
    )


def fitting(name: str, annotation: Any) -> st.SearchStrategy[Any]:
    """Any JSON, and with a good chance something of the right shape."""
    choices = [JSON, TEXT, NUMBERS, st.booleans()]
    if name == "preset":
        choices += [st.sampled_from(presets.names())] * 2
    for inner in models_in(annotation):
        choices += [fields_of(inner), st.lists(fields_of(inner), max_size=3)]
    return st.one_of(choices)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]


def inputs(type_name: str, good: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """From nonsense to an input that succeeds, with some fields of it replaced."""
    action = ACTIONS.get(type_name)
    shaped = fields_of(action.request) if action else st.just({})
    loose = st.dictionaries(TEXT, JSON, max_size=4)
    bent = st.builds(
        lambda fields, names: {name: fields[name] for name in names if name in fields}, shaped, NAMES
    )
    return st.one_of(
        st.just({**good}),
        st.builds(lambda changed: {**good, **changed}, bent),
        shaped,
        loose,
    ).map(lambda fields: {**fields, "type": type_name})


def check(desk: Desk, answer: Any) -> None:
    """What holds for every answer."""
    assert type(answer) is dict
    text = json.dumps(answer, allow_nan=False)
    assert not [name for name, secret in SECRETS.items() if secret in text]
    assert "Traceback" not in text
    assert len(text) < 20_000_000
    if "error" in answer:
        assert isinstance(answer["error"], str)
        assert answer["error"].strip()
        assert "\n" not in answer["error"]
        assert len(answer["error"]) < 2000
        assert ErrorCode(answer["code"]) is not ErrorCode.INTERNAL, answer
        assert set(answer) <= {"error", "code", "hint", "details"}
    else:
        assert answer
    assert desk.strays() == []
    assert desk.ask(type="ping") == {"pong": True, "worker_id": "pod-test"}


@pytest.fixture(scope="module")
def goods(desk: Desk) -> Mapping[str, Mapping[str, Any]]:
    return desk.stock()


@pytest.mark.parametrize("type_name", TYPES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_input_of_every_action_is_answered(
    desk: Desk, goods: Mapping[str, Mapping[str, Any]], type_name: str, data: st.DataObject
) -> None:
    check(desk, desk.send({"input": data.draw(inputs(type_name, goods.get(type_name, {})))}))


@pytest.mark.parametrize("type_name", sorted(ACTIONS))
def test_what_the_examples_bend_is_good_before(
    desk: Desk, goods: Mapping[str, Mapping[str, Any]], type_name: str
) -> None:
    answer = desk.ask(type=type_name, **goods.get(type_name, {}))
    check(desk, answer)
    assert "error" not in answer or type_name == "cancel", answer


@settings(max_examples=200)
@given(
    event=JSON | st.fixed_dictionaries({"input": JSON}) | st.fixed_dictionaries({"id": JSON, "input": JSON})
)
@example(event=None)
@example(event=[])
@example(event={"input": {"type": "ping", "type ": "x"}})
def test_any_event_is_answered(desk: Desk, event: Any) -> None:
    check(desk, desk.send(event))


def test_a_request_nested_a_thousand_deep_is_answered(desk: Desk) -> None:
    deep: Any = "end"
    for _ in range(1000):
        deep = [deep]
    for type_name in TYPES:
        check(desk, desk.ask(type=type_name, config=deep, files=deep, path=deep))
