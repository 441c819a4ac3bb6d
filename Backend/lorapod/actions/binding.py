"""From an action's keyword parameters to the worker's parts of the same names."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, get_type_hints

from lorapod.actions.action import Action, ActionTable, RunPodJob
from lorapod.actions.services import Services, part_types
from lorapod.wire.model import Request, Result

BoundAction = Callable[[Request, RunPodJob], Awaitable[Result]]

#: The parameter that takes the RunPod job, which is another for each call.
_JOB: Final = "job"


class UnboundAction(Exception):
    """An action asks for a part that this worker does not have, or expects it to be of another type."""


def bind_all(actions: ActionTable, services: Services) -> Mapping[str, BoundAction]:
    """Return every action with its parts filled in, by type; `actions` itself is a part, too.

    Raises:
        UnboundAction: an action asks for an unknown part, or for one of another type.
    """
    return {name: _bind(action, actions, services) for name, action in actions.items()}


def _bind(action: Action[Any, Any], actions: ActionTable, services: Services) -> BoundAction:
    types: Mapping[str, object] = {**part_types(), "actions": ActionTable, _JOB: RunPodJob}
    wanted = get_type_hints(action.run)
    parts: dict[str, object] = {}
    names = [
        parameter.name
        for parameter in inspect.signature(action.run).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    for name in names:
        if name not in types:
            known = ", ".join(sorted(types))
            raise UnboundAction(
                f"{action.type} asks for {name!r}, which no worker has; the parts are {known}."
            )
        if wanted.get(name) != types[name]:
            raise UnboundAction(
                f"{action.type} takes {name!r} for {_text(wanted.get(name))}; it is {_text(types[name])}."
            )
        if name == "actions":
            parts[name] = actions
        elif name != _JOB:
            parts[name] = getattr(services, name)
    run = partial(action.run, **parts)
    if _JOB in names:
        return lambda request, job: run(request, job=job)
    return lambda request, _job: run(request)


def _text(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
