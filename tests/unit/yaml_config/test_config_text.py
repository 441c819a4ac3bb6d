from __future__ import annotations

import datetime as dt
import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lorapod.errors import InvalidInput
from lorapod.yaml_config.nodes import MAX_DEPTH, MAX_VALUES
from lorapod.yaml_config.text import dump_config, parse_config

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(
        st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=20
    )
    | st.sampled_from(
        ["1e5", "1e-4", "yes", "null", "1:30", "0o7", "~", "2024-01-01", "[name]", "<<", "=", "- a"]
    )
)
CONFIGS = st.dictionaries(
    st.sampled_from(["job", "config", "1e5", "on", "<<", "a b", "é"]),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
        ),
    ),
    max_size=4,
)


def refused(source: str | dict[str, Any], **limits: int) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        parse_config(source, **limits)
    return caught.value


def test_yaml_with_the_exponents_that_people_write() -> None:
    assert parse_config("train:\n  lr: 1e-4\n  eps: 1.0e5\n  steps: 1_000\n  note: 1e\n") == {
        "train": {"lr": 1e-4, "eps": 1e5, "steps": 1000, "note": "1e"}
    }


def test_json_text_tabs_included() -> None:
    assert parse_config('{\n\t"job": "extension", "lr": 1e-4}') == {"job": "extension", "lr": 1e-4}


def test_yaml_in_flow_style() -> None:
    assert parse_config("{job: extension, list: [1, 2]}") == {"job": "extension", "list": [1, 2]}


def test_an_object() -> None:
    assert parse_config({"a": (1, {"b": None})}) == {"a": [1, {"b": None}]}


def test_anchors_and_merges_are_written_out() -> None:
    config = parse_config("base: &b {x: 1, y: 2}\none:\n  <<: *b\n  y: 3\ntwo: *b\n")
    assert config == {"base": {"x": 1, "y": 2}, "one": {"x": 1, "y": 3}, "two": {"x": 1, "y": 2}}
    assert config["two"] is not config["base"]


def test_keys_become_text_as_in_json() -> None:
    assert parse_config("2: a\ntrue: b\nnull: c\n1.5: d\n") == {
        "2": "a",
        "true": "b",
        "null": "c",
        "1.5": "d",
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("# nothing", "empty"),
        ("just words", "must be a mapping"),
        ("- a\n- b", "must be a mapping"),
        ("a: 1\nb: [1, 2", "line 2"),
        ("a: 1\na: 2", "twice"),
        ("x:\n  - {b: 1, b: 2}", "twice"),
        ('{"a": 1, "a": 2}', "twice"),
        ("1: a\n'1': b", "twice"),
        ("a: *nothing", "undefined alias"),
        ("a: &x [1, *x]", "contains itself"),
        ("a: !!python/object/apply:os.system ['true']", "python/object"),
        ("a: 2024-01-01", "date"),
        ("a: !!binary aGVsbG8=", "bytes"),
        ("a: .nan", "finite"),
        ("a: .inf", "finite"),
        ("a: " + "9" * 30, "a number that is too large"),
        ("a: " + "9" * 5000, "not valid YAML"),
        ("? [1, 2]\n: x", "key"),
        ("a: b\0c", "not valid YAML"),
        ("---\na: 1\n---\nb: 2", "not valid YAML"),
        ("[" * 5000, "too deeply"),
        ('{"a":' * 100_000, "too large"),
        ('{"a":' * 20_000, "too deeply"),
        ("a: " * 3, "not valid YAML"),
    ],
)
def test_what_cannot_be_is_one_sentence(text: str, words: str) -> None:
    message = str(refused(text))
    assert words in message
    assert message.endswith(".")
    assert "\n" not in message
    assert len(message) < 400


def test_a_billion_laughs_ends_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    begun = time.process_time()
    assert "too many values" in str(refused("\n".join(lines)))
    assert time.process_time() - begun < 1


def test_the_limits() -> None:
    assert "too large" in str(refused("a: " + "é" * 60, max_bytes=100))
    assert parse_config("a: " + "é" * 40, max_bytes=100)
    deep: dict[str, Any] = {}
    inner = deep
    for _ in range(MAX_DEPTH + 1):
        inner["a"] = {}
        inner = inner["a"]
    assert "too deeply" in str(refused(deep))
    assert "too many values" in str(refused({"a": list(range(MAX_VALUES))}))


@pytest.mark.parametrize("value", [dt.datetime(2024, 1, 1, tzinfo=dt.UTC), {1, 2}, b"x", object()])
def test_an_object_that_json_does_not_know(value: object) -> None:
    error = refused({"config": {"process": [{"train": value}]}})
    assert error.details[0]["field"] == "config.process[0].train"


def test_text_that_is_no_unicode() -> None:
    assert "Unicode" in str(refused({"a": "\ud800"}))
    assert "Unicode" in str(refused('{"a": "\\ud800"}'))


@given(CONFIGS)
def test_what_is_written_is_read_back(config: dict[str, Any]) -> None:
    assert parse_config(dump_config(config)) == config
    assert parse_config(json.dumps(config)) == config
    assert parse_config(config) == config


def test_text_that_looks_like_a_number_stays_text() -> None:
    assert yaml.safe_load(dump_config({"name": "1e5"})) == {"name": "1e5"}
    assert "'1e5'" in dump_config({"name": "1e5"})


@given(st.text(max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse_config(text)
    except InvalidInput:
        return
    assert parse_config(dump_config(parsed)) == parsed
