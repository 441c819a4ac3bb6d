"""From a caller's object to a checked request, or to one sentence that says what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lorapod.errors import InvalidInput

ModelT = TypeVar("ModelT", bound=BaseModel)

_SHOWN_PROBLEMS = 3


def parse(model: type[ModelT], fields: Mapping[str, Any]) -> ModelT:
    """`fields` as a `model`.

    Raises:
        InvalidInput: it does not fit; `details` has one entry for every problem, and an unknown field is answered
            with the nearest known one.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = [_problem(model, detail) for detail in error.errors(include_url=False)]
        raise problems_found(problems) from None
    except RecursionError:
        raise InvalidInput("The request is nested too deeply.") from None


def problems_found(problems: list[dict[str, Any]]) -> InvalidInput:
    """One error for any number of problems, each `{"field", "error"}`; the first few stand in its message."""
    shown = "; ".join(f"{problem['field']}: {problem['error']}" for problem in problems[:_SHOWN_PROBLEMS])
    more = len(problems) - _SHOWN_PROBLEMS
    sentence = f"{shown}; and {more} more" if more > 0 else shown
    return InvalidInput(sentence if sentence.endswith("?") else f"{sentence}.", details=problems)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`; None if no word is similar."""
    matches = difflib.get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _problem(model: type[BaseModel], detail: ErrorDetails) -> dict[str, Any]:
    field = ".".join(str(part) for part in detail["loc"]) or "input"
    shown = field if len(field) <= 80 else f"{field[:77]}..."
    match detail["type"]:
        case "extra_forbidden":
            meant = nearest(str(detail["loc"][-1]), _names_beside(model, detail["loc"]))
            return {"field": shown, "error": f"unknown field{f', did you mean {meant!r}?' if meant else ''}"}
        case "missing":
            return {"field": shown, "error": "is required"}
        case "too_short":
            least = detail["ctx"]["min_length"]
            return {
                "field": shown,
                "error": f"must have at least {least} {'entry' if least == 1 else 'entries'}",
            }
        case "dict_type" | "mapping_type" | "model_type" | "model_attributes_type":
            return {"field": shown, "error": "must be an object"}
        case _:
            message = (
                detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be").rstrip(".")
            )
            return {"field": shown, "error": message[:1].lower() + message[1:]}


def _names_beside(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The known names at the place of an unknown field, nested models followed."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, int) or not _is_model(current):
            continue
        field = current.model_fields.get(part)
        current = _inner_model(field.annotation) if field else None
    return [field.alias or name for name, field in current.model_fields.items()] if _is_model(current) else []


def _inner_model(annotation: Any) -> Any:
    if _is_model(annotation):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _inner_model(argument)) is not None:
            return found
    return None


def _is_model(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
