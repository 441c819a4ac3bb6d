"""From a caller's object to a checked request, or to one sentence that says what is wrong with it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

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
        details = [_named(model, detail) for detail in error.errors(include_url=False)]
        raise problems_found(_told_once([_problem(model, detail) for detail in details])) from None
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


def _named(model: type[BaseModel], detail: ErrorDetails) -> ErrorDetails:
    """Return the problem at its field's own name: pydantic adds the type that it tried to a field of several types."""
    place: list[str | int] = []
    annotation: Any = model
    for part in detail["loc"]:
        choices = _choices(annotation)
        if len(choices) > 1:
            # What follows is read by the one choice that the name of the type begins like.
            annotation = next((choice for choice in choices if _begins_like(part, choice)), None)
            continue
        place.append(part)
        annotation = _annotation_below(choices[0] if choices else None, part)
    return {**detail, "loc": tuple(place)}


def _told_once(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one problem a field; if one choice of types was wrong only further in, that one alone."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        errors.setdefault(problem["field"], []).append(problem["error"])
    return [
        {"field": field, "error": ", or ".join(dict.fromkeys(told))}
        for field, told in errors.items()
        if not any(other.startswith(f"{field}.") for other in errors)
    ]


def _choices(annotation: Any) -> list[Any]:
    """Return the types of a union, without None; of another annotation itself."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, UnionType}:
        return [one for choice in get_args(annotation) if choice is not NoneType for one in _choices(choice)]
    return [] if annotation is None else [annotation]


def _begins_like(tag: str | int, choice: Any) -> bool:
    kind = get_origin(choice) or choice
    return str(tag).startswith(getattr(kind, "__name__", "?"))


def _annotation_below(annotation: Any, part: str | int) -> Any:
    if _is_model(annotation):
        fields = annotation.model_fields
        found = next((field for name, field in fields.items() if part in {name, field.alias}), None)
        return found.annotation if found is not None else None
    arguments = [argument for argument in get_args(annotation) if argument is not Ellipsis]
    return arguments[-1] if arguments else None


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
