"""Answers of workers as models, also of workers that are newer or older than this client."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lorapod.client.errors import UnexpectedAnswer

ModelT = TypeVar("ModelT", bound=BaseModel)

#: Rounds in which values that are not understood are left out.
_ROUNDS = 20

Place = tuple[str | int, ...]


def read(model: type[ModelT], answer: Mapping[str, Any]) -> ModelT:
    """Return an answer as a model.

    Fields that this client does not know are left out, and so are values that it does not understand, if the model can do
    without them.

    Raises:
        UnexpectedAnswer: what is left is not such an answer.
    """
    try:
        return model.model_validate(answer, extra="ignore")
    except ValidationError as error:
        problem = error
    rest: Any = copy.deepcopy(dict(answer))
    for _ in range(_ROUNDS):
        places = {
            _place(rest, each["loc"]) for each in problem.errors(include_url=False, include_context=False)
        }
        if () in places:
            break
        for place in sorted(places, key=_order, reverse=True):
            if not any(place[:length] in places for length in range(1, len(place))):
                _remove(rest, place)
        try:
            return model.model_validate(rest, extra="ignore")
        except ValidationError as error:
            problem = error
    first = problem.errors(include_url=False, include_context=False)[0]
    field = ".".join(map(str, first["loc"]))
    raise UnexpectedAnswer(
        f"This client does not understand the worker's answer: {field}: {first['msg']}.",
        hint="Use a client of the worker's release: pip install --upgrade lorapod-client.",
    ) from problem


def _place(answer: Any, named: Sequence[Any]) -> Place:
    """Return the place of a problem in the answer, or of what holds it if it is missing; pydantic names types in between."""
    found: list[str | int] = []
    for part in named:
        if (isinstance(answer, dict) and part in answer) or (
            isinstance(answer, list) and isinstance(part, int) and part < len(answer)
        ):
            answer = answer[part]
        else:
            continue
        found.append(part)
    return tuple(found)


def _order(place: Place) -> list[tuple[bool, str | int]]:
    return [(isinstance(part, int), part) for part in place]


def _remove(answer: Any, place: Place) -> None:
    *above, last = place
    for part in above:
        answer = answer[part]
    del answer[last]
