"""Notifications through the real Apprise to a receiver on loopback."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from lorapod.errors import ErrorCode
from lorapod.events.event_data import CompletedData, EventData, FailedData, ProgressData, StoppedData
from lorapod.events.event_types import EventStatus, EventType
from lorapod.events.models import DATA, Event
from lorapod.events.notify import NotifySink
from lorapod.events.opening import open_sinks
from lorapod.events.port import Parcel, SinkUnavailable
from lorapod.events.runpod import RunPodSink
from lorapod.settings import Settings
from lorapod.testing.clock import FakeClock

PROCESS_ID = "train_0123456789ab"


class Receiver:
    """Takes what Apprise sends to `json://`, or answers with an error."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.status = 200
        self.port = 0

    async def take(self, request: web.Request) -> web.Response:
        if self.status == 200:
            self.taken.append(await request.json())
        return web.Response(status=self.status)

    @property
    def url(self) -> SecretStr:
        return SecretStr(f"json://127.0.0.1:{self.port}/")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    opened = Receiver()
    app = web.Application()
    app.router.add_post("/", opened.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    opened.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield opened
    await runner.cleanup()


def event(type_: EventType, data: EventData) -> Event:
    return Event(
        event_type=type_,
        event_id="e",
        process_id=PROCESS_ID,
        sequence=1,
        timestamp=FakeClock().now(),
        data=data,
    )


def parcel(*events: Event) -> Parcel:
    return Parcel(process_id=PROCESS_ID, events=events)


PROGRESS = event(EventType.PROGRESS, ProgressData(status=EventStatus.TRAINING, progress=5))
CANCELLED = event(
    EventType.CANCELLED,
    StoppedData(status=EventStatus.CANCELLED, progress=50, step=5, total_steps=10, resumable=True),
)


async def test_a_completed_training_is_told_with_its_newest_sample(
    receiver: Receiver, tmp_path: Path
) -> None:
    folder = f"output/{PROCESS_ID}/cat"
    artifacts = []
    for step in (5, 10):
        sample = tmp_path / folder / "samples" / f"17000000000{step:02}__{step:09}_0.jpg"
        sample.parent.mkdir(parents=True, exist_ok=True)
        sample.write_bytes(b"image %d" % step)
        artifacts.append(str(sample.relative_to(tmp_path)))
    data = CompletedData(
        status=EventStatus.COMPLETED,
        progress=100,
        step=10,
        total_steps=10,
        artifacts=[*artifacts, f"{folder}/cat.safetensors"],
        model=f"{folder}/cat.safetensors",
    )
    sink = NotifySink(receiver.url, tmp_path)
    assert await sink.deliver(parcel(PROGRESS, event(EventType.COMPLETED, data))) == 2
    (told,) = receiver.taken
    assert (told["title"], told["type"]) == ("lorapod: cat is complete", "success")
    assert "Step 10 of 10" in told["message"]
    (attached,) = told["attachments"]
    assert base64.b64decode(attached["base64"]) == b"image 10"


async def test_a_failure_tells_what_to_do(receiver: Receiver, tmp_path: Path) -> None:
    data = FailedData(
        status=EventStatus.FAILED,
        progress=50,
        error="The GPU ran out of memory.",
        code=ErrorCode.OUT_OF_MEMORY,
        hint="Use a smaller resolution.",
        resumable=True,
    )
    await NotifySink(receiver.url, tmp_path).deliver(parcel(event(EventType.FAILED, data)))
    (told,) = receiver.taken
    assert told["type"] == "failure"
    for words in ("ran out of memory", "smaller resolution", f"lorapod resume {PROCESS_ID}"):
        assert words in told["message"]


@pytest.mark.parametrize(
    ("reason", "title", "words"),
    [
        ("limit", "has reached its limit", "`lorapod resume"),
        ("no_improvement", "was stopped: it got no better", "`lorapod resume"),
        ("a_reason_of_tomorrow", "was cancelled", "a_reason_of_tomorrow"),
        (None, "was cancelled", "`lorapod resume"),
    ],
)
async def test_an_early_end_tells_its_reason(
    receiver: Receiver, tmp_path: Path, reason: str | None, title: str, words: str
) -> None:
    data = CANCELLED.data.model_copy(update={"reason": reason})
    await NotifySink(receiver.url, tmp_path).deliver(parcel(event(EventType.CANCELLED, data)))
    (told,) = receiver.taken
    assert told["title"] == f"lorapod: {PROCESS_ID} {title}"
    assert words in told["message"]


@pytest.mark.parametrize(
    ("type_", "fields", "told_as"),
    [
        (EventType.SWEEP_CANCELLED, {}, ("the sweep cat was cancelled", "warning")),
        (EventType.SWEEP_CANCELLED, {"reason": "limit"}, ("the sweep cat has reached its limit", "warning")),
        (EventType.SWEEP_COMPLETED, {}, ("the sweep cat is complete", "success")),
        (
            EventType.SWEEP_FAILED,
            {"error": "It broke.", "code": "internal"},
            ("the sweep cat has failed", "failure"),
        ),
    ],
)
async def test_a_sweep_is_told_once_and_its_cancelled_trainings_are_not(
    receiver: Receiver, tmp_path: Path, type_: EventType, fields: dict[str, Any], told_as: tuple[str, str]
) -> None:
    status = EventStatus(type_.value.partition(".")[2])
    common = {"status": status, "progress": 50, "name": "cat", "statuses": {"completed": 1, "cancelled": 3}}
    ended = event(type_, DATA[type_].model_validate({**common, **fields}))
    training = event(EventType.CANCELLED, CANCELLED.data.model_copy(update={"reason": "sweep"}))
    assert await NotifySink(receiver.url, tmp_path).deliver(parcel(training, ended)) == 2
    (told,) = receiver.taken
    assert (told["title"], told["type"]) == (f"lorapod: {told_as[0]}", told_as[1])
    assert "3 cancelled, 1 completed" in told["message"]
    assert ("lorapod resume" in told["message"]) == (told_as[1] != "success")


async def test_an_early_stop_tells_why(receiver: Receiver, tmp_path: Path) -> None:
    detail = "The likeness was best at step 750 (0.6412); the 2 looks since then were no better."
    data = CANCELLED.data.model_copy(update={"reason": "no_improvement", "reason_detail": detail})
    await NotifySink(receiver.url, tmp_path).deliver(parcel(event(EventType.CANCELLED, data)))
    (told,) = receiver.taken
    assert detail in told["message"]


async def test_progress_alone_sends_nothing(receiver: Receiver, tmp_path: Path) -> None:
    assert await NotifySink(receiver.url, tmp_path).deliver(parcel(PROGRESS, PROGRESS)) == 2
    assert receiver.taken == []


async def test_what_the_service_refuses_is_told_again(receiver: Receiver, tmp_path: Path) -> None:
    sink = NotifySink(receiver.url, tmp_path)
    receiver.status = 503
    assert await sink.deliver(parcel(PROGRESS, CANCELLED)) == 1
    with pytest.raises(SinkUnavailable):
        await sink.deliver(parcel(CANCELLED))
    receiver.status = 200
    assert await sink.deliver(parcel(CANCELLED)) == 1
    assert receiver.taken[0]["title"] == f"lorapod: {PROCESS_ID} was cancelled"


async def test_each_service_has_a_sink_of_its_own(receiver: Receiver, tmp_path: Path) -> None:
    url = receiver.url.get_secret_value()
    settings = Settings(workspace_path=tmp_path, notify_urls=SecretStr(f"{url} {url}"))
    sinks = open_sinks(settings, RunPodSink(FakeClock(), interval_s=30))
    assert [sink.name for sink in sinks if sink.name.startswith("notify")] == ["notify", "notify1"]


@pytest.mark.parametrize(
    ("url", "shown"), [("nonsense://planted-secret", "nonsense://"), ("planted-secret:x", "not a URL")]
)
def test_a_url_that_is_not_known_is_refused_without_being_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, url: str, shown: str
) -> None:
    settings = Settings(workspace_path=tmp_path, notify_urls=SecretStr(url))
    with pytest.raises(ValueError, match=shown) as refused:
        open_sinks(settings, RunPodSink(FakeClock(), interval_s=30))
    assert "planted-secret" not in str(refused.value) + caplog.text
