from __future__ import annotations

import pytest
import typer

from lorapod.client.commands.vary import said, variants


def test_one_variant_for_each_combination() -> None:
    assert variants(["learning-rate=1e-4,2e-4", "rank=8,16"]) == [
        {"learning_rate": 0.0001, "rank": 8},
        {"learning_rate": 0.0001, "rank": 16},
        {"learning_rate": 0.0002, "rank": 8},
        {"learning_rate": 0.0002, "rank": 16},
    ]


def test_words_and_truth_values() -> None:
    assert variants(["optimizer=adamw,prodigy"]) == [{"optimizer": "adamw"}, {"optimizer": "prodigy"}]
    assert variants(["low_vram=true,no"]) == [{"low_vram": True}, {"low_vram": False}]


@pytest.mark.parametrize(
    "options", [["rank"], ["=8"], ["rank="], ["rank=8", "rank=16"], ["seed=" + ",".join(map(str, range(51)))]]
)
def test_what_makes_no_sweep(options: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        variants(options)


def test_how_a_variant_is_shown() -> None:
    assert said({"learning_rate": 0.0001, "optimizer": "adamw", "low_vram": True}) == (
        "learning_rate=0.0001 optimizer=adamw low_vram=true"
    )
