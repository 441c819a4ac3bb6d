"""JSON Schema of requests and answers (draft 2020-12)."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema

from lorapod.errors import ErrorCode
from lorapod.wire.model import Request, Result, WireModel


class ErrorAnswer(WireModel):
    """Every answer that is no success; the RunPod SDK marks its job FAILED."""

    error: str = Field(description="What happened, to what, and what to do; one sentence.")
    code: ErrorCode = Field(description="The kind of error, from a closed list.")
    hint: str | None = Field(default=None, description="What to do next, if the message does not say it.")
    details: list[dict[str, Any]] | None = Field(
        default=None, description="One object for each single problem, e.g. `field` and `error`."
    )


class _WithoutFieldTitles(GenerateJsonSchema):
    """Remove titles that only repeat the field's name."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        """Never."""
        return False


def request_schema(type_name: str, model: type[Request]) -> dict[str, Any]:
    """Return the schema of `input` for the action `type_name`, its `type` included."""
    schema = model.model_json_schema(schema_generator=_WithoutFieldTitles)
    described = {"const": type_name, "type": "string", "description": "The action."}
    schema["properties"] = {"type": described, **schema.get("properties", {})}
    schema["required"] = ["type", *schema.get("required", [])]
    return schema


def result_schema(model: type[Result]) -> dict[str, Any]:
    """The answer of an action; fields without a value are left out of it."""
    return model.model_json_schema(mode="serialization", schema_generator=_WithoutFieldTitles)


def error_schema() -> dict[str, Any]:
    """Return the schema of the answer of every action that fails."""
    return ErrorAnswer.model_json_schema(mode="serialization", schema_generator=_WithoutFieldTitles)
