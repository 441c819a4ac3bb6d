"""The base of everything that travels, and the types that many messages share."""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from lorapod.errors import ErrorCode


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


#: A moment, RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
Moment = Annotated[
    datetime,
    AfterValidator(_aware),
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

_PROCESS_ID = "^[a-z]{3,16}_[0-9a-f]{12}$"


def _process_id(text: str) -> str:
    if not re.fullmatch(_PROCESS_ID, text):
        raise ValueError("is not a process id, such as train_0123456789ab")
    return text


#: `train_` and 12 hexadecimal digits, as `train` answered it.
ProcessId = Annotated[
    str, AfterValidator(_process_id), WithJsonSchema({"type": "string", "pattern": _PROCESS_ID})
]

#: One of `ErrorCode`, as answers have it. Readers take any text: a newer worker may know more codes.
AnsweredCode = Annotated[str, WithJsonSchema({"type": "string", "enum": [code.value for code in ErrorCode]})]

#: A path in a request: relative to the workspace, or absolute under it.
PathText = Annotated[str, StringConstraints(min_length=1)]

#: A path in an answer: relative to the workspace.
RelativePath = str


class WireModel(BaseModel):
    """Immutable, and strict about names: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False, protected_namespaces=())

    if not TYPE_CHECKING:
        # A client of release 0.1 returned answers as JSON: scripts for it still run, and are told what to write.

        def __getitem__(self, name: str) -> Any:
            return read_as_json(self)[name]

        def get(self, name: str, default: Any = None) -> Any:
            """Return a field as JSON, or `default`."""
            return read_as_json(self).get(name, default)


def read_as_json(model: BaseModel) -> dict[str, Any]:
    """Return what a script for a client of release 0.1 reads, and warn its writer."""
    name = type(model).__name__
    warnings.warn(
        f"A {name} is no longer read as JSON: write .field in place of ['field'], or .model_dump(mode='json') for all.",
        DeprecationWarning,
        stacklevel=3,
    )
    return model.model_dump(mode="json", exclude_none=True, by_alias=True)


class Request(WireModel):
    """The input of one action, without `type`."""


class Result(WireModel):
    """The answer of one action: one flat JSON object; fields without a value are left out."""

    def answer(self) -> dict[str, Any]:
        """The answer as JSON types."""
        return self.model_dump(mode="json", exclude_none=True, by_alias=True)


class ProcessRequest(Request):
    """Input of an action on one process."""

    process_id: ProcessId = Field(description="The process, as `train` answered it.")
