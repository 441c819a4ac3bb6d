"""Whatever comes in, what goes out is an answer: for every action and any JSON."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.unit.actions.desk import SECRETS, Desk

from lorapod.actions.registry import ACTIONS
from lorapod.errors import ErrorCode
from lorapod.trainers import presets

TYPES = sorted(ACTIONS)

#: Ways out of the workspace.
ESCAPES = [
    "..",
    "../stray",
    "../../stray",
    "../canary.txt",
    "../../canary.txt",
    "../../../canary.txt",
    "/workspace/../stray",
    "/workspace/../canary.txt",
    "training_data/../../stray",
    "training_data/../../canary.txt",
    "training_data/pictures/../../../canary.txt",
    "stray/../../stray",
    "stray",
    "canary.txt",
]

#: Texts that have broken workers: paths that lead out, names that tools read otherwise, half of a character.
NASTY = st.sampled_from(
    [
        "",
        ".",
        "..",
        *ESCAPES,
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
    """From nonsense to an input that succeeds, with a value or two of it replaced."""
    action = ACTIONS.get(type_name)
    shaped = fields_of(action.request) if action else st.just({})
    loose = st.dictionaries(TEXT, JSON, max_size=4)
    return st.one_of(bent(good), bent(good), shaped, loose).map(
        lambda fields: {**hurried(fields), "type": type_name}
    )


def hurried(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """`keep_alive` would take a good duration at its word."""
    duration_s = fields.get("duration_s")
    if isinstance(duration_s, int | float) and duration_s > 0:
        return {**fields, "duration_s": min(duration_s, 0.01)}
    return fields


@st.composite
def bent(draw: st.DrawFn, good: Mapping[str, Any]) -> dict[str, Any]:
    """`good` with up to two of its values, at any depth, replaced."""
    fields = copy.deepcopy(dict(good))
    for _ in range(draw(st.integers(0, 2))):
        if places := list(places_in(fields)):
            holder, key = draw(st.sampled_from(places))
            holder[key] = draw(NASTY | NASTY | JSON)
    return fields


def places_in(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every value inside `node`: what holds it, and under which key."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield node, key
        yield from places_in(value)


def check(desk: Desk, answer: Any) -> None:
    """What holds for every answer."""
    assert type(answer) is dict
    text = json.dumps(answer, allow_nan=False)
    assert not [name for name, secret in SECRETS.items() if secret in text]
    assert "Traceback" not in text
    assert not desk.leaked(text)
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


#: They need a process that has not ended, or one that ended before its time.
NEED_A_LIVE_PROCESS = {"cancel", "resume", "save_now", "sample_now"}
#: They need a server that this worker may ask.
NEED_A_SERVER = {"train_from_urls", "train_from_supabase", "download_model"}
#: Bent examples may have deleted what theirs is about.
NEED_WHAT_THEY_DELETE = {"delete"}


@pytest.fixture(scope="module")
def goods(desk: Desk) -> Mapping[str, Mapping[str, Any]]:
    return desk.stock()


@pytest.mark.parametrize("type_name", sorted(ACTIONS))
def test_what_the_examples_bend_is_good_before(
    desk: Desk, goods: Mapping[str, Mapping[str, Any]], type_name: str
) -> None:
    answer = desk.ask(type=type_name, **goods.get(type_name, {}))
    check(desk, answer)
    assert (
        "error" not in answer or type_name in NEED_A_LIVE_PROCESS | NEED_A_SERVER | NEED_WHAT_THEY_DELETE
    ), answer


@pytest.mark.parametrize("type_name", TYPES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_input_of_every_action_is_answered(
    desk: Desk, goods: Mapping[str, Mapping[str, Any]], type_name: str, data: st.DataObject
) -> None:
    check(desk, desk.send({"input": data.draw(inputs(type_name, goods.get(type_name, {})))}))


@pytest.mark.parametrize("type_name", sorted(ACTIONS))
def test_no_text_in_any_place_leads_out_of_the_workspace(
    desk: Desk, goods: Mapping[str, Mapping[str, Any]], type_name: str
) -> None:
    good = goods.get(type_name, {})
    for number, _ in enumerate(places_in(dict(good))):
        for escape in ESCAPES:
            fields = copy.deepcopy(dict(good))
            holder, key = list(places_in(fields))[number]
            holder[key] = escape
            check(desk, desk.ask(type=type_name, **fields))


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
