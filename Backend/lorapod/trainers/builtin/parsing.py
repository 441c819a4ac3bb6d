"""Checks the content of a config file, and reports all its problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lorapod.trainers.builtin.config import BuiltinConfig, ConfigSection, JobSection
from lorapod.wire.validation import nearest, problems_found

#: Longer values are not shown in a sentence.
_SHOWN_CHARACTERS = 80

#: What is wrong with a value, by the beginning of pydantic's name of the error.
_WRONG_TYPES = {
    "float_": "is not a number",
    "finite_number": "is not a finite number",
    "int_": "is not a whole number",
    "bool_": "is not true or false",
    "string_type": "is not text; put it in quotes",
    "model_": "is not a mapping",
    "dict_": "is not a mapping",
    "mapping_": "is not a mapping",
    "tuple_type": "is not a list",
    "list_type": "is not a list",
}
#: What is wrong with a number, by pydantic's name of the limit.
_LIMITS = {
    "ge": "is too small: at least {}",
    "gt": "is too small: more than {}",
    "le": "is too large: at most {}",
    "lt": "is too large: less than {}",
    "multiple_of": "is not a multiple of {}",
}


def parse_config(fields: Mapping[str, Any]) -> BuiltinConfig:
    """Check a config of plain JSON types, as `yaml_config.text` returns it, and replace `[name]` by `config.name`.

    Raises:
        InvalidInput: `details` holds `{"field": "config.process[0].train.ema_config", "error": sentence}` for every
            problem.
    """
    problems = _variables(fields)
    named = fields.get("config")
    name = named.get("name") if isinstance(named, Mapping) else None
    if isinstance(name, str):
        fields = _with_name(fields, name)
    try:
        config = BuiltinConfig.model_validate(fields)
    except ValidationError as error:
        problems = [_problem(detail) for detail in _told_apart(error)] + problems
    else:
        if not problems:
            return config
    raise problems_found(problems)


def _variables(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a problem for each text that AI Toolkit would fill from the environment."""
    sentence = "text like ${NAME} is not replaced from the environment here; write the value itself"
    return [{"field": place, "error": sentence} for place, text in _texts(fields, "") if "${" in text]


def _told_apart(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors without "too short" for lists that are too short only because of invalid entries."""
    details = error.errors(include_url=False)
    parents = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    return [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in parents]


def _problem(detail: ErrorDetails) -> dict[str, Any]:
    place = ""
    for part in detail["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    return {"field": place or "config", "error": _sentence(detail)}


def _sentence(detail: ErrorDetails) -> str:
    key = str(detail["loc"][-1]) if detail["loc"] else "config"
    kind = detail["type"]
    expected = str(detail.get("ctx", {}).get("expected", ""))
    if kind == "extra_forbidden":
        meant = nearest(key, _known_keys())
        hint = f", did you mean {meant!r}?" if meant and meant != key else ""
        return f"{key} is not supported by the builtin trainer{hint}"
    if kind == "missing":
        return "is required"
    if kind == "too_long" and key == "process":
        return "must hold exactly one process"
    if kind == "literal_error" and expected == "False":
        return f"{key} is not supported by the builtin trainer; leave it out or set it to false"
    if kind in {"literal_error", "enum"}:
        return f"must be {expected} for the builtin trainer"
    return _wrong_value(detail)


def _wrong_value(detail: ErrorDetails) -> str:
    """Return what is wrong with a value that has a wrong type or is out of bounds."""
    kind, value, limits = detail["type"], detail["input"], detail.get("ctx", {})
    # Only a short number or text is shown.
    value = (
        repr(value) + " "
        if isinstance(value, str | int | float) and len(repr(value)) <= _SHOWN_CHARACTERS
        else ""
    )
    for group, sentence in _WRONG_TYPES.items():
        if kind.startswith(group):
            return f"{value}{sentence}"
    for limit, sentence in _LIMITS.items():
        if limit in limits and value:
            return f"{value}{sentence.format(_plain(limits[limit]))}"
    message = detail["msg"].rstrip(".")
    return message[:1].lower() + message[1:]


def _plain(limit: float) -> float:
    return int(limit) if float(limit).is_integer() else limit


def _known_keys() -> set[str]:
    sections: tuple[type[ConfigSection], ...] = (BuiltinConfig, JobSection, *ConfigSection.__subclasses__())
    return {key for section in sections for key in section.model_fields}


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text in the config, with its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _texts(inner, f"{place}[{index}]")
    elif isinstance(value, str):
        yield place, value


def _with_name(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return value.replace("[name]", name)
    if isinstance(value, Mapping):
        return {key: _with_name(inner, name) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_name(inner, name) for inner in value]
    return value
