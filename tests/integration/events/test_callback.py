"""What a receiver of callbacks gets."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.servers.receiver import Receiver, receiving
from tests.unit.events.courier_bench import CourierBench, eventually

from lorapod.deadline import Deadline
from lorapod.events import callback as module
from lorapod.events import lane
from lorapod.events.callback import CallbackSink
from lorapod.events.event_types import EventType
from lorapod.events.port import Callback, Parcel, SinkUnavailable
from lorapod.processes.order import SealedCallback
from lorapod.safety.vault import Vault
from lorapod.testing.events import sample_event

TOKEN = SecretStr("temporary-token")
STARTED, CHECKPOINT, COMPLETED = EventType.STARTED, EventType.CHECKPOINT, EventType.COMPLETED


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def sink() -> AsyncIterator[CallbackSink]:
    opened = CallbackSink(allow_private=True)
    yield opened
    await opened.close()


def parcel(receiver: Receiver, count: int = 1, *, callback: Callback | None = None) -> Parcel:
    events = [sample_event(number) for number in range(1, count + 1)]
    return Parcel(
        process_id=events[0].process_id, events=events, callback=callback or Callback(url=receiver.url)
    )


async def why_not(sink: CallbackSink, sent: Parcel) -> str:
    with pytest.raises(SinkUnavailable) as raised:
        await sink.deliver(sent)
    return str(raised.value)


async def test_the_token_and_the_signature_go_along(receiver: Receiver) -> None:
    sink = CallbackSink(secret=SecretStr("secret of the endpoint"), allow_private=True)
    await sink.deliver(parcel(receiver, callback=Callback(url=f"{receiver.url}?job=7", token=TOKEN)))
    await sink.close()
    posted = receiver.posted[0]
    assert posted.path == "/events?job=7"
    assert posted.headers["Authorization"] == "Bearer temporary-token"
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["X-Event-Id"] == posted.event["event_id"]
    assert posted.headers["X-Event-Type"] == posted.event["event_type"]
    digest = hmac.new(b"secret of the endpoint", posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["X-Signature-256"] == f"sha256={digest}"


async def test_without_token_and_secret_neither_is_sent(receiver: Receiver, sink: CallbackSink) -> None:
    await sink.deliver(parcel(receiver))
    assert {"Authorization", "X-Signature-256"}.isdisjoint(receiver.posted[0].headers)


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 410, 429, 500, 503])
async def test_no_success_is_no_delivery(receiver: Receiver, sink: CallbackSink, status: int) -> None:
    receiver.answers.append(status)
    assert await why_not(sink, parcel(receiver)) == f"the callback answers {status}"


async def test_a_redirect_is_not_followed(receiver: Receiver, sink: CallbackSink) -> None:
    receiver.answers.append(307)
    receiver.location = f"http://127.0.0.1:{receiver.port}/elsewhere"
    await why_not(sink, parcel(receiver, callback=Callback(url=receiver.url, token=TOKEN)))
    assert [posted.path for posted in receiver.posted] == ["/events"]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_event_that_is_refused_does_not_stand_in_the_way(
    receiver: Receiver, sink: CallbackSink, status: int
) -> None:
    receiver.answers.append(status)
    assert await sink.deliver(parcel(receiver, 2)) == 2
    assert [posted.event["sequence"] for posted in receiver.posted] == [1, 2]


async def test_what_came_before_a_failure_does_not_come_again(receiver: Receiver, sink: CallbackSink) -> None:
    receiver.answers += [200, 500]
    assert await sink.deliver(parcel(receiver, 3)) == 1
    assert [posted.event["sequence"] for posted in receiver.posted] == [1, 2]


async def test_a_receiver_that_is_silent_is_not_waited_for(
    receiver: Receiver, sink: CallbackSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
    receiver.answers.append(5.0)
    began = time.monotonic()
    assert await why_not(sink, parcel(receiver)) == "the callback: the server does not answer in time"
    assert time.monotonic() - began < 3


async def test_a_long_parcel_is_handed_back_when_its_time_is_over(
    receiver: Receiver, sink: CallbackSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARCEL_S", 0.1)
    receiver.answers.append(0.2)
    assert await sink.deliver(parcel(receiver, 3)) == 1


async def test_only_the_public_internet_is_asked(receiver: Receiver) -> None:
    async def inside(host: str, port: int) -> Sequence[tuple[int, str]]:
        return [(2, "127.0.0.1")]

    sink = CallbackSink(lookup=inside)
    told = "the callback's URL is not on the public internet"
    assert await why_not(sink, parcel(receiver)) == told
    named = Callback(url=f"http://public.example:{receiver.port}/", token=TOKEN)
    assert await why_not(sink, parcel(receiver, callback=named)) == told
    await sink.close()
    assert receiver.posted == []


async def test_nobody_there(sink: CallbackSink, receiver: Receiver) -> None:
    nowhere = Callback(url="http://127.0.0.1:9/events?token=secret-in-the-address")
    assert (
        await why_not(sink, parcel(receiver, callback=nowhere))
        == "the callback: the server cannot be reached"
    )


async def test_a_receiver_that_fails_gets_all_later(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 0.02)
    receiver.answers += [503, 500, 200, 502]
    office = CourierBench(tmp_path / "workspace", CallbackSink(allow_private=True))
    office.start()
    office.callback = office.courier.seal(receiver.url, TOKEN)
    office.begin()
    office.tell(STARTED, CHECKPOINT, COMPLETED)
    await eventually(lambda: not office.marked())
    assert list(dict.fromkeys(posted.event["sequence"] for posted in receiver.posted)) == [1, 2, 3]
    assert {posted.headers["Authorization"] for posted in receiver.posted} == {"Bearer temporary-token"}
    await asyncio.to_thread(office.courier.close, Deadline.after(0))


async def test_a_token_that_another_worker_has_sealed_is_not_guessed(
    receiver: Receiver, tmp_path: Path
) -> None:
    office = CourierBench(tmp_path / "workspace", CallbackSink(allow_private=True))
    office.start()
    office.callback = SealedCallback(url=receiver.url, token=Vault().seal(TOKEN))
    office.begin()
    office.tell(STARTED)
    await eventually(lambda: office.courier.states()[0].error is not None)
    assert "send callback_token again" in (office.courier.states()[0].error or "")
    assert receiver.posted == []
    # A resume brings it again.
    office.callback = office.courier.seal(receiver.url, TOKEN)
    office.begin(2)
    office.tell(COMPLETED)
    await eventually(lambda: not office.marked())
    assert [posted.event["sequence"] for posted in receiver.posted] == [1, 2]
    await asyncio.to_thread(office.courier.close, Deadline.after(0))


async def test_workers_with_the_same_secret_go_on_for_each_other(receiver: Receiver, tmp_path: Path) -> None:
    secret = SecretStr("secret of the endpoint")
    office = CourierBench(tmp_path / "workspace", CallbackSink(allow_private=True), vault=Vault(secret))
    office.start()
    office.callback = SealedCallback(url=receiver.url, token=Vault(secret).seal(TOKEN))
    office.begin()
    office.tell(COMPLETED)
    await eventually(lambda: not office.marked())
    assert receiver.posted[0].headers["Authorization"] == "Bearer temporary-token"
    await asyncio.to_thread(office.courier.close, Deadline.after(0))
