"""The form of a new training: its fields from the published schema, the presets, and checks that need no worker."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import Field

from lorapod.errors import InvalidInput
from lorapod.wire.dataset import DatasetRef
from lorapod.wire.knobs import TrainKnobs
from lorapod.wire.limits import TrainingLimits
from lorapod.wire.start_from import StartFrom
from lorapod.wire.stop_when import StopMeasure, StopWhen
from lorapod.wire.storage import UploadTargets
from lorapod.wire.validation import nearest, parse

#: Fields that a form has no control for: they are written in the editor.
_EDITOR_ONLY: Final = frozenset({"datasets", "control", "validation"})
#: A field with more choices is written as text, with the choices as proposals.
_KINDS: Final = {"integer": "integer", "number": "number", "boolean": "flag", "string": "text"}


class NewTraining(TrainKnobs):
    """A request for a training as a person writes it: what its worker checks, but for what only the worker knows."""

    preset: str | None = None
    config: str | dict[str, Any] | None = None
    dataset: DatasetRef | None = None
    name: str | None = Field(default=None, min_length=1, max_length=100, description="Name of the LoRA.")
    trainer: str | None = Field(
        default=None, description="`ai-toolkit` or `builtin`; else the first there is."
    )
    variants: list[TrainKnobs] | None = Field(default=None, min_length=1, max_length=50)
    start_from: StartFrom | None = None
    limits: TrainingLimits | None = None
    stop_when: StopWhen | None = None
    upload: UploadTargets | None = None
    strict: bool | None = None
    force: bool | None = None


@cache
def presets() -> Sequence[dict[str, Any]]:
    """Return the presets that this version knows, with the values that their configs have."""
    found: list[dict[str, Any]] = json.loads(
        (files("lorapod.client.console") / "presets.json").read_text("utf-8")
    )
    return found


@cache
def form_fields() -> Sequence[dict[str, Any]]:
    """Return the fields of the form in the schema's order: `name`, `kind`, `description`, and their bounds and choices."""
    schema = NewTraining.model_json_schema()
    return list(_fields(schema["properties"], schema["$defs"], ""))


def check(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is wrong with a request as far as this machine can tell: `field` and `error` each."""
    try:
        wanted = parse(NewTraining, request)
    except InvalidInput as error:
        return list(error.details)
    return list(_problems(wanted))


def _problems(wanted: NewTraining) -> Iterator[dict[str, Any]]:
    if (wanted.preset is None) == (wanted.config is None):
        yield {"field": "preset", "error": "choose a preset, or write a config"}
    if wanted.preset is not None:
        preset = {one["name"]: one for one in presets()}.get(wanted.preset)
        if preset is None:
            meant = nearest(wanted.preset, [one["name"] for one in presets()])
            yield {"field": "preset", "error": f"is not known{f', did you mean {meant!r}?' if meant else ''}"}
        elif wanted.tier is not None and wanted.tier not in preset["tiers"]:
            yield {"field": "tier", "error": f"must be one of {', '.join(preset['tiers'])}"}
        if wanted.dataset is None and wanted.datasets is None:
            yield {"field": "dataset.training_name", "error": "choose a dataset"}
    elif knobs := sorted(wanted.model_fields_set & TrainKnobs.model_fields.keys()):
        for name in knobs:
            yield {"field": name, "error": "goes with a preset; write it into the config"}
    if wanted.variants is not None and wanted.preset is None:
        yield {"field": "variants", "error": "goes with a preset"}
    if wanted.stop_when is not None:
        yield from _stop_problems(wanted, wanted.stop_when)


def _stop_problems(wanted: NewTraining, stop: StopWhen) -> Iterator[dict[str, Any]]:
    by_loss = stop.no_better is StopMeasure.VALIDATION_LOSS
    if by_loss and not wanted.validation and wanted.config is None:
        yield {"field": "stop_when.no_better", "error": "the validation loss goes with validation"}
    if not by_loss and wanted.sample_prompts == []:
        yield {"field": "stop_when.no_better", "error": "the likeness goes with sample prompts"}


def _fields(
    properties: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str
) -> Iterator[dict[str, Any]]:
    for name, schema in properties.items():
        if name in _EDITOR_ONLY:
            continue
        choices = [_resolved(one, definitions) for one in schema.get("anyOf", [schema])]
        known = [one for one in choices if one.get("type") != "null"]
        nested = next((one for one in known if "properties" in one), None)
        described = {"name": f"{prefix}{name}", "description": schema.get("description", "")}
        if nested is not None and not prefix:
            yield from _fields(nested["properties"], definitions, f"{name}.")
        elif (field := _field(known)) is not None:
            yield {**described, **field}


def _field(choices: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the kind of a field, by the types that it may have; None if a form has no control for it."""
    first = choices[0]
    arrays = [one for one in choices if one.get("type") == "array"]
    if arrays:
        items = arrays[0]["items"].get("type")
        return (
            {"kind": {"integer": "integers", "string": "lines"}[items]}
            if items in {"integer", "string"}
            else None
        )
    values = [value for one in choices for value in one.get("enum", ())]
    if any(one.get("type") == "boolean" for one in choices):
        return {"kind": "choice", "choices": [True, False, *values]} if values else {"kind": "flag"}
    if values:
        return {"kind": "choice", "choices": values}
    if first.get("type") not in _KINDS:
        return None
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "maxLength")
    return {"kind": _KINDS[first["type"]], **{name: first[name] for name in bounds if name in first}}


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        found: Mapping[str, Any] = definitions[schema["$ref"].rpartition("/")[2]]
        return found
    return schema
