"""Trim RunPod's REST v2 specification to the routes that lorapod uses, for the tests.

Run as `python scripts/platform_spec.py [--check] openapi.json`; the specification is public, on RunPod's documentation site. The
result has routes, fields, types and limits; descriptions and examples are left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TRIMMED = Path(__file__).parents[1] / "tests" / "servers" / "runpod_rest_v2.json"

#: The routes that `lorapod.platform` calls.
USED: Mapping[str, tuple[str, ...]] = {
    "/v2/serverless": ("get", "post"),
    "/v2/serverless/{id}": ("get", "patch", "delete"),
    "/v2/serverless/{id}/workers": ("get",),
    "/v2/serverless/{id}/releases": ("get",),
    "/v2/serverless/{id}/workers/{workerId}/logs": ("get",),
    "/v2/network-volumes": ("get", "post"),
    "/v2/network-volumes/{id}": ("get",),
    "/v2/catalog/gpus": ("get",),
    "/v2/catalog/cpus": ("get",),
    "/v2/catalog/datacenters": ("get",),
    "/v2/billing/serverless": ("get",),
    "/v2/billing/network-volumes": ("get",),
}

#: Keywords that only explain.
_PROSE = frozenset({"description", "summary", "example", "examples", "tags", "title", "contact", "license"})


def trimmed(specification: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a specification that `USED` needs, with everything that it refers to.

    Raises:
        KeyError: the specification has no such route.
    """
    paths = {path: _methods(specification["paths"][path], USED[path]) for path in USED}
    components: dict[str, dict[str, Any]] = {
        "securitySchemes": _plain(specification["components"]["securitySchemes"], names=True)
    }
    waiting = list(_references(paths))
    while waiting:
        _, _, kind, name = waiting.pop().split("/")
        if name not in components.setdefault(kind, {}):
            components[kind][name] = _plain(specification["components"][kind][name])
            waiting += _references(components[kind][name])
    return {
        "openapi": specification["openapi"],
        "info": {"title": "RunPod REST API, trimmed", "version": specification["info"]["version"]},
        "servers": [{"url": server["url"]} for server in specification["servers"]],
        "security": specification["security"],
        "paths": paths,
        "components": {kind: dict(sorted(parts.items())) for kind, parts in sorted(components.items())},
    }


def _methods(path: Mapping[str, Any], methods: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: path[name] for name in methods}
    if "parameters" in path:
        kept["parameters"] = path["parameters"]
    return dict(_plain(kept))


def _plain(node: Any, *, names: bool = False) -> Any:
    """Return a node without prose; with `names`, its keys are names and not keywords."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if names:
            kept[key] = _plain(value)
        elif key == "default" and not isinstance(value, dict):
            kept[key] = value
        elif key not in _PROSE and not key.startswith("x-"):
            kept[key] = _plain(
                value, names=key in {"properties", "responses", "headers", "content", "mapping"}
            )
    for answer in kept.get("responses", {}).values():
        # A response needs a description.
        if "$ref" not in answer:
            answer["description"] = ""
    if "content" in kept and "description" in node and "required" not in node:
        kept["description"] = ""
    return kept


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def main(arguments: Sequence[str], *, kept: Path = TRIMMED) -> int:
    """Write the trimmed specification, or with `--check` compare it; return the exit code."""
    *options, source = arguments
    made = json.dumps(trimmed(json.loads(Path(source).read_text("utf-8"))), indent=1) + "\n"
    if "--check" in options:
        return int(kept.read_text("utf-8") != made)
    kept.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
