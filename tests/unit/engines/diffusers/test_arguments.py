from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorapod.engines.diffusers.child.arguments import arguments_for
from lorapod.engines.diffusers.messages import Generate
from lorapod.errors import InvalidInput


class Usual:
    def __call__(
        self,
        prompt: str,
        *,
        image: Any = None,
        strength: float = 0.8,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: str | None = None,
        eta: float = 0.0,
        generator: Any = None,
        ip_adapter_image_embeds: Any = None,
    ) -> None: ...


class Distilled:
    """Has no guidance, and looks at a negative prompt only on demand, as Flux does."""

    def __call__(
        self,
        prompt: str,
        num_inference_steps: int = 4,
        negative_prompt: str | None = None,
        true_cfg_scale: float = 1.0,
    ) -> None: ...


class Bare:
    def __call__(self, prompt: str) -> None: ...


def asked(**fields: Any) -> Generate:
    return Generate(**{"job": "1", "prompt": "p", "seed": 1, "num_images": 1, "folder": Path("/f")} | fields)


def test_what_is_left_out_stays_the_pipelines_own() -> None:
    made = arguments_for(Usual(), asked())
    assert made.given == {"prompt": "p"}
    assert made.warnings == []


def test_fields_and_parameters_become_arguments() -> None:
    request = asked(
        steps=3, guidance_scale=2.5, negative_prompt="n", image=Path("/i"), strength=0.5, params={"eta": 0.1}
    )
    assert arguments_for(Usual(), request).given == {
        "prompt": "p",
        "num_inference_steps": 3,
        "guidance_scale": 2.5,
        "negative_prompt": "n",
        "strength": 0.5,
        "eta": 0.1,
    }


def test_what_it_does_not_take_is_named() -> None:
    request = asked(steps=3, guidance_scale=2.5, negative_prompt="n", params={"eta": 1, "scheduler": "x"})
    made = arguments_for(Bare(), request)
    assert made.given == {"prompt": "p"}
    assert made.warnings == [
        "steps has no effect: Bare takes none.",
        "guidance_scale has no effect: Bare takes none.",
        "negative_prompt has no effect: Bare takes none.",
        "params.eta was left out: Bare takes no such parameter.",
    ]


def test_an_empty_negative_prompt_is_no_matter() -> None:
    assert arguments_for(Bare(), asked(negative_prompt="")).warnings == []


@pytest.mark.parametrize("name", ["prompt", "generator", "ip_adapter_image_embeds", "output_type", "self"])
def test_what_is_not_a_callers_to_set(name: str) -> None:
    made = arguments_for(Usual(), asked(params={name: "x"}))
    assert made.given == {"prompt": "p"}
    assert made.warnings == [f"params.{name} was left out: it cannot be set so."]


def test_a_negative_prompt_that_needs_another_guidance() -> None:
    (warning,) = arguments_for(Distilled(), asked(negative_prompt="n")).warnings
    assert "params.true_cfg_scale" in warning
    assert arguments_for(Distilled(), asked(negative_prompt="n", params={"true_cfg_scale": 4})).warnings == []


def test_strength_that_leaves_no_step() -> None:
    with pytest.raises(InvalidInput, match=r"strength 0\.1 of 9 steps"):
        arguments_for(Usual(), asked(image=Path("/i"), strength=0.1, steps=9))
    assert arguments_for(Usual(), asked(image=Path("/i"), strength=0.1, steps=10)).given["strength"] == 0.1
    assert arguments_for(Usual(), asked(strength=0.1)).warnings == [
        "strength has no effect without an input image."
    ]
