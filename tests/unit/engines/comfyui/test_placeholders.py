from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.servers import comfyui_graphs as graphs

from lorapod.engines.comfyui.graph import fill, placeholders_in


def filled(value: Any, **values: Any) -> Any:
    return fill({"1": graphs.node("N", text=value)}, values).graph["1"]["inputs"]["text"]


@pytest.mark.parametrize("written", ["{{ SEED }}", "{{SEED}}", "  {{ seed }} ", "{{\tSeed\n}}"])
def test_an_input_that_is_all_placeholder_takes_the_value_with_its_type(written: str) -> None:
    assert filled(written, SEED=7) == 7


def test_within_a_text_the_value_becomes_text() -> None:
    assert filled("a {{ PROMPT }}, seed {{ SEED }}", PROMPT="fox", SEED=7) == "a fox, seed 7"


@given(st.text())
def test_whatever_a_value_holds_it_stays_one_value(prompt: str) -> None:
    assert filled("{{ PROMPT }}", PROMPT=prompt) == prompt
    assert filled("<{{ PROMPT }}>", PROMPT=prompt) == f"<{prompt}>"


def test_a_value_is_not_looked_at_again() -> None:
    assert filled("{{ PROMPT }}", PROMPT="{{ SEED }}", SEED=7) == "{{ SEED }}"


def test_placeholders_are_found_at_any_depth() -> None:
    graph = {
        "1": graphs.node("N", lists=[{"deep": "{{ A }}"}, "x {{ b }}"], link=["2", 0]),
        "2": graphs.node("M"),
    }

    assert placeholders_in(graph) == {"A", "B"}
    done = fill(graph, {"A": 1})
    assert done.graph["1"]["inputs"]["lists"] == [{"deep": 1}, "x {{ b }}"]
    assert (set(done.used), set(done.missing)) == ({"A"}, {"B"})


def test_what_is_no_placeholder_stays() -> None:
    assert filled("{ PROMPT } {{ }} {{ 1A }} {{{ x }", PROMPT="fox") == "{ PROMPT } {{ }} {{ 1A }} {{{ x }"
