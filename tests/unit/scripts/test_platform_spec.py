"""The trimmed specification of RunPod's management API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import platform_spec

WHOLE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "All", "version": "2.0.0", "description": "prose"},
    "servers": [{"url": "https://api.runpod.io", "description": "prose"}],
    "security": [{"bearerAuth": []}],
    "paths": {
        **{
            path: {method: {"summary": "prose", "responses": {}} for method in methods}
            for path, methods in platform_spec.USED.items()
        },
        "/v2/pods": {"get": {}},
        "/v2/network-volumes": {
            "post": {"responses": {"201": {"description": "prose", "content": {}}}},
            "get": {
                "responses": {"200": {"$ref": "#/components/responses/Volumes"}},
                "x-codeSamples": ["prose"],
            },
        },
    },
    "components": {
        "securitySchemes": {"bearerAuth": {"type": "http", "scheme": "bearer", "description": "prose"}},
        "responses": {
            "Volumes": {
                "description": "prose",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Volume"}}},
            }
        },
        "schemas": {
            "Volume": {
                "description": "prose",
                "properties": {"title": {"type": "string", "description": "prose", "examples": ["prose"]}},
            },
            "Pod": {"type": "object"},
        },
    },
}


def test_what_is_used_stays_and_prose_goes() -> None:
    made = platform_spec.trimmed(WHOLE)

    assert "prose" not in json.dumps(made)
    assert "/v2/pods" not in made["paths"]
    assert made["components"]["schemas"] == {"Volume": {"properties": {"title": {"type": "string"}}}}
    assert made["components"]["responses"]["Volumes"]["description"] == ""
    assert made["info"]["version"] == "2.0.0"


def test_a_route_that_is_gone_is_an_error() -> None:
    whole = {**WHOLE, "paths": {}}

    with pytest.raises(KeyError):
        platform_spec.trimmed(whole)


def test_the_check_finds_a_specification_that_has_changed(tmp_path: Path) -> None:
    whole = tmp_path / "openapi.json"
    whole.write_text(json.dumps(WHOLE))
    kept = tmp_path / "kept.json"

    platform_spec.main([str(whole)], kept=kept)

    assert platform_spec.main(["--check", str(whole)], kept=kept) == 0
    whole.write_text(json.dumps({**WHOLE, "openapi": "3.2.0"}))
    assert platform_spec.main(["--check", str(whole)], kept=kept) == 1
