"""Workers that are killed or frozen while there is something to tell: real processes, a real broker."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.events.event_room import EventRoom
from tests.servers.consumer import Consumer
from tests.servers.rabbitmq import RunningRabbitMQ
from tests.unit.events.courier_bench import eventually

from lorapod import work_marker
from lorapod.events import courier, lane
from lorapod.events.outbox import Outbox
from lorapod.events.rabbitmq import RabbitMQSink
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import until

LEASE_S = 3.0
AWAY = "amqp://guest:guest@127.0.0.1:9/"

#: A worker in a process of its own, that trains one thing and says which.
WORKER = """
import sys, threading
from pathlib import Path
from pydantic import SecretStr
from tests.integration.events.event_room import EventRoom
from lorapod.events import courier
from lorapod.events.rabbitmq import RabbitMQSink
courier.RENEW_S = 0.2
sink = RabbitMQSink(SecretStr(sys.argv[2]), sys.argv[3])
room = EventRoom(Path(sys.argv[1]), sink, worker_id="other", lease_s=float(sys.argv[4]))
record = room.train(steps=int(sys.argv[5]), save_every=20)
print(record.process_id, flush=True)
threading.Event().wait()
"""


class OtherWorker:
    """A real process that holds a training, and tells of it."""

    def __init__(self, root: Path, url: str, exchange: str, *, steps: int) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(root), url, exchange, str(LEASE_S), str(steps)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            text=True,
        )
        assert self._popen.stdout is not None
        self.process_id = self._popen.stdout.readline().strip()

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def close(self) -> None:
        for number in (signal.SIGCONT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                self._popen.send_signal(number)
        self._popen.wait()
        assert self._popen.stdout is not None
        self._popen.stdout.close()


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "LONGEST_WAIT_S", 1.0)
    monkeypatch.setattr(courier, "TICK_S", 0.1)
    monkeypatch.setattr(courier, "RENEW_S", 0.2)


@pytest.fixture
def exchange() -> str:
    return f"events-{secrets.token_hex(4)}"


@pytest.fixture
def consumer(rabbitmq_server: RunningRabbitMQ, exchange: str) -> Consumer:
    return Consumer(rabbitmq_server, exchange)


@pytest.fixture
def mine(tmp_path: Path, rabbitmq_server: RunningRabbitMQ, exchange: str) -> Iterator[EventRoom]:
    sink = RabbitMQSink(rabbitmq_server.url, exchange)
    room = EventRoom(tmp_path / "workspace", sink, worker_id="mine", lease_s=LEASE_S)
    yield room
    room.close(0)


def arrived(consumer: Consumer) -> list[str]:
    """The types of what came, each event once, but for progress; their order is looked at."""
    first = {body["event_id"]: body for body in consumer.drain()}
    numbers = [body["sequence"] for body in first.values()]
    assert numbers == sorted(set(numbers))
    names = [str(body["event_type"]).removeprefix("training.") for body in first.values()]
    return [name for name in names if name != "progress"]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGSTOP])
async def test_whoever_takes_a_dead_workers_training_up_delivers_what_it_left(
    mine: EventRoom, consumer: Consumer, exchange: str, death: signal.Signals
) -> None:
    other = OtherWorker(mine.workspace.root, AWAY, exchange, steps=400)
    try:
        record = mine.manager.get(other.process_id)
        await until(mine.manager, record, lambda now: now.progress.step > 60)
        # It has told of these, and could deliver nothing.
        await eventually(lambda: mine.kinds(record).count("checkpoint") >= 2)
        other.signal(death)
        ended = await until(mine.manager, record, lambda now: now.status.final)
        assert ended.status is ProcessStatus.INTERRUPTED
        mine.manager.resume(record.process_id)
        # Frozen, it wakes while the next worker trains, and must not tell of it.
        other.signal(signal.SIGCONT)
        assert (await mine.ended(record)).status is ProcessStatus.COMPLETED
        await eventually(lambda: mine.courier.states()[0].undelivered == 0)
        came = await asyncio.to_thread(arrived, consumer)
    finally:
        other.close()
    assert [name for name in came if name != "checkpoint"] == [
        "started",
        "interrupted",
        "started",
        "completed",
    ]
    told = [body["data"]["path"] for body in consumer.bodies if body["event_type"] == "training.checkpoint"]
    names = [Path(path).name for path in dict.fromkeys(told)]
    assert sorted(names) == [
        "model.safetensors",
        *(f"model_{step:09d}.safetensors" for step in range(20, 401, 20)),
    ]
    assert came.count("checkpoint") == len(names)


@pytest.mark.timeout(180)
async def test_what_a_dead_worker_had_not_delivered_of_an_ended_training_is_delivered_by_any(
    mine: EventRoom, consumer: Consumer, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_marker, "ABANDONED_S", 6.0)
    other = OtherWorker(mine.workspace.root, AWAY, exchange, steps=5)
    try:
        record = mine.manager.get(other.process_id)
        await until(mine.manager, record, lambda now: now.status.final)
        await eventually(lambda: "completed" in mine.kinds(record))
        # A live worker keeps what it has not delivered.
        await asyncio.sleep(1)
        assert await asyncio.to_thread(arrived, consumer) == []
    finally:
        other.close()
    mark = mine.workspace.processes / ".events" / record.process_id
    async with asyncio.timeout(60):
        while mark.exists():  # noqa: ASYNC110 - on the disk
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(arrived, consumer) == ["started", "checkpoint", "completed"]
    assert Outbox(mine.workspace, record.process_id).newest() == "000001.0000.jsonl"
