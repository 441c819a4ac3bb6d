"""Single values of a config: corrected if that loses nothing, else described in a few words."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from lorapod.trainers.ai_toolkit.problems import shown
from lorapod.trainers.ai_toolkit.schema import KeyFacts

_NAMES: Mapping[str, str] = {
    "boolean": "true or false",
    "integer": "a whole number",
    "list": "a list",
    "mapping": "a mapping of keys to values",
    "number": "a number",
    "text": "text",
}


def coerced(value: Any, facts: KeyFacts) -> Any:
    """Return the value in the type that AI Toolkit needs, or unchanged if that would change what it means.

    `250.0` becomes 250, `1` becomes true, the number 1234 becomes the text "1234", nothing becomes an empty list, and the
    text "1e-4" a number: YAML libraries read that one as text.
    """
    types = facts.types
    result = value
    match value:
        case None if facts.default in ([], {}, ""):
            result = copy.copy(facts.default)
        case bool() | None:
            pass
        case float() if value.is_integer() and "integer" in types and "number" not in types:
            result = int(value)
        case 0 | 1 if types and types <= {"boolean", "null"}:
            result = bool(value)
        case int() | float() if types and types <= {"text", "null"}:
            result = str(value)
        case str() if "number" in types and "text" not in types:
            result = _number(value)
        case list() if facts.entries == "text":
            result = [str(entry) if type(entry) in (int, float) else entry for entry in value]
    return result


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def wrong_value(value: Any, facts: KeyFacts) -> str | None:
    """Return what is wrong with the type of a value, None if nothing is."""
    kind = _kind(value)
    types = facts.types
    if not types - {"null"} or kind in types or (kind == "integer" and "number" in types):
        return _wrong_entry(value, facts)
    if value is None and ("boolean" in types or facts.default is None):
        return None  # AI Toolkit takes it for false, or its default is not known
    return _expected(value, types)


def _wrong_entry(value: Any, facts: KeyFacts) -> str | None:
    if isinstance(value, list) and facts.section is not None:
        mappings = all(isinstance(entry, dict) for entry in value)
        return None if mappings else "is not a list of mappings"
    if not isinstance(value, list) or facts.entries is None:
        return None
    for entry in value:
        kind = _kind(entry)
        if kind != facts.entries and not (kind == "integer" and facts.entries == "number"):
            names = {"text": "texts", "integer": "whole numbers", "number": "numbers"}
            return f"is not a list of {names.get(facts.entries, facts.entries)}"
    return None


def _expected(value: Any, types: frozenset[str]) -> str:
    wanted = " or ".join(_NAMES[kind] for kind in sorted(types - {"null"}))
    quoted = repr(shown(value)) if isinstance(value, str) else shown(value)
    told = f"{quoted} is not {wanted}"
    if isinstance(value, str) and _reads_as(value) & types:
        return f"{told}; remove the quotes"
    if isinstance(value, bool) and "text" in types:
        return f"{told}; put it in quotes"
    if value is None:
        return f"is empty; write {wanted}, or remove the key"
    return told


def _reads_as(text: str) -> set[str]:
    """Return the types that the text would have without its quotes."""
    word = text.strip().lower()
    if word in ("true", "false"):
        return {"boolean"}
    if word.lstrip("+-").isdigit():
        return {"integer", "number"}
    return set()


#: In this order: a boolean is an integer for Python.
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "text"),
    (list, "list"),
    (dict, "mapping"),
)


def _kind(value: Any) -> str:
    return next((kind for python, kind in _KINDS if isinstance(value, python)), "null")
