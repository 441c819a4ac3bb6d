from __future__ import annotations

from typing import Any

import pytest

from lorapod.trainers.model_lines import line_of_arch, line_of_model, line_of_notes


@pytest.mark.parametrize(
    ("noted", "line"),
    [
        ({"ss_base_model_version": "sd_v1"}, "sd1"),
        ({"ss_base_model_version": "sd_1.5"}, "sd1"),
        ({"ss_base_model_version": "sdxl_base_v1-0"}, "sdxl"),
        ({"ss_base_model_version": "flux.1_kontext"}, "flux"),
        ({"ss_base_model_version": "flux2_klein_9b"}, "flux2_klein_9b"),
        ({"ss_base_model_version": "flux2"}, "flux2"),
        ({"ss_base_model_version": "wan_2.2_14b"}, "wan22_14b"),
        ({"modelspec.architecture": "stable-diffusion-xl-v1-base/lora"}, "sdxl"),
        ({"ss_base_model_version": "my_own", "modelspec.architecture": "stable-diffusion-v1/lora"}, "sd1"),
        ({"ss_base_model_version": "my_own"}, None),
        ({}, None),
    ],
)
def test_what_a_lora_says_of_its_base_model(noted: dict[str, str], line: str | None) -> None:
    assert line_of_notes(noted) == line


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ({}, "sd1"),
        ({"arch": "sd15"}, "sd1"),
        ({"arch": "sd"}, "sd1"),
        ({"is_xl": True}, "sdxl"),
        ({"arch": "qwen_image:2512"}, "qwen_image"),
        ({"arch": "ernie_image"}, "ernie_image"),
    ],
)
def test_what_a_config_trains(model: dict[str, Any], line: str) -> None:
    assert line_of_model(model) == line
    if "arch" in model:
        assert line_of_arch(model["arch"]) == line
