from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count

import pytest

from lorapod.telemetry.probe import Probe

LONG_S = 30.0


class Source:
    """Counts its readings; while it is blocked, a reading does not return."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.inside = threading.Semaphore(0)
        self._numbers = count(1)

    def read(self) -> int:
        number = next(self._numbers)
        self.inside.release()
        self.open.wait()
        return number


@pytest.fixture
def source() -> Iterator[Source]:
    source = Source()
    yield source
    source.open.set()


def test_each_question_is_answered_by_a_new_reading(source: Source) -> None:
    probe = Probe("test", source.read)
    assert [probe.ask(LONG_S).value for _ in range(3)] == [1, 2, 3]


def test_one_that_hangs_answers_with_its_last_value_and_its_age(source: Source) -> None:
    probe = Probe("test", source.read)
    assert probe.ask(LONG_S).value == 1
    source.open.clear()
    late = probe.ask(0.01)
    assert (late.value, late.answered) == (1, False)
    assert late.age_s > 0


def test_one_that_never_answered_has_no_value(source: Source) -> None:
    source.open.clear()
    reading = Probe("test", source.read).ask(0.01)
    assert (reading.value, reading.answered) == (None, False)


def test_one_that_hangs_keeps_one_thread_and_is_believed_again_when_it_returns(source: Source) -> None:
    probe = Probe("hanging", source.read)
    source.open.clear()
    for _ in range(20):
        probe.ask(0.001)
    assert sum(thread.name == "probe-hanging" for thread in threading.enumerate()) == 1
    source.open.set()
    assert probe.ask(LONG_S).answered


def test_a_reading_that_began_before_the_question_does_not_answer_it(source: Source) -> None:
    """A GPU's free memory is asked for right after it was freed."""
    probe = Probe("test", source.read)
    source.open.clear()
    first = threading.Thread(target=probe.ask, args=(LONG_S,))
    first.start()
    assert source.inside.acquire(timeout=LONG_S)
    answers: list[int | None] = []
    second = threading.Thread(target=lambda: answers.append(probe.ask(LONG_S).value))
    second.start()
    source.open.set()
    first.join()
    second.join()
    assert answers == [2]


def test_an_error_of_the_reading_is_raised_and_not_kept() -> None:
    answers: Iterator[int] = iter(())
    probe = Probe("test", lambda: next(answers))
    with pytest.raises(StopIteration):
        probe.ask(LONG_S)
    answers = iter([7])
    assert probe.ask(LONG_S).value == 7
