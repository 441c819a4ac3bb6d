from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorapod.fast.building.turn import FOLDER, BuildTurn
from lorapod.lease import LeaseState, LeaseTimes
from lorapod.testing.clock import FakeClock

TIMES = LeaseTimes(lease_s=10)
STALE_S = TIMES.expiry_s
HELD, LOST, UNCERTAIN = LeaseState.HELD, LeaseState.LOST, LeaseState.UNCERTAIN


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def turn(folder: Path, clock: FakeClock) -> BuildTurn:
    return BuildTurn(folder, TIMES, monotonic=clock.monotonic)


def taken_over(first: BuildTurn, second: BuildTurn, clock: FakeClock) -> None:
    """The first stands still, and the second takes its turn."""
    assert first.take()
    assert not second.take()
    clock.advance(STALE_S)
    assert not second.take()
    assert second.take()


def test_it_is_one_s_until_it_is_left(tmp_path: Path, clock: FakeClock) -> None:
    first, second = turn(tmp_path, clock), turn(tmp_path, clock)
    assert first.take()
    assert not second.take()
    first.tell({"step": "fetching"})
    assert second.news() == {"step": "fetching"}
    second.leave()
    assert first.check() is HELD
    first.leave()
    assert first.check() is LOST
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
    assert first.check() is LOST
    first.leave()
    assert second.check() is HELD


def test_one_that_wakes_up_late_changes_nothing_of_the_next_ones(tmp_path: Path, clock: FakeClock) -> None:
    first, second, third = (turn(tmp_path, clock) for _ in range(3))
    taken_over(first, second, clock)
    second.tell({"step": "installing"})
    first.tell({"step": "late"})
    assert third.news() == {"step": "installing"}
    assert (first.check(), second.check()) == (LOST, HELD)
    first.leave()
    assert second.check() is HELD
    assert not third.take()


def test_a_watcher_that_stood_still_takes_no_living_ones_turn_away(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, late = (turn(tmp_path, clock) for _ in range(3))
    assert first.take()
    assert not second.take()
    assert not late.take()
    clock.advance(STALE_S)
    rename = Path.rename

    def stand_still(path: Path, target: Path) -> Path:
        """Between its judgement and its rename another one takes the turn."""
        monkeypatch.setattr(Path, "rename", rename)
        assert not second.take()
        assert second.take()
        return path.rename(target)

    monkeypatch.setattr(Path, "rename", stand_still)
    assert not late.take()
    assert second.check() is HELD
    assert not late.take()


def test_one_that_shows_nothing_for_a_while_is_uncertain(tmp_path: Path, clock: FakeClock) -> None:
    first = turn(tmp_path, clock)
    assert first.take()
    clock.advance(TIMES.fence_s)
    assert first.check() is UNCERTAIN
    first.tell({})
    assert first.check() is HELD


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


def test_a_builder_of_an_earlier_version_is_understood(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / FOLDER).mkdir()
    news = tmp_path / FOLDER / "news.json"
    mine = turn(tmp_path, clock)
    for beat in range(1, 10):
        news.write_text(json.dumps({"token": "0123456789abcdef", "beat": beat, "news": {"step": "creating"}}))
        assert not mine.take()
        assert mine.news() == {"step": "creating"}
        clock.advance(STALE_S)
    assert not mine.take()
    assert mine.take()


def test_it_shows_itself_as_earlier_versions_read_it(tmp_path: Path, clock: FakeClock) -> None:
    mine = turn(tmp_path, clock)
    assert mine.take()
    shown = []
    for _ in range(2):
        mine.tell({"step": "creating"})
        shown.append(json.loads((tmp_path / FOLDER / "news.json").read_bytes()))
    assert shown[0]["token"] == shown[1]["token"]
    assert shown[0]["beat"] < shown[1]["beat"]
    assert shown[1]["news"] == {"step": "creating"}
