from __future__ import annotations

from typing import Any

import pytest
from tests.servers import comfyui_graphs as graphs

from lorapod.engines.comfyui.problems import AcceptedPrompt, refused


def answer(**errors: Any) -> dict[str, Any]:
    return {"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": errors}


def error(kind: str, message: str = "", details: str = "", name: str | None = "width") -> dict[str, Any]:
    info = {} if name is None else {"input_name": name}
    return {"type": kind, "message": message, "details": details, "extra_info": info}


@pytest.mark.parametrize(
    ("problem", "sentence"),
    [
        (
            error("value_not_in_list", "Value not in list", "width: 'a' not in []"),
            "EmptyImage width: 'a' not in []",
        ),
        (
            error("value_smaller_than_min", "Value 0 smaller than min of 1", "width"),
            "Value 0 smaller than min of 1",
        ),
        (
            error("required_input_missing", "Required input is missing", "width", None),
            "EmptyImage width: is missing",
        ),
        (error("return_type_mismatch", "Return type mismatch", "width, received_type(A)"), "of another type"),
        (
            error("custom_validation_failed", "Custom validation failed", "width - no such file"),
            "no such file",
        ),
        (error("exception_during_validation", "Exception", "'9'", None), "cannot be checked ('9')"),
        (error("something_new", "New", ""), "EmptyImage width: New"),
        ({}, "is wrong"),
    ],
)
def test_each_problem_is_a_sentence(problem: dict[str, Any], sentence: str) -> None:
    found = refused(answer(**{"1": {"class_type": "EmptyImage", "errors": [problem]}}), graphs.picture())

    assert sentence in found.message
    assert found.details[0]["node"] == "1"
    assert found.details[0]["class_type"] == "EmptyImage"


def test_a_node_that_is_not_installed_has_a_hint() -> None:
    body = {
        "error": {
            "type": "invalid_prompt",
            "message": "Cannot execute because node Foo does not exist.",
            "details": "Node ID '#1'",
        },
        "node_errors": {},
    }

    found = refused(body, {})

    assert found.message == (
        "ComfyUI refuses the workflow: Cannot execute because node Foo does not exist - Node ID '#1'."
    )
    assert "not installed" in found.hint


@pytest.mark.parametrize("body", [None, [], {}, {"error": "text"}, {"error": {}, "node_errors": []}])
def test_odd_answers_are_refusals_all_the_same(body: Any) -> None:
    assert refused(body, {}).message.startswith("ComfyUI refuses the workflow: ")


def test_long_details_are_cut() -> None:
    problem = error("value_not_in_list", "m", f"width: 'x' not in {['a' * 50] * 50}")

    found = refused(answer(**{"1": {"class_type": "EmptyImage", "errors": [problem]}}), {})

    assert len(found.message) < 400


def test_an_accepted_workflow_names_what_was_left_out() -> None:
    accepted = AcceptedPrompt.of(
        {
            "node_errors": {
                "4": {
                    "class_type": "LoadImage",
                    "errors": [error("custom_validation_failed", "m", "image - gone", "image")],
                    "dependent_outputs": ["5", "6"],
                }
            }
        },
        {},
    )

    assert accepted.problems[0]["outputs"] == ["5", "6"]
    assert AcceptedPrompt.of({"node_errors": {}}, {}).problems == ()
    assert AcceptedPrompt.of({}, {}).problems == ()
