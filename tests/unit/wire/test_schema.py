from __future__ import annotations

from pydantic import Field

from lorapod.errors import ErrorCode
from lorapod.wire.model import ProcessRequest, Request, Result, WireModel
from lorapod.wire.schema import error_schema, request_schema, result_schema
from reference_pages.markdown import example, fields_table


class Part(WireModel):
    """One part."""

    size_bytes: int = Field(ge=1, le=20_000, description="How large.")


class Ask(Request):
    """Asks."""

    name: str = Field(description="A name | or two.")
    parts: list[Part]
    limit: int | None = Field(default=None, ge=1)
    title: str = Field(default="x", max_length=5)


class Answer(Result):
    """Answers."""

    count: int
    cursor: str | None = None


def test_a_request_begins_with_its_type() -> None:
    schema = request_schema("ask", Ask)
    assert list(schema["properties"]) == ["type", "name", "parts", "limit", "title"]
    assert schema["properties"]["type"]["const"] == "ask"
    assert schema["required"] == ["type", "name", "parts"]
    assert schema["additionalProperties"] is False


def test_the_model_is_not_changed_by_its_schema() -> None:
    request_schema("ask", Ask)
    assert "type" not in Ask.model_fields
    assert request_schema("other", Ask)["properties"]["type"]["const"] == "other"


def test_fields_carry_no_title_of_their_own() -> None:
    assert all("title" not in field for field in request_schema("ask", Ask)["properties"].values())


def test_an_answer_need_not_have_fields_without_a_value() -> None:
    assert result_schema(Answer)["required"] == ["count"]


def test_the_error_lists_every_code() -> None:
    schema = error_schema()
    assert schema["required"] == ["error", "code"]
    assert schema["$defs"]["ErrorCode"]["enum"] == [code.value for code in ErrorCode]


def test_a_table_tells_type_range_default_and_meaning() -> None:
    schema = request_schema("ask", Ask)
    assert fields_table(schema, schema["$defs"]) == [
        "| field | type | default | meaning |",
        "| --- | --- | --- | --- |",
        '| `type` | `"ask"` | required | The action. |',
        "| `name` | string | required | A name \\| or two. |",
        "| `parts` | list of [Part](#part) | required |  |",
        "| `limit` | integer (1 or more) |  |  |",
        '| `title` | string (up to 5 characters) | `"x"` |  |',
    ]
    assert fields_table(schema["$defs"]["Part"], {})[2] == (
        "| `size_bytes` | integer (1 to 20,000) | required | How large. |"
    )


def test_an_example_has_what_is_required_and_fits_the_model() -> None:
    shown = example(request_schema("ask", Ask))
    assert shown.pop("type") == "ask"
    assert Ask.model_validate(shown).parts == [Part(size_bytes=1)]


def test_an_example_of_a_process_id_has_its_form() -> None:
    shown = example(request_schema("cancel", ProcessRequest))
    assert shown == {"type": "cancel", "process_id": "train_0123456789ab"}
