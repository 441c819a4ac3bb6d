from __future__ import annotations

from typing import Any

import pytest

from lorapod.trainers.builtin.config import SampleSection
from lorapod.trainers.builtin.prompts import SamplePrompt, problems, unread_flags

SAMPLE = SampleSection(
    width=512, height=768, neg="blurry", seed=42, guidance_scale=7, sample_steps=20, walk_seed=True
)


@pytest.mark.parametrize(
    ("prompt", "changed"),
    [
        ("a cat", {}),
        ("a cat --w 256 --h 320", {"width": 256, "height": 320}),
        ("a cat --w 100 --h 1", {"width": 96, "height": 64}),
        ("a cat --seed 7", {"seed": 7}),
        ("a cat --d 8", {"seed": 8}),
        ("a cat --steps 3 --cfg 1.5", {"steps": 3, "guidance": 1.5}),
        ("a cat --s 4 --l 2", {"steps": 4, "guidance": 2.0}),
        ("a cat --n a dog, a bird --w 64", {"negative": "a dog, a bird", "width": 64}),
        ("a cat --n", {"negative": ""}),
        ("a cat --ctrl_img cats/1.png --m 0.5", {}),
    ],
)
def test_flags_as_ai_toolkit_reads_them(prompt: str, changed: dict[str, Any]) -> None:
    plain: dict[str, Any] = {"text": "a cat", "negative": "blurry", "width": 512, "height": 768, "seed": 45}
    assert SamplePrompt.of(prompt, 3, SAMPLE) == SamplePrompt(
        **{**plain, "steps": 20, "guidance": 7.0, **changed}
    )


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a --w wide", "--w 'wide' is not a whole number"),
        ("a --w 9000", "--w 9000 is not between 64 and 4096"),
        ("a --steps 0", "--steps 0 is not between"),
        ("a --cfg x", "--cfg 'x' is not a number"),
        ("a --cfg nan", "is not between"),
        ("a --seed -1", "--seed -1 is not between"),
    ],
)
def test_wrong_values(prompt: str, words: str) -> None:
    ((field, told),) = problems(["a cat", prompt], SAMPLE, "sample.prompts")
    assert field == "sample.prompts[1]"
    assert words in told


def test_flags_that_are_not_read() -> None:
    told = list(unread_flags(["a --w 64", "a --ctrl_img x.png --frames 9"], "sample.prompts"))
    assert [sentence.split(" and ")[0] for sentence in told] == [
        "sample.prompts[1]: the builtin trainer ignores --ctrl_img",
        "sample.prompts[1]: the builtin trainer ignores --frames",
    ]
