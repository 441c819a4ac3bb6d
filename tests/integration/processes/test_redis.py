"""Workers without a shared volume: their state in a real Redis server, which may freeze, die and come back."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.servers.redis_server import RunningRedis, running_redis

from lorapod.clock import SystemClock
from lorapod.deadline import Deadline
from lorapod.lease import LeaseTimes
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.requests import ControlRequest
from lorapod.processes.store.open import open_store
from lorapod.processes.store.port import StateStore, StateStoreRefused, StateStoreUnavailable
from lorapod.processes.store.redis import RedisRecords, open_redis_store
from lorapod.processes.store.redis_mailbox import RedisMailbox
from lorapod.processes.store.redis_server import RedisServer
from lorapod.records.progress import StoredProgress
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.testing.manager import SOON_S, ended, open_manager, train_on, until
from lorapod.testing.records import make_record
from lorapod.workspace import Workspace

LEASE_S = 4.0

#: Long enough for an outage that a training sits out.
PATIENT_LEASE_S = 20.0

#: A worker in a process of its own, that trains one thing and says which.
WORKER = """
import sys, threading
from pathlib import Path
from pydantic import SecretStr
from lorapod.clock import SystemClock
from lorapod.lease import LeaseTimes
from lorapod.processes.store.redis import open_redis_store
from lorapod.testing.manager import open_manager, train_on
root, url, prefix, lease_s = sys.argv[1:]
beat_s = LeaseTimes(lease_s=float(lease_s)).beat_s
store = open_redis_store(SecretStr(url), prefix=prefix, beat_s=beat_s, clock=SystemClock())
manager = open_manager(Path(root), worker_id="other", lease_s=float(lease_s), store=store)
record = train_on(manager, steps=5000, save_every=10, name="cat")
print(record.process_id, flush=True)
threading.Event().wait()
"""


class SetClock(SystemClock):
    """Whose monotonic time a test sets."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def prefix() -> str:
    return f"{secrets.token_hex(4)}:"


@pytest.fixture
def fragile() -> Iterator[RunningRedis]:
    """A server that a test may harm."""
    with running_redis() as server:
        yield server


def open_state(server: RunningRedis, prefix: str, lease_s: float = LEASE_S) -> StateStore:
    beat_s = LeaseTimes(lease_s=lease_s).beat_s
    return open_redis_store(server.url, prefix=prefix, beat_s=beat_s, clock=SystemClock())


def open_worker(
    folder: Path, server: RunningRedis, prefix: str, *, name: str = "mine", lease_s: float = LEASE_S
) -> RealProcessManager:
    """A manager with a workspace of its own."""
    store = open_state(server, prefix, lease_s)
    return open_manager(folder / name / "workspace", worker_id=name, lease_s=lease_s, store=store)


