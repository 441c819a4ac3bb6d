from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorapod.endpoint.rawjson import InvalidJson, is_object, join_object, load, split_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(
    value=st.dictionaries(st.text(), VALUES),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
def test_what_is_split_and_joined_is_the_same(
    *, value: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    try:
        members = split_object(body)
    except InvalidJson:
        assert not ascii_only
        return
    assert {name: load(raw) for name, raw in members.items()} == value
    if ascii_only:
        assert json.loads(b"".join(join_object(members)).decode(errors="replace")) == json.loads(
            json.dumps(value)
        )


def test_a_value_keeps_its_own_text() -> None:
    members = split_object(b' { "a" : 1.50 , "b":{"c" : [ 1 ]}, "a": "last" } ')
    assert bytes(members["b"]) == b'{"c" : [ 1 ]}'
    assert bytes(members["a"]) == b'"last"'
    assert is_object(members["b"])
    assert not is_object(members["a"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"a"',
        b"{",
        b"{}x",
        b'{"a"}',
        b'{"a":}',
        b'{"a":1,}',
        b'{,"a":1}',
        b'{"a":1 "b":2}',
        b"{1:2}",
        b'{"a":NaN}',
        b'{"a":[-Infinity]}',
        b'{"a":"\xff"}',
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"1" * 5_000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        split_object(body)
