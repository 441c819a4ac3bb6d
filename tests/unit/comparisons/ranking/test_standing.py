"""The order, the reasons in words and what is recommended; on numbers."""

from __future__ import annotations

import random

import pytest

from lorapod.comparisons.ranking.shares import Scale, drift_share, scale_between
from lorapod.comparisons.ranking.standing import Entrant, Ranking, rank

BLOCKS = [(f"prompt {prompt}", seed) for prompt in range(4) for seed in (1, 2)]
NAMES = ["step 10", "step 500", "step 9000"]


def ranking(seed: int = 0, *, shuffled: bool = False, spread: float = 0.05, blocks: int = 8) -> Ranking:
    """Too few steps, enough, far too many."""
    source = random.Random(seed)
    means = {"likeness": [0.02, 0.85, 1.0], "drift": [0.02, 0.2, 0.9], "memorised": [0.0, 0.0, 1.0]}
    parts = {}
    for name, values in means.items():
        columns = []
        for _ in range(blocks):
            column = [value + source.gauss(0, spread) for value in values]
            columns.append(source.sample(column, 3) if shuffled else column)
        parts[name] = list(zip(*columns, strict=True))
    entrants = [Entrant(name=name, dataset_size=10) for name in NAMES[:2]]
    entrants.append(Entrant(name=NAMES[2], copied=0 if shuffled else 2, dataset_size=10))
    return rank(entrants, BLOCKS[:blocks], parts)


def test_too_few_enough_and_far_too_many_steps_are_in_the_right_order() -> None:
    ranked = ranking()
    assert [NAMES[one.entrant] for one in ranked.standings] == ["step 500", "step 10", "step 9000"]
    assert [one.place for one in ranked.standings] == [1, 2, 3]
    assert ranked.recommended == 1
    assert [list(one.reasons) for one in ranked.standings] == [
        ["most like the dataset, with others"],
        [
            "least like the dataset",
            "changes other pictures least",
            "hardly more like the dataset than the base model's pictures",
        ],
        [
            "most like the dataset, with others",
            "changes other pictures most",
            "may have memorised 2 of 10 images",
        ],
    ]
    assert not ranked.warnings


@pytest.mark.parametrize("seed", range(5))
def test_a_shuffled_control_recommends_nothing(seed: int) -> None:
    ranked = ranking(seed, shuffled=True)
    assert ranked.recommended is None
    assert {one.place for one in ranked.standings} == {1}
    for one in ranked.standings:
        others = [name for name in NAMES if name != NAMES[one.entrant]]
        assert one.reasons[-1] == f"tied with {others[0]} and {others[1]}"
        assert not any("most" in reason for reason in one.reasons)
    assert "differ less than prompts and seeds" in ranked.warnings[0]


def test_with_too_few_images_nothing_is_recommended_and_what_to_do_is_said() -> None:
    ranked = ranking(blocks=3)
    assert ranked.recommended is None
    assert "3 images of each LoRA are too few" in ranked.warnings[0]


def test_one_lora_alone_is_neither_best_nor_tied() -> None:
    ranked = rank([Entrant(name="step 1")], BLOCKS, {"likeness": [[0.5] * 8]})
    assert (ranked.recommended, ranked.standings[0].reasons, ranked.warnings) == (None, [], [])


def test_a_part_that_not_every_lora_has_does_not_count() -> None:
    parts: dict[str, list[list[float | None]]] = {
        "likeness": [[0.5] * 8, [0.5] * 8],
        "drift": [[None] * 8, [0.9] * 8],
    }
    ranked = rank([Entrant(name="a"), Entrant(name="b")], BLOCKS, parts)
    assert [one.score for one in ranked.standings] == [0.5, 0.5]
    assert "does not count drift" in ranked.warnings[0]


def test_a_share_ends_at_the_datasets_own_likeness() -> None:
    scale = Scale(floor=0.4, ceiling=0.8)
    assert scale.share(0.6) == pytest.approx(0.5)
    assert (scale.share(0.99), scale.share(-1)) == (1, -1)
    assert scale.lead(0.6) == pytest.approx(-0.5)


def test_groups_that_differ_by_chance_have_no_scale() -> None:
    assert scale_between([0.1, 0.2, 0.3], [0.8, 0.9]) is not None
    assert scale_between([0.1, 0.9, 0.5], [0.5, 0.6, 0.55]) is None
    assert scale_between([0.9], [0.1]) is None
    assert scale_between([], [1.0]) is None


def test_a_drift_is_measured_in_ways_to_the_dataset() -> None:
    assert drift_share(0.1, [0.6]) == pytest.approx(0.25)
    assert drift_share(0.9, [0.6]) == 1
    assert drift_share(0.9, [1.0]) == 0
