"""What the bootstrap tells apart, and what it calls a tie; on numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from lorapod.comparisons.ranking import places
from lorapod.comparisons.ranking.places import Block, find_places

ONE = {"x": 1.0}


def grid(prompts: int, seeds: int) -> Sequence[Block]:
    return [(f"prompt {prompt}", seed) for prompt in range(prompts) for seed in range(seeds)]


def noisy(
    means: Sequence[float], blocks: Sequence[Block], seed: int, spread: float = 1.0
) -> list[list[float]]:
    source = random.Random(seed)
    of_block = [source.gauss(0, 5) for _ in blocks]
    return [[mean + shift + source.gauss(0, spread) for shift in of_block] for mean in means]


def test_what_a_prompt_does_to_all_is_no_difference() -> None:
    blocks = grid(4, 2)
    found = find_places(blocks, {"x": noisy([0, 3, 6], blocks, 1)}, ONE)
    assert [found.place(one) for one in range(3)] == [3, 2, 1]
    assert found.tied_with(0) == []


def test_the_same_numbers_get_the_same_places() -> None:
    blocks = grid(4, 2)
    part = {"x": noisy([0, 1, 2], blocks, 3)}
    assert find_places(blocks, part, ONE) == find_places(blocks, part, ONE)


def test_two_that_are_alike_share_the_place_above_a_third() -> None:
    blocks = grid(6, 2)
    found = find_places(blocks, {"x": noisy([5, 5.05, 0], blocks, 2)}, ONE)
    assert [found.place(one) for one in range(3)] == [1, 1, 3]
    assert (found.tied_with(0), found.all_tied) == ([1], False)


@pytest.mark.parametrize(
    ("prompts", "seeds", "candidates"), [(1, 4, 2), (4, 1, 2), (4, 1, 5), (3, 4, 4), (8, 2, 8)]
)
def test_a_shuffled_control_does_not_rank(
    prompts: int, seeds: int, candidates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Candidates that differ much, with their values dealt out anew for each prompt and seed."""
    monkeypatch.setattr(places, "RESAMPLES", 200)
    blocks, controls, ranked = grid(prompts, seeds), 40, 0
    for number in range(controls):
        columns = list(zip(*noisy(list(range(candidates)), blocks, number), strict=True))
        source = random.Random(number)
        shuffled = [source.sample(column, len(column)) for column in columns]
        rows = list(zip(*shuffled, strict=True))
        ranked += not find_places(blocks, {"x": rows}, ONE).all_tied
    assert ranked <= controls * 0.15


def test_too_few_images_tell_nothing() -> None:
    blocks = grid(3, 1)
    found = find_places(blocks, {"x": [[0, 0, 0], [9, 9, 9]]}, ONE)
    assert (found.margins, found.all_tied) == (None, True)


def test_equal_values_are_a_tie_and_an_even_difference_is_none() -> None:
    blocks = grid(2, 2)
    assert find_places(blocks, {"x": [[1] * 4, [1] * 4]}, ONE).all_tied
    assert find_places(blocks, {"x": [[1] * 4, [2] * 4]}, ONE).better(1, 0)


def test_a_part_counts_by_its_weight_and_only_where_it_is_known() -> None:
    blocks = grid(2, 2)
    parts: dict[str, list[list[float | None]]] = {
        "x": [[1, 1, 1, 1], [0, 0, 0, 0]],
        "y": [[0, None, None, 0], [4, None, None, 4]],
    }
    found = find_places(blocks, parts, {"x": 1.0, "y": 0.5, "z": 1.0})
    assert found.scores == [1.0, 2.0]
    assert find_places(blocks, parts, {"x": 1.0}).scores == [1.0, 0.0]


def test_one_that_varies_much_does_not_hide_how_two_others_differ() -> None:
    blocks = grid(8, 1)
    source = random.Random(4)
    rows = [
        [mean + source.gauss(0, spread) for _ in blocks] for mean, spread in ((0, 0.2), (2, 0.2), (1, 2.5))
    ]
    found = find_places(blocks, {"x": rows}, ONE)
    assert found.better(1, 0)
    assert set(found.tied_with(2)) == {0, 1}


def test_a_part_that_is_known_of_few_prompts_takes_part_in_every_resample() -> None:
    blocks = grid(6, 1)
    even = [[1.0] * 6, [1.0] * 6]
    rare: list[list[float | None]] = [[0.0, *[None] * 5], [1.0, *[None] * 5]]
    found = find_places(blocks, {"x": even, "y": rare}, {"x": 1.0, "y": -1.0})
    assert found.better(0, 1), "nothing of it varies, also in the resamples that lack that prompt"
