"""The console's API: one module a noun, each with `routes(parts)`."""

from __future__ import annotations

from aiohttp import web

from lorapod.client.console.parts import ConsoleParts
from lorapod.client.console.routes import (
    checkpoints,
    comparisons,
    contents,
    datasets,
    doctor,
    home,
    library,
    logs,
    new_training,
    playground,
    trainings,
    uploads,
)

_MODULES = (
    home,
    comparisons,
    checkpoints,
    logs,
    trainings,
    datasets,
    uploads,
    new_training,
    library,
    playground,
    doctor,
    contents,
)


def all_routes(parts: ConsoleParts) -> list[web.RouteDef]:
    """Return the routes of every module."""
    return [route for module in _MODULES for route in module.routes(parts)]
