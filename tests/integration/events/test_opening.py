from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from tests.servers.rabbitmq import RunningRabbitMQ

from lorapod.events.opening import open_sinks
from lorapod.events.port import EventSink
from lorapod.events.runpod import RunPodSink
from lorapod.settings import Settings
from lorapod.testing.clock import FakeClock


def opened(**settings: Any) -> Sequence[EventSink]:
    return open_sinks(Settings(**settings), RunPodSink(FakeClock(), interval_s=1.0))


def names(**settings: Any) -> list[str]:
    return [sink.name for sink in opened(**settings)]


def test_without_a_broker_the_work_goes_on_with_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert names() == ["log", "runpod", "callback"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "RABBITMQ_URL is not set" in caplog.text


def test_nothing_is_asked_of_a_broker_that_need_not_be_there(caplog: pytest.LogCaptureFixture) -> None:
    assert names(rabbitmq_url=SecretStr("amqp://127.0.0.1:9/")) == ["log", "runpod", "callback", "rabbitmq"]
    assert caplog.records == []


def test_required_events_need_a_broker() -> None:
    with pytest.raises(ValueError, match="there is no RABBITMQ_URL"):
        opened(require_events=True)


async def test_required_events_need_a_broker_that_takes_the_login(rabbitmq_server: RunningRabbitMQ) -> None:
    assert "rabbitmq" in names(require_events=True, rabbitmq_url=rabbitmq_server.url)
    with pytest.raises(ValueError, match="refuses the name or password") as refused:
        opened(require_events=True, rabbitmq_url=rabbitmq_server.url_with("wrong-password"))
    assert "wrong-password" not in str(refused.value)


def test_a_required_broker_may_be_away_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    assert "rabbitmq" in names(require_events=True, rabbitmq_url=SecretStr("amqp://127.0.0.1:9/"))
    assert "broker cannot take events yet" in caplog.text


def test_sinks_of_others_are_plugged_in() -> None:
    assert names(event_sinks="lorapod.testing.events:MemorySink") == ["log", "runpod", "callback", "memory"]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("lorapod.nothing:Sink", "cannot be found"),
        ("lorapod.events.log:Nothing", "cannot be found"),
        ("lorapod", "cannot be found"),
        ("lorapod.events.log:LogSink", "two sinks named 'log'"),
        (
            "lorapod.workspace:Path",
            "is not an event sink: it has no durable, patience_s, wants, deliver, close",
        ),
    ],
)
def test_what_is_no_sink_is_told(place: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        opened(event_sinks=place)
