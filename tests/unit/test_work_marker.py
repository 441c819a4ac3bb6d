from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorapod.lease import LeaseState
from lorapod.testing.clock import FakeClock
from lorapod.work_marker import ABANDONED_S, RENEW_S, WorkMarker

NAME = "train_0123456789ab"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sender(tmp_path: Path, clock: FakeClock) -> WorkMarker:
    return WorkMarker(tmp_path / "marks", clock)


@pytest.fixture
def watcher(tmp_path: Path, clock: FakeClock) -> WorkMarker:
    return WorkMarker(tmp_path / "marks", clock)


def test_what_is_renewed_is_not_abandoned(
    sender: WorkMarker, watcher: WorkMarker, clock: FakeClock, tmp_path: Path
) -> None:
    sender.set(NAME)
    for _ in range(10):
        assert not watcher.abandoned()
        clock.advance(RENEW_S)
        assert sender.renew(NAME) is LeaseState.HELD
        # A volume that keeps no times of change, or keeps them for long, changes nothing.
        os.utime(tmp_path / "marks" / NAME, (1.0, 1.0))


def test_what_stands_still_is_abandoned(sender: WorkMarker, watcher: WorkMarker, clock: FakeClock) -> None:
    sender.set(NAME)
    assert not watcher.abandoned()
    clock.advance(ABANDONED_S - 1)
    assert not watcher.abandoned()
    clock.advance(1)
    assert watcher.abandoned() == [NAME]


def test_a_sender_that_wakes_late_learns_that_another_one_sends(
    sender: WorkMarker, watcher: WorkMarker, clock: FakeClock
) -> None:
    sender.set(NAME)
    watcher.abandoned()
    clock.advance(ABANDONED_S)
    assert watcher.abandoned() == [NAME]
    watcher.set(NAME)
    assert sender.renew(NAME) is LeaseState.LOST
    assert watcher.renew(NAME) is LeaseState.HELD


def test_of_two_that_take_it_up_at_once_one_goes_on(sender: WorkMarker, watcher: WorkMarker) -> None:
    sender.set(NAME)
    watcher.set(NAME)
    states = {sender.renew(NAME), watcher.renew(NAME)}
    assert states == {LeaseState.HELD, LeaseState.LOST}


def test_a_worker_of_an_earlier_version_shows_its_life_by_the_time_of_change(
    watcher: WorkMarker, clock: FakeClock, tmp_path: Path
) -> None:
    folder = tmp_path / "marks"
    folder.mkdir()
    mark = folder / NAME
    for second in range(1, 10):
        mark.touch()
        os.utime(mark, (second, second))
        assert not watcher.abandoned()
        clock.advance(ABANDONED_S)
    assert watcher.abandoned() == [NAME]


def test_a_worker_of_an_earlier_version_sees_a_change(sender: WorkMarker, tmp_path: Path) -> None:
    sender.set(NAME)
    mark = tmp_path / "marks" / NAME
    os.utime(mark, (1.0, 1.0))
    sender.renew(NAME)
    assert mark.stat().st_mtime_ns != 1_000_000_000


def test_what_is_done_is_marked_no_more(sender: WorkMarker, watcher: WorkMarker, clock: FakeClock) -> None:
    sender.set(NAME)
    watcher.abandoned()
    assert watcher.stands(NAME)
    sender.remove(NAME)
    sender.remove(NAME)
    clock.advance(ABANDONED_S)
    assert not watcher.stands(NAME)
    assert not watcher.abandoned()
