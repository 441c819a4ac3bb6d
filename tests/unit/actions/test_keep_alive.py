from __future__ import annotations

import pytest
from tests.unit.actions.desk import Desk

from lorapod.engines.registry import EngineRegistry
from lorapod.errors import UpstreamError
from lorapod.testing.engine import FakeEngine


class ColdEngine(FakeEngine):
    """An engine that wants to be pinged."""

    def __init__(self, *, available: bool = True, answers: bool = True) -> None:
        super().__init__("cold", available=available)
        self.answers = answers
        self.pings = 0

    def keep_warm(self) -> None:
        self.pings += 1
        if not self.answers:
            raise UpstreamError("It does not answer.")


def with_engine(desk: Desk, engine: FakeEngine, patch: pytest.MonkeyPatch) -> None:
    desk.use(patch, engines=EngineRegistry([desk.engine, engine]))


def test_engines_that_go_cold_are_pinged_at_every_interval(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ColdEngine()
    with_engine(desk, engine, monkeypatch)

    answer = desk.ask(type="keep_alive", duration_s=1.3, interval_s=1)

    assert answer["engines"] == [{"name": "cold", "pings": 2}]
    assert engine.pings == 2
    assert 1.3 <= answer["kept_alive_s"] < 5


def test_one_that_does_not_answer_is_told_and_ends_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_engine(desk, ColdEngine(answers=False), monkeypatch)

    answer = desk.ask(type="keep_alive", duration_s=0.1)

    assert answer["engines"] == [{"name": "cold", "pings": 0, "last_error": "It does not answer."}]


def test_one_that_is_not_there_is_not_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ColdEngine(available=False)
    with_engine(desk, engine, monkeypatch)

    assert desk.ask(type="keep_alive", duration_s=0.1)["engines"] == []
    assert engine.pings == 0


def test_nothing_is_pinged_where_nothing_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ColdEngine()
    with_engine(desk, engine, monkeypatch)

    answer = desk.ask(type="keep_alive", until_idle=True)

    assert (answer["engines"], engine.pings) == ([], 0)
