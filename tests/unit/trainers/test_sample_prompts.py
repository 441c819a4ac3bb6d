from __future__ import annotations

from typing import Any

import pytest

from lorapod.trainers.prompt_flags import sample_prompts


@pytest.mark.parametrize(
    ("process", "prompts"),
    [
        (
            {"sample": {"prompts": ["a cat", "[trigger] sits"]}, "trigger_word": "ohwx"},
            ["a cat", "ohwx sits"],
        ),
        ({"sample": {"prompts": ["[trigger] sits"]}}, ["[trigger] sits"]),
        ({"sample": {"samples": [{"prompt": "a dog"}, {}]}}, ["a dog", ""]),
        ({"sample": {"prompts": ["a cat --w 512 --ctrl_img /data/1.png"]}}, ["a cat"]),
        ({"sample": {}}, []),
        ({}, []),
    ],
)
def test_the_prompts_of_a_config(process: dict[str, Any], prompts: list[str]) -> None:
    assert list(sample_prompts({"config": {"process": [process]}})) == prompts


@pytest.mark.parametrize("config", [{}, {"config": {}}, {"config": {"process": []}}])
def test_a_config_of_another_form_has_none(config: dict[str, Any]) -> None:
    assert list(sample_prompts(config)) == []