async def reach(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not await asyncio.to_thread(reached):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def training(manager: RealProcessManager, process_id: str, step: int = 3) -> ProcessRecord:
    record = await asyncio.to_thread(manager.get, process_id)
    return await until(
        manager, record, lambda now: now.status is ProcessStatus.RUNNING and now.progress.step > step
    )


class TestServer:
    def test_a_wrong_password_is_said_at_the_start_and_not_repeated(self, tmp_path: Path) -> None:
        with running_redis(password="right-one") as server:
            for url in (server.url_with("wr0ng-one"), server.url_with(None)):
                settings = Settings(state_url=url, workspace_path=tmp_path)
                with pytest.raises(StateStoreRefused, match="STATE_URL") as caught:
                    open_store(settings, Workspace.create(tmp_path), SystemClock())
                assert "wr0ng" not in str(caught.value)
                assert f"127.0.0.1:{server.port}" in str(caught.value)
            right = Settings(state_url=server.url, state_prefix="some:", workspace_path=tmp_path)
            store = open_store(right, Workspace.create(tmp_path), SystemClock())
            store.records.create(make_record())
            assert store.records.load(make_record().process_id) == make_record()

    def test_a_cluster_is_refused_at_the_start_unless_all_keys_are_on_one_node(
        self, prefix: str, tmp_path: Path
    ) -> None:
        with running_redis(more={"cluster-enabled": "yes"}) as server:
            with pytest.raises(StateStoreRefused, match="is a cluster: name a single server in STATE_URL"):
                open_state(server, prefix)
            slots = RedisServer(server.url, prefix=prefix, timeout_s=SOON_S, retries=0)
            slots.call("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            until_s = time.monotonic() + SOON_S
            while b"cluster_state:ok" not in slots.call("CLUSTER", "INFO"):
                assert time.monotonic() < until_s
                time.sleep(0.05)
            slots.close()
            with pytest.raises(StateStoreRefused, match="is a cluster"):
                open_state(server, prefix)

            store = open_state(server, f"{{{prefix}}}")
            store.records.create(make_record())
            assert store.records.load(make_record().process_id) == make_record()

    @pytest.mark.parametrize(
        "url",
        ["redis://:pass/word@host:6379", "http://:pass/word@host", "redis://", "pass/word", "redis://h:x"],
    )
    def test_an_address_that_cannot_be_read_is_not_repeated(self, url: str, tmp_path: Path) -> None:
        settings = Settings(state_url=SecretStr(url), workspace_path=tmp_path)
        with pytest.raises(ValueError, match="percent-encoded") as caught:
            open_store(settings, Workspace.create(tmp_path), SystemClock())
        assert "pass" not in str(caught.value).replace("password", "")

    def test_a_server_that_is_away_at_the_start_may_come_later(
        self, fragile: RunningRedis, prefix: str
    ) -> None:
        fragile.kill()
        store = open_state(fragile, prefix)
        with pytest.raises(StateStoreUnavailable, match="does not answer"):
            store.records.ids()
        fragile.start()
        assert store.records.ids() == []

    def test_a_frozen_server_holds_nobody_up(self, fragile: RunningRedis, prefix: str) -> None:
        store = open_state(fragile, prefix, PATIENT_LEASE_S)
        beat_s = LeaseTimes(lease_s=PATIENT_LEASE_S).beat_s
        store.heartbeats.forget("a")
        with fragile.frozen():
            # The first over an open connection, the second over a new one.
            for ask in [lambda: store.heartbeats.forget("a"), store.records.live_ids] * 2:
                began = time.monotonic()
                with pytest.raises(StateStoreUnavailable):
                    ask()
                assert time.monotonic() - began < beat_s
        assert store.records.live_ids() == []

    def test_what_was_written_outlives_the_server(self, fragile: RunningRedis, prefix: str) -> None:
        store = open_state(fragile, prefix)
        store.records.create(make_record())
        fragile.kill()
        fragile.start()
        assert store.records.load(make_record().process_id) == make_record()
        store.records.save(make_record(name="later"))


class TestLateAndTwice:
    """A script whose answer was lost comes again; one sent to a frozen server comes late."""

    @pytest.fixture
    def server(self, redis_server: RunningRedis, prefix: str) -> RedisServer:
        return RedisServer(redis_server.url, prefix=prefix, timeout_s=5, retries=0)

    def test_a_generation_that_is_begun_twice_by_the_same_call_is_begun(self, server: RedisServer) -> None:
        store, record = RedisRecords(server, SystemClock()), make_record()
        keys, values = store._keys(record), store._values(record)
        answers = [server.run(store._create, keys, [*values, token]) for token in ("a", "a", "b", "a")]
        assert answers == [1, 1, 0, 1]

    def test_a_late_save_does_not_undo_a_later_one(self, server: RedisServer) -> None:
        clock = SetClock()
        store = RedisRecords(server, clock)
        store.create(make_record())
        clock.now_s = 110
        later = make_record(progress=StoredProgress(step=9))
        store.save(later)
        clock.now_s = 105
        store.save(make_record(progress=StoredProgress(step=5)))
        assert store.load(later.process_id) == later
        clock.now_s = 3
        new = later.moved(ProcessStatus.INTERRUPTED, generation=2)
        store.create(new)
        assert store.load(later.process_id) == new

    def test_messages_whose_answer_was_lost_come_again(
        self, server: RedisServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mailbox, run = RedisMailbox(server), server.run
        mailbox.post("train_1", {"number": 1})

        def lose(*arguments: Any) -> None:
            run(*arguments)
            raise StateStoreUnavailable

        for _ in range(2):
            with monkeypatch.context() as patched:
                patched.setattr(server, "run", lose)
                with pytest.raises(StateStoreUnavailable):
                    mailbox.take("train_1")
        mailbox.post("train_1", {"number": 2})
        assert mailbox.take("train_1") == [{"number": 1}, {"number": 2}]
        with monkeypatch.context() as patched:
            patched.setattr(server, "run", lose)
            with pytest.raises(StateStoreUnavailable):
                mailbox.take("train_1")
        assert mailbox.take("train_1") == []
        assert RedisMailbox(server).take("train_1") == []

    def test_a_message_that_is_posted_twice_by_the_same_call_comes_once(self, server: RedisServer) -> None:
        mailbox = RedisMailbox(server)
        for _ in range(2):
            server.run(mailbox._post, [server.key("mailbox", "train_1")], ['{"id": "a", "message": {}}'])
        assert mailbox.take("train_1") == [{}]

    @pytest.mark.parametrize("damage", ["", "{", "[]", '{"message": 1}', b"\xff"])
    def test_damaged_entries_are_skipped(self, server: RedisServer, damage: str | bytes) -> None:
        mailbox = RedisMailbox(server)
        server.call("RPUSH", server.key("mailbox", "train_1"), damage)
        mailbox.post("train_1", {"number": 1})
        assert mailbox.take("train_1") == [{"number": 1}]
        assert mailbox.take("train_1") == []
        server.call("HSET", server.key("record", "train_1"), "data", damage)
        assert RedisRecords(server, SystemClock()).load("train_1") is None


class TestOutage:
    async def test_a_training_sits_out_a_restart_of_the_server(
        self, tmp_path: Path, fragile: RunningRedis, prefix: str
    ) -> None:
        manager = open_worker(tmp_path, fragile, prefix, lease_s=PATIENT_LEASE_S)
        try:
            record = await training(manager, train_on(manager, steps=80, step_s=0.05).process_id)
            fragile.kill()
            await training(manager, record.process_id, record.progress.step + 20)
            await asyncio.to_thread(fragile.start)
            end = await ended(manager, record)
            assert end.status is ProcessStatus.COMPLETED
            store = open_state(fragile, prefix)
            await reach(lambda: store.records.load(record.process_id) == end)
            assert store.records.live_ids() == []
        finally:
            await asyncio.to_thread(manager.close, Deadline.after(5))

    async def test_an_end_that_could_not_be_written_is_written_later(
        self, tmp_path: Path, fragile: RunningRedis, prefix: str
    ) -> None:
        manager = open_worker(tmp_path, fragile, prefix, lease_s=PATIENT_LEASE_S)
        witness = open_worker(tmp_path, fragile, prefix, name="witness", lease_s=PATIENT_LEASE_S)
        try:
            record = await training(manager, train_on(manager, steps=30, step_s=0.05).process_id)
            with fragile.frozen():
                assert (await ended(manager, record)).status is ProcessStatus.COMPLETED
                assert manager.holds(record.process_id)
            await reach(lambda: not manager.holds(record.process_id))
            assert (await asyncio.to_thread(witness.get, record.process_id)).status is ProcessStatus.COMPLETED
        finally:
            await asyncio.to_thread(witness.close, Deadline.after(5))
            await asyncio.to_thread(manager.close, Deadline.after(5))

    async def test_in_a_long_outage_the_guard_ends_the_training_and_it_can_be_resumed(
        self, tmp_path: Path, fragile: RunningRedis, prefix: str
    ) -> None:
        manager = open_worker(tmp_path, fragile, prefix)
        try:
            record = train_on(manager, steps=200, step_s=0.05, save_every=5)
            record = await training(manager, record.process_id, 10)
            fragile.kill()
            end = await until(manager, record, lambda now: now.status.final)
            assert end.status is ProcessStatus.INTERRUPTED
            await asyncio.to_thread(fragile.start)
            await ended(manager, record)
            again = await asyncio.to_thread(manager.resume, record.process_id)
            assert again.record.progress.step >= 10
            manager.ask(record.process_id, ControlRequest())
            assert (await ended(manager, record)).status is ProcessStatus.CANCELLED
        finally:
            await asyncio.to_thread(manager.close, Deadline.after(5))

    async def test_a_worker_can_stop_without_the_server(
        self, tmp_path: Path, fragile: RunningRedis, prefix: str
    ) -> None:
        manager = open_worker(tmp_path, fragile, prefix, lease_s=PATIENT_LEASE_S)
        record = await training(manager, train_on(manager, steps=5000).process_id)
        fragile.kill()
        await asyncio.to_thread(manager.close, Deadline.after(10))
        assert manager.get(record.process_id).status is ProcessStatus.INTERRUPTED


class TestWorkersApart:
    """Two workers, each with a workspace of its own."""

    @pytest.fixture
    def mine(self, tmp_path: Path, redis_server: RunningRedis, prefix: str) -> Iterator[RealProcessManager]:
        manager = open_worker(tmp_path, redis_server, prefix)
        yield manager
        manager.close(Deadline.after(5))

    @pytest.fixture
    def theirs(self, tmp_path: Path, redis_server: RunningRedis, prefix: str) -> Iterator[RealProcessManager]:
        manager = open_worker(tmp_path, redis_server, prefix, name="theirs")
        yield manager
        manager.close(Deadline.after(5))

    async def test_one_answers_for_the_other_and_stops_it(
        self, mine: RealProcessManager, theirs: RealProcessManager
    ) -> None:
        record = await training(mine, train_on(theirs, steps=5000).process_id)
        assert record.worker_id == "theirs"
        assert not mine.holds(record.process_id)
        page, _ = mine.page(status=ProcessStatus.RUNNING, limit=10, before=None)
        assert [each.process_id for each in page] == [record.process_id]
        mine.ask(record.process_id, ControlRequest(save=True, grace_s=5))
        assert (await ended(mine, record)).status is ProcessStatus.CANCELLED
        await reach(lambda: not theirs.holds(record.process_id))

    async def test_the_same_key_starts_one_process_on_whatever_worker(
        self, mine: RealProcessManager, theirs: RealProcessManager
    ) -> None:
        first = train_on(theirs, steps=5, idempotency_key="mine")
        assert train_on(mine, steps=5, idempotency_key="mine").process_id == first.process_id
        await ended(theirs, first)

    @pytest.fixture
    def other(
        self, tmp_path: Path, redis_server: RunningRedis, prefix: str
    ) -> Iterator[subprocess.Popen[str]]:
        """A worker in a process of its own; says the id of its process."""
        url, folder = redis_server.url.get_secret_value(), tmp_path / "other" / "workspace"
        argv = [sys.executable, "-c", WORKER, str(folder), url, prefix, str(LEASE_S)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as worker:
            yield worker
            worker.kill()

    async def test_the_dead_ones_process_is_marked_dead_and_begun_anew_elsewhere(
        self, mine: RealProcessManager, other: subprocess.Popen[str]
    ) -> None:
        assert other.stdout is not None
        record = await training(mine, other.stdout.readline().strip())
        other.send_signal(signal.SIGKILL)
        began = time.monotonic()
        assert (await ended(mine, record)).status is ProcessStatus.INTERRUPTED
        assert time.monotonic() - began < LEASE_S
        again = await asyncio.to_thread(mine.resume, record.process_id)
        assert any("from the beginning" in warning for warning in again.warnings)
        assert again.record.name == record.name
        record = await training(mine, record.process_id)
        assert (record.worker_id, record.generation) == ("mine", 3)
        mine.ask(record.process_id, ControlRequest())
        assert (await ended(mine, record)).status is ProcessStatus.CANCELLED
