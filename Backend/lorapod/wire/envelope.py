"""The outside of every job: the event that comes in, and the error that goes out."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lorapod.errors import InvalidInput, WorkerError
from lorapod.wire.shapes.shape import Shape
from lorapod.wire.shapes.table import recognised

#: Where RunPod puts a caller's own bucket: beside `input`.
S3_CONFIG = "s3Config"
#: Its secret field; `accessId` is not secret: it appears in every presigned URL.
S3_CONFIG_SECRET = "accessSecret"  # noqa: S105 - the field's name

#: Fields of an input whose values are secret.
SECRET_FIELDS = frozenset({"callback_token", "comfy_org_api_key"})
#: Other names of them, in the inputs of other handlers.
SECRET_ALIASES = frozenset({"api_key_comfy_org"})


@dataclass(frozen=True, kw_only=True)
class Call:
    """What an event asks for."""

    job_id: str
    type: str
    #: The input without its `type`, as it was sent.
    fields: Mapping[str, Any]
    #: How the input was recognised, if it has no `type`.
    shape: Shape | None = None
    #: The job's own bucket with its credentials, as RunPod hands it on.
    s3_config: Mapping[str, Any] | None = field(default=None, repr=False)

    def request_fields(self) -> Mapping[str, Any]:
        """The fields of the action's request.

        Raises:
            InvalidInput: an input without `type` does not make one.
        """
        return self.fields if self.shape is None else self.shape.fields(self.fields)

    def shaped(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the action's answer in the form that the caller expects."""
        return dict(answer if self.shape is None else self.shape.answer(self.fields, answer))


def with_object(event: object) -> object:
    """Return the event with its `input` as an object if it came as the JSON text of one, else unchanged."""
    if not isinstance(event, Mapping) or not isinstance(text := event.get("input"), str):
        return event
    try:
        job_input = json.loads(text)
    except (ValueError, RecursionError):
        return event
    return {**event, "input": job_input} if isinstance(job_input, Mapping) else event


def open_envelope(event: object) -> Call:
    """Read `{"id": …, "input": {"type": …, …}}`; `input` may be the JSON text of an object.

    `action` is accepted for `type`; an input without a `type` is recognised by its fields (`wire/shapes`).

    Raises:
        InvalidInput: it is not of that form.
    """
    if not isinstance(event := with_object(event), Mapping):
        raise InvalidInput("The job is not a JSON object.")
    job_input = event.get("input")
    if isinstance(job_input, str):
        raise InvalidInput("The job's input is a text, but not the JSON of an object.")
    if not isinstance(job_input, Mapping):
        raise InvalidInput('The job has no "input" object.', hint='Send {"input": {"type": "ping"}}.')
    fields = {str(name): value for name, value in job_input.items()}
    job_id = str(event.get("id", ""))
    s3_config = event.get(S3_CONFIG)
    if s3_config is not None and not isinstance(s3_config, Mapping):
        raise InvalidInput("The job's s3Config is not a JSON object.")
    s3_config = s3_config or None
    if "type" not in fields and (shape := recognised(fields)) is not None:
        return Call(job_id=job_id, type=shape.type, fields=fields, shape=shape, s3_config=s3_config)
    return Call(job_id=job_id, type=_take_type(fields), fields=fields, s3_config=s3_config)


def secrets_of(event: object) -> frozenset[str]:
    """Return the secrets that an event brings with it, even if the event is malformed."""
    if not isinstance(event := with_object(event), Mapping):
        return frozenset()
    job_input = event.get("input")
    places = [job_input, *job_input.values()] if isinstance(job_input, Mapping) else []
    found = [
        place[name]
        for place in places
        if isinstance(place, Mapping)
        for name in (SECRET_FIELDS | SECRET_ALIASES) & place.keys()
    ]
    if isinstance(s3_config := event.get(S3_CONFIG), Mapping):
        found.append(s3_config.get(S3_CONFIG_SECRET))
    return frozenset(secret for secret in found if isinstance(secret, str))


def _take_type(fields: dict[str, Any]) -> str:
    """The type, taken out of `fields`; beside a `type`, an `action` is a field like any other (`schema` has one)."""
    named = next((name for name in ("type", "action") if name in fields), None)
    if named is None:
        raise InvalidInput(
            'The input has no "type".', hint='Send {"input": {"type": "schema"}} for a list of types.'
        )
    chosen = fields.pop(named)
    if not isinstance(chosen, str):
        raise InvalidInput(f'The "{named}" of the input must be a string.')
    return chosen


def error_answer(error: WorkerError) -> dict[str, Any]:
    """Return the answer for an error.

    `error` is always a string: the RunPod SDK takes it out of the answer and marks the job FAILED.
    """
    answer: dict[str, Any] = {"error": one_line(error.message), "code": error.code.value}
    if error.hint:
        answer["hint"] = one_line(error.hint)
    if error.details:
        answer["details"] = list(error.details)
    return answer


def one_line(text: str) -> str:
    """`text` fit to be one line: a caller's own names and paths, line ends and all, may stand in it."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
        else character
        for character in text
    )
