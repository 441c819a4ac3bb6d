"""The reference pages, written from the models, the settings and the errors themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from lorapod import errors
from lorapod.wire.schema import error_schema
from lorapod.wire.shapes.shape import Shape
from reference_pages.markdown import (
    answer_table,
    definitions_used,
    description,
    example,
    fields_table,
    table,
    type_text,
)

GENERATED: Final = "<!-- Written by `make docs` from the code; edit the code, not this page. -->"

_ERROR_LINE = re.compile(r"^[├└]── (?P<name>\w+) +(?P<code>[a-z_]+) +(?P<remedy>.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class ActionPage:
    """What the reference tells of one action."""

    type: str
    summary: str
    #: JSON Schema of its input and of its answer.
    request: Mapping[str, Any]
    result: Mapping[str, Any]
    #: What it answers instead, where the request asks for it.
    other_results: Sequence[Mapping[str, Any]] = ()
    #: An input that tells more than the required fields alone.
    example: Mapping[str, Any] | None = None


def actions_page(actions: Sequence[ActionPage], *, shapes: Sequence[Shape] = ()) -> str:
    """`actions.md`: every action with its fields, its answer and an example.

    Args:
        actions: in the order of the page.
        shapes: what may come without a type.
    """
    lines = [
        GENERATED,
        "# Actions",
        "",
        (
            'A job is `{"input": {"type": "<action>", …}}`. An unknown field is refused with the nearest known name. '
            "The answer is one flat JSON object; fields without a value are left out. Where an action fails, the answer "
            "is [an error](errors.md) and RunPod marks the job FAILED. Sizes are bytes, durations seconds, times RFC 3339 "
            "in UTC, paths relative to the workspace."
        ),
        "",
        *table(
            ("action", "what it does"),
            [(f"[`{action.type}`](#{action.type})", action.summary) for action in actions],
        ),
        "",
    ]
    if shapes:
        lines += _without_type(shapes)
    for action in actions:
        lines += _action(action)
    lines += _shared(actions)
    return page(lines)


def _without_type(shapes: Sequence[Shape]) -> Iterator[str]:
    rows = [(shape.name, shape.summary, f"[`{shape.type}`](#{shape.type})") for shape in shapes]
    yield (
        "`action` is read as `type`, and an input may be the JSON text of an object. An input may come without a type, as other handlers take it; the first of these that "
        "fits counts, and its answer has the form that its callers know:"
    )
    yield from ("", *table(("input", "known by", "answered by"), rows), "")


def _action(action: ActionPage) -> Iterator[str]:
    shown = {"type": action.type, **action.example} if action.example else example(action.request)
    sent = json.dumps({"input": shown}, indent=2, ensure_ascii=False)
    yield from (f"## {action.type}", "", action.summary, "")
    fields = {name: field for name, field in action.request["properties"].items() if name != "type"}
    if fields:
        yield from fields_table({**action.request, "properties": fields}, action.request.get("$defs", {}))
    else:
        yield "No fields beside `type`."
    yield from ("", "Answer:", "")
    yield from answer_table(action.result, action.result.get("$defs", {}))
    for other in action.other_results:
        yield from ("", f"Or: {first_sentence(other)}", "")
        yield from answer_table(other, other.get("$defs", {}))
    yield from ("", "```json", *sent.splitlines(), "```", "")


def _shared(actions: Sequence[ActionPage]) -> Iterator[str]:
    """The objects inside requests and answers, once each."""
    parts: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for action in actions:
        for schema in (action.request, action.result, *action.other_results):
            definitions = schema.get("$defs", {})
            for name in definitions_used(schema):
                parts.setdefault(name, (definitions[name], definitions))
    if parts:
        yield from ("## Objects", "")
    for name, (schema, definitions) in sorted(parts.items()):
        yield from (f"### {name}", "", first_sentence(schema), "")
        yield from fields_table(schema, definitions)
        yield ""


def first_sentence(schema: Mapping[str, Any]) -> str:
    """What an object is, in short."""
    return description(schema).split("\n\n")[0].replace("\n", " ")


def settings_page(settings: type[BaseModel]) -> str:
    """`settings.md`: every environment variable with its type, default and meaning."""
    schema = settings.model_json_schema(by_alias=False)
    rows = [
        (
            " or ".join(f"`{name}`" for name in _variables(name, field)),
            "secret" if _secret(field) else _setting_type(schema, name),
            _default(field),
            field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]
    intro = (
        "Every setting is an environment variable; an empty one counts as not set. Credentials come from here alone, "
        "never from a job; a secret is never logged or answered."
    )
    return page(
        [GENERATED, "# Settings", "", intro, "", *table(("variable", "type", "default", "meaning"), rows)]
    )


def _setting_type(schema: Mapping[str, Any], name: str) -> str:
    """Objects are told on the actions' page, since requests have them too."""
    return type_text(schema["properties"][name], schema.get("$defs", {})).replace("](#", "](actions.md#")


