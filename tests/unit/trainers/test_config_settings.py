from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lorapod.trainers.config_settings import read_summary, settings_of

CONFIG = """
job: extension
config:
  name: cat
  process:
    - type: sd_trainer
      trigger_word: mycat
      network: {type: lora, linear: 16, linear_alpha: 8}
      train: {lr: 1e-4, batch_size: 2, optimizer: adamw8bit}
      model: {name_or_path: some/model, arch: sdxl}
      datasets:
        - resolution: [768, 1024]
        - resolution: 512
      sample:
        prompts: ["[trigger] on a sofa --w 512", "<img src=x onerror=alert(1)>"]
"""


def test_what_people_compare_is_taken_from_the_config(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, "utf-8")

    summary = read_summary(path)

    assert summary is not None
    assert summary.settings.model_dump() == {
        "learning_rate": 1e-4,
        "rank": 16,
        "alpha": 8.0,
        "batch_size": 2,
        "resolution": [512, 768, 1024],
        "optimizer": "adamw8bit",
        "arch": "sdxl",
    }
    assert summary.prompts == ["mycat on a sofa", "<img src=x onerror=alert(1)>"]


def test_a_config_that_has_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, "utf-8")
    read_summary(path)
    path.write_text(CONFIG.replace("linear: 16", "linear: 32"), "utf-8")
    os.utime(path, ns=(1, 1))

    summary = read_summary(path)

    assert summary is not None
    assert summary.settings.rank == 32


@pytest.mark.parametrize("content", [None, b"", b"- a list", b"\xff\xfe", b"a: [", b"steps: 5"])
def test_what_is_no_config_has_no_settings(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_bytes(content)

    summary = read_summary(path)

    assert summary is None or (summary.settings.rank is None and list(summary.prompts) == [])


@pytest.mark.parametrize(
    "process",
    [
        {"network": "lora", "train": [1], "model": None, "datasets": "x"},
        {"network": {"linear": "sixteen"}, "train": {"lr": True, "batch_size": 1.5}, "datasets": ["x", {}]},
        {"datasets": [{"resolution": ["512", None]}]},
    ],
)
def test_values_of_another_type_are_left_out(process: dict[str, Any]) -> None:
    found = settings_of({"config": {"process": [process]}})

    assert set(found.model_dump(exclude={"resolution"}).values()) == {None}
    assert found.resolution == []
