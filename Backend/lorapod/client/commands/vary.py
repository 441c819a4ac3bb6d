"""`--vary`: the variants of a sweep."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer

#: As many trainings as one sweep may have.
MOST = 50


def variants(options: Sequence[str]) -> list[dict[str, Any]]:
    """Return one variant for each combination of the values; the last option changes fastest.

    Raises:
        typer.BadParameter: an option is not `NAME=VALUE,VALUE`, is given twice, or there are too many combinations.
    """
    values: dict[str, list[Any]] = {}
    for option in options:
        name, equals, listed = option.partition("=")
        field = name.strip().lstrip("-").replace("-", "_")
        texts = [text.strip() for text in listed.split(",") if text.strip()]
        if not field or not equals or not texts:
            raise _bad(f"{option!r} is not OPTION=VALUE,VALUE, for example rank=8,16")
        if field in values:
            raise _bad(f"{field} is given twice; name all its values in one --vary")
        values[field] = [_value(text) for text in texts]
    found = [
        dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())
    ]
    if len(found) > MOST:
        raise _bad(f"that makes {len(found)} trainings, and a sweep has {MOST} at most")
    return found


def said(variant: Mapping[str, Any]) -> str:
    """Return a variant in the words of the option."""
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in variant.items()
    )


def _value(text: str) -> Any:
    """Return a number or a truth value, or else the text itself."""
    if text in {"yes", "no"}:
        return text == "yes"
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _bad(message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint="--vary")
