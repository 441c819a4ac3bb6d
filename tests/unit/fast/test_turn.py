from __future__ import annotations

from pathlib import Path

import pytest

from lorapod.fast.building.turn import FOLDER, Turn
from lorapod.testing.clock import FakeClock

STALE_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def turn(folder: Path, clock: FakeClock) -> Turn:
    return Turn(folder, stale_s=STALE_S, monotonic=clock.monotonic)


def test_it_is_one_s_until_it_is_left(tmp_path: Path, clock: FakeClock) -> None:
    first, second = turn(tmp_path, clock), turn(tmp_path, clock)
    assert first.take()
    assert not second.take()
    first.tell({"step": "fetching"})
    assert second.news() == {"step": "fetching"}
    second.leave()
    assert first.ours
    first.leave()
    assert second.take()


def test_whoever_shows_that_it_lives_keeps_it(tmp_path: Path, clock: FakeClock) -> None:
    first, second = turn(tmp_path, clock), turn(tmp_path, clock)
    assert first.take()
    for _ in range(20):
        clock.advance(STALE_S - 1)
        first.tell({})
        assert not second.take()


def test_one_that_stands_still_is_over(tmp_path: Path, clock: FakeClock) -> None:
    first, second, third = (turn(tmp_path, clock) for _ in range(3))
    assert first.take()
    assert not second.take()
    clock.advance(STALE_S - 1)
    assert not second.take()
    # By its own watch: whoever comes later begins to watch later.
    assert not third.take()
    clock.advance(2)
    assert not second.take()
    assert second.take()
    assert not first.ours
    first.leave()
    assert second.ours


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]"])
def test_one_that_died_at_its_first_word_is_over_too(
    tmp_path: Path, clock: FakeClock, content: bytes | None
) -> None:
    (tmp_path / FOLDER).mkdir()
    if content is not None:
        (tmp_path / FOLDER / "news.json").write_bytes(content)
    second = turn(tmp_path, clock)
    assert not second.take()
    assert second.news() == {}
    clock.advance(STALE_S)
    assert not second.take()
    assert second.take()
