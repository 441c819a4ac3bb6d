"""Names and versions that `deploy` knows by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lorapod.client.deploy.options import IMAGE_CUDA
from lorapod.client.deploy.planning import light_image
from lorapod.client.deploy.variables import secret_reference

ROOT = Path(__file__).parents[4]


def test_the_cuda_floor_is_that_of_the_image() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")

    assert re.findall(r"^ARG BASE_IMAGE=nvidia/cuda:(\d+\.\d+)", text, re.MULTILINE) == [IMAGE_CUDA]


@pytest.mark.parametrize(
    ("image", "light"),
    [
        ("me/lorapod:1", "me/lorapod-light:1"),
        ("me/lorapod", "me/lorapod-light"),
        ("registry.example:5000/me/lorapod", "registry.example:5000/me/lorapod-light"),
        ("registry.example:5000/me/lorapod:2", "registry.example:5000/me/lorapod-light:2"),
        ("me/lorapod@sha256:0123", "me/lorapod-light:latest"),
        ("me/lorapod:1@sha256:0123", "me/lorapod-light:latest"),
    ],
)
def test_the_light_image_is_beside_the_workers(image: str, light: str) -> None:
    assert light_image(image) == light


@pytest.mark.parametrize(
    ("value", "secret"),
    [("{{ RUNPOD_SECRET_HF_TOKEN }}", "HF_TOKEN"), ("{{RUNPOD_SECRET_x}}", "x"), ("hf_x", None), ("", None)],
)
def test_references_to_secrets_are_known(value: str, secret: str | None) -> None:
    assert secret_reference(value) == secret
