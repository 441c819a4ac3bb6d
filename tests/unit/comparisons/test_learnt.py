"""What an early stop by likeness is measured on: the samples that a config draws, and the images that it learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorapod.comparisons.sample_likeness.learnt import (
    check_dataset,
    dataset_images,
    steps_between_samples,
    telling_prompts,
)
from lorapod.errors import InvalidInput
from lorapod.trainers.port import TrainingPlan


def plan(
    *, trigger_word: str | None = "mycat", train: dict[str, Any] | None = None, **sample: Any
) -> TrainingPlan:
    prompts = ["[trigger] on a beach", "a house", "mycats", "MyCat at night --seed 3"]
    process: dict[str, Any] = {"train": train or {}, "sample": {"prompts": prompts, **sample}}
    if trigger_word is not None:
        process["trigger_word"] = trigger_word
    return TrainingPlan(
        process_id="train_1",
        name="cat",
        config={"config": {"process": [process]}},
        run_folder=Path("/run"),
        control_path=Path("/control"),
        total_steps=1000,
        trigger_word=trigger_word,
    )


def test_the_prompts_with_the_trigger_word_show_what_is_learnt() -> None:
    assert telling_prompts(plan()) == {0, 3}
    assert telling_prompts(plan(trigger_word=None)) == {0, 1, 2, 3}
    assert telling_prompts(plan(samples=[{"prompt": "a house"}, {"prompt": "a mycat"}])) == {1}


def test_how_often_samples_are_drawn() -> None:
    assert steps_between_samples(plan()) == 100, "AI Toolkit's default"
    assert steps_between_samples(plan(sample_every=250, format="png")) == 250


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompts": []}, "draws no samples"),
        ({"train": {"disable_sampling": True}}, "draws no samples"),
        ({"format": "mp3"}, "samples are mp3 files"),
        ({"sample_every": 0}, "only before and after its 1000 steps"),
        ({"sample_every": 1000}, "only before and after its 1000 steps"),
        ({"sample_every": "often"}, "only before and after"),
        ({"prompts": ["a house"]}, "no sample prompt has the trigger word 'mycat'"),
    ],
)
def test_samples_that_cannot_be_measured_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as refused:
        steps_between_samples(plan(**fields))
    assert refused.value.hint
    assert refused.value.details[0]["field"] == "stop_when"


def test_images_for_regularisation_and_videos_are_no_images_to_be_like(tmp_path: Path) -> None:
    for name in ("own/1.png", "own/clip.mp4", "own/1.txt", "kept/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = plan()
    found.config["config"]["process"][0]["datasets"] = [
        {"folder_path": str(tmp_path / "own")},
        {"folder_path": str(tmp_path / "own"), "resolution": [768]},
        {"folder_path": str(tmp_path / "kept"), "is_reg": True},
    ]
    images = dataset_images(found, tmp_path)
    assert [path.name for path in images] == ["1.png"]
    check_dataset(images)
    with pytest.raises(InvalidInput, match="no images"):
        check_dataset([])
