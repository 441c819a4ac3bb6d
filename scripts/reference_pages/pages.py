"""The reference pages, written from the models, the settings and the errors themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import AliasChoices, BaseModel, SecretStr
from pydantic.fields import FieldInfo

from lorapod import errors
from lorapod.wire.schema import error_schema
from reference_pages.markdown import (
    GENERATED,
    answer_table,
    definitions_used,
    fields_table,
    first_sentence,
    page,
    table,
    type_text,
)

_ERROR_LINE = re.compile(r"^[├└]── (?P<name>\w+) +(?P<code>[a-z_]+) +(?P<remedy>.+)$", re.MULTILINE)


def settings_page(settings: type[BaseModel]) -> str:
    """`settings.md`: every environment variable with its type, default and meaning."""
    schema = settings.model_json_schema(by_alias=False)
    rows = [
        (
            " or ".join(f"`{name}`" for name in _variables(name, field)),
            "secret" if _secret(field) else type_text(schema["properties"][name], schema.get("$defs", {})),
            _default(field),
            field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]
    intro = (
        "Every setting is an environment variable; an empty one counts as not set. Credentials come from here alone, "
        "never from a job; a secret is never logged or answered."
    )
    lines = [
        GENERATED,
        "# Settings",
        "",
        intro,
        "",
        *table(("variable", "type", "default", "meaning"), rows),
        "",
    ]
    for name in definitions_used(schema):
        described = schema["$defs"][name]
        lines += [f"## {name}", "", first_sentence(described), ""]
        lines += [*fields_table(described, schema["$defs"]), ""]
    return page(lines)


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