@dataclass(frozen=True, kw_only=True)
class PresetRow:
    """What the reference tells of one preset."""

    name: str
    description: str
    base_model: str
    gated: bool
    licence: str
    learns: Sequence[str]
    #: GPU memory in bytes, by the tier's name.
    tiers: Mapping[str, int]
    trainers: Sequence[str]


def presets_page(presets: Sequence[PresetRow]) -> str:
    """`presets.md`: the configs that a training can begin with."""
    rows = [
        (
            f"`{preset.name}`",
            preset.description,
            f"`{preset.base_model}`",
            ", ".join(preset.learns),
            ", ".join(f"`{name}`" for name in preset.tiers),
            ", ".join(f"`{name}`" for name in preset.trainers),
            f"{preset.licence}{'; gated' if preset.gated else ''}",
        )
        for preset in presets
    ]
    intro = (
        "`train` with a `preset` needs no config: the preset has one, and the knobs of `train` (`steps`, `rank`, …) "
        "change it. A tier is the preset's settings for GPUs with at least so much memory (quantisation, offloading, "
        "resolution); the worker takes the largest that fits its GPU, or the one that `tier` names. The memory is a rule "
        "of thumb, not a measurement. A gated model needs `HF_TOKEN` of an account that accepted its terms on its page, "
        "`https://huggingface.co/<base model>`."
    )
    header = ("preset", "what it trains", "base model", "learns from", "tiers", "trainers", "licence")
    return page([GENERATED, "# Presets", "", intro, "", *table(header, rows)])


def errors_page() -> str:
    """`errors.md`: every code with its meaning and what to do."""
    remedies = {found["code"]: found["remedy"] for found in _ERROR_LINE.finditer(errors.__doc__ or "")}
    rows = [
        (
            f"`{kind.code.value}`",
            (kind.__doc__ or "").strip().splitlines()[0],
            _sentence(remedies[kind.code.value]),
            "yes" if kind.retryable else "no",
        )
        for kind in sorted(
            errors.WorkerError.__subclasses__(), key=lambda kind: list(errors.ErrorCode).index(kind.code)
        )
    ]
    schema = error_schema()
    lines = [
        GENERATED,
        "# Errors",
        "",
        (
            "An answer that is no success is this object. No traceback and no secret is ever in it; the worker's log keeps "
            "the traceback."
        ),
        "",
        *answer_table({**schema, "properties": _without_enum(schema)}, {}),
        "",
        *table(("code", "meaning", "what to do", "may the same request succeed later?"), rows),
    ]
    return page(lines)


def _without_enum(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The codes have a table of their own."""
    described = schema["properties"]["code"].get("description", "")
    return {**schema["properties"], "code": {"type": "string", "description": described}}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _variables(name: str, field: FieldInfo) -> list[str]:
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [str(field.validation_alias or name.upper())]


def _secret(field: FieldInfo) -> bool:
    return "SecretStr" in str(field.annotation) or field.annotation is SecretStr


def _default(field: FieldInfo) -> str:
    default = field.default
    if field.default_factory is not None or default is None or field.is_required():
        return ""
    text = str(default.value if isinstance(default, Enum) else default)
    return f"`{text.lower() if isinstance(default, bool) else text}`"


def page(lines: Sequence[str]) -> str:
    """Lines as a file has them."""
    return "\n".join(line.rstrip() for line in lines).rstrip("\n") + "\n"
