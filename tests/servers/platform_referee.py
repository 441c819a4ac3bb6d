"""Holds every request and every answer against RunPod's own specification, in front of a server of a test.

The specification is `runpod_rest_v2.json`: RunPod's, version 2.0.0, trimmed by `scripts/platform_spec.py`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

SPECIFICATION = Path(__file__).with_name("runpod_rest_v2.json")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@cache
def specification() -> dict[str, Any]:
    return dict(json.loads(SPECIFICATION.read_text("utf-8")))


@cache
def _judge() -> OpenAPI:
    config = Config(
        spec_validator_cls=None,
        extra_media_type_deserializers={
            "application/problem+json": json.loads,
            "text/event-stream": bytes.decode,
        },
    )
    return OpenAPI.from_dict(specification(), config=config)


@dataclass(kw_only=True)
class _Request:
    path: str
    method: str
    body: bytes | None
    parameters: RequestParameters
    content_type: str = "application/json"
    host_url: str = "https://api.runpod.io"


@dataclass(kw_only=True)
class _Answer:
    data: bytes
    status_code: int
    content_type: str
    headers: Headers


@dataclass
class Referee:
    """An aiohttp middleware. A request that the specification refuses is answered 422, as RunPod does."""

    #: Each breach, in words; a test ends by looking that there is none.
    breaches: list[str] = field(default_factory=list)

    def middleware(self) -> Any:
        @web.middleware
        async def judge(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith("/v2/"):
                return await handler(request)
            asked = await _request(request)
            if (breach := self._request_breach(asked)) is not None:
                self.breaches.append(f"request {request.method} {request.path_qs}: {breach}")
                return web.json_response(
                    {"title": "Unprocessable Entity", "status": 422, "detail": breach},
                    status=422,
                    content_type="application/problem+json",
                )
            answer = await handler(request)
            self._look_at(asked, answer)
            return answer

        return judge

    def _request_breach(self, asked: _Request) -> str | None:
        try:
            _judge().validate_request(asked)
        except OpenAPIError as error:
            # A request without a key is answered 401 by the server itself.
            if "Security" in type(error).__name__:
                return None
            return _why(error)
        known = _query_names(asked)
        unknown = [name for name in asked.parameters.query if name not in known]
        return f"unknown query parameters: {unknown}" if unknown else None

    def _look_at(self, asked: _Request, answer: web.StreamResponse) -> None:
        body = answer.body if isinstance(answer, web.Response) else b""
        told = _Answer(
            data=bytes(body or b""),  # type: ignore[arg-type]
            status_code=answer.status,
            content_type=answer.content_type,
            headers=Headers(dict(answer.headers)),
        )
        try:
            _judge().validate_response(asked, told)
        except OpenAPIError as error:
            self.breaches.append(f"answer {answer.status} to {asked.method} {asked.path}: {_why(error)}")


async def _request(request: web.Request) -> _Request:
    body = await request.read()
    return _Request(
        path=request.path,
        method=request.method.lower(),
        body=body or None,
        parameters=RequestParameters(
            query=ImmutableMultiDict(list(request.query.items())),
            header=Headers(dict(request.headers)),
            cookie=ImmutableMultiDict(),
        ),
    )


def _query_names(asked: _Request) -> set[str]:
    """The names of the query parameters that the operation has."""
    named = (_resolved(parameter) for parameter in _operation(asked).get("parameters", ()))
    return {parameter["name"] for parameter in named if parameter["in"] == "query"}


def _operation(asked: _Request) -> dict[str, Any]:
    parts = asked.path.split("/")
    for path, methods in specification()["paths"].items():
        shape = path.split("/")
        if len(shape) == len(parts) and all(
            one.startswith("{") or one == part for one, part in zip(shape, parts, strict=True)
        ):
            return dict(methods[asked.method])
    raise AssertionError(f"{asked.path} was found by the judge")


def _resolved(node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    _, *steps = node["$ref"].split("/")
    found: Any = specification()
    for step in steps:
        found = found[step]
    return dict(found)


def _why(error: BaseException) -> str:
    """The innermost reasons."""
    cause = error.__cause__ or error
    reasons = getattr(cause, "schema_errors", None)
    return (
        "; ".join(str(reason.message) for reason in reasons)
        if reasons
        else f"{error} {error.__cause__ or ''}"
    )
