"""What every record store must do, run against each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.conftest import OpenState

from lorapod.lease import LeaseLost
from lorapod.processes.store.file import FileRecords
from lorapod.processes.store.port import RecordExists, RecordStore
from lorapod.records import stored_record as records
from lorapod.records.progress import StoredProgress
from lorapod.records.status import ProcessStatus
from lorapod.records.stored_record import RECORD_NAME
from lorapod.testing.records import make_record

OpenStore = Callable[[], RecordStore]


@pytest.fixture
def open_store(open_state: OpenState) -> OpenStore:
    """Opens the same store again and again, as several workers do."""
    return lambda: open_state().records


def test_what_one_worker_saves_another_reads(open_store: OpenStore) -> None:
    record = make_record(status=ProcessStatus.QUEUED)
    open_store().create(record)
    later = record.changed(progress=StoredProgress(step=5))
    open_store().save(later)
    assert open_store().load(record.process_id) == later


def test_an_id_is_given_once(open_store: OpenStore) -> None:
    store = open_store()
    store.create(make_record())
    with pytest.raises(RecordExists):
        store.create(make_record(name="other"))
    found = store.load(make_record().process_id)
    assert found is not None
    assert found.name == "model"


def test_what_is_not_there_is_none(open_store: OpenStore) -> None:
    assert open_store().load("train_ffffffffffff") is None


def test_ids_come_newest_first(open_store: OpenStore) -> None:
    store = open_store()
    ids = [f"train_{number:012x}" for number in (5, 1, 9)]
    for process_id in ids:
        store.create(make_record(process_id=process_id))
    assert list(store.ids()) == sorted(ids, reverse=True)


def test_live_ids_are_those_that_have_not_ended(open_store: OpenStore) -> None:
    store = open_store()
    for number, status in enumerate(ProcessStatus):
        store.create(make_record(process_id=f"train_{number:012x}", status=status))
    live = {record.status for process_id in store.live_ids() if (record := store.load(process_id))}
    assert live == {status for status in ProcessStatus if not status.final}
    record = make_record(process_id=store.live_ids()[0])
    store.save(record.moved(ProcessStatus.FAILED))
    assert record.process_id not in store.live_ids()
    store.save(record)
    assert record.process_id in store.live_ids()


def test_a_key_stands_for_one_process_whoever_asks_first(open_store: OpenStore) -> None:
    answers: list[str] = []
    barrier = threading.Barrier(8)

    def claim(number: int) -> None:
        store = open_store()
        barrier.wait()
        answers.append(store.claim_key("../a key\0", f"train_{number:012x}"))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert open_store().claim_key("another", "train_000000000001") == "train_000000000001"


def test_a_generation_is_begun_once_whoever_is_first(open_store: OpenStore) -> None:
    first = make_record(status=ProcessStatus.INTERRUPTED, holder="a")
    open_store().create(first)
    winners: list[str] = []
    barrier = threading.Barrier(8)

    def take(number: int) -> None:
        store = open_store()
        barrier.wait()
        try:
            store.create(first.moved(ProcessStatus.QUEUED, generation=2, holder=f"holder-{number}"))
        except RecordExists:
            return
        winners.append(f"holder-{number}")

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    found = open_store().load(first.process_id)
    assert found is not None
    assert (found.generation, found.holder, found.status) == (2, winners[0], ProcessStatus.QUEUED)


def test_a_forgotten_process_leaves_nothing(open_state: OpenState) -> None:
    state = open_state()
    gone = make_record(status=ProcessStatus.COMPLETED, key="its key")
    stays = make_record(process_id="train_ffffffffffff", status=ProcessStatus.COMPLETED)
    assert state.records.claim_key("its key", gone.process_id) == gone.process_id
    for record in (gone, stays):
        state.records.create(record)
        state.orders.keep(record.process_id, b"{}")
    state.records.forget(gone)
    state.records.forget(gone)
    assert state.records.load(gone.process_id) is None
    assert list(state.records.ids()) == [stays.process_id]
    assert state.records.load(stays.process_id) == stays
    assert state.records.claim_key("its key", "train_000000000009") == "train_000000000009"


def test_a_process_that_was_resumed_meanwhile_is_not_forgotten(open_store: OpenStore) -> None:
    store = open_store()
    old = make_record(status=ProcessStatus.INTERRUPTED, key="its key")
    store.create(old)
    new = old.moved(ProcessStatus.QUEUED, generation=2)
    store.create(new)
    with pytest.raises(LeaseLost):
        store.forget(old)
    assert store.load(old.process_id) == new
    assert list(store.live_ids()) == [old.process_id]


def test_a_process_that_was_forgotten_cannot_be_resumed(open_store: OpenStore) -> None:
    store = open_store()
    old = make_record(status=ProcessStatus.INTERRUPTED)
    store.create(old)
    open_store().forget(old)
    with pytest.raises(RecordExists):
        store.create(old.moved(ProcessStatus.QUEUED, generation=2))
    assert store.load(old.process_id) is None
    assert not store.ids()
    assert not store.live_ids()


def test_a_writer_of_an_older_generation_is_turned_away(open_store: OpenStore) -> None:
    store, old = open_store(), make_record()
    store.create(old)
    new = old.moved(ProcessStatus.INTERRUPTED, generation=2)
    open_store().create(new)
    with pytest.raises(LeaseLost):
        store.save(old.changed(progress=StoredProgress(step=99)))
    assert open_store().load(old.process_id) == new


def test_what_a_worker_left_that_was_killed_while_it_forgot_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileRecords(tmp_path)
    first, second = (
        make_record(process_id=f"train_00000000000{number}", status=ProcessStatus.COMPLETED)
        for number in (1, 2)
    )
    store.create(first)
    store.create(second)
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda *_, **__: None)
        store.forget(first)
    left = tmp_path / ".forgotten"
    assert [path.name.partition(".")[0] for path in left.iterdir()] == [first.process_id]
    monkeypatch.setattr("lorapod.processes.store.file.FORGETTING_S", -1.0)
    store.forget(second)
    assert not list(left.iterdir())
    assert list(store.ids()) == []


def test_even_a_late_writers_file_is_not_believed(tmp_path: Path) -> None:
    store, old = FileRecords(tmp_path), make_record(status=ProcessStatus.INTERRUPTED)
    store.create(old)
    new = old.moved(ProcessStatus.QUEUED, generation=2)
    store.create(new)
    newest = new.moved(ProcessStatus.PREPARING)
    store.save(newest)
    (tmp_path / old.process_id / RECORD_NAME).write_bytes(records.dump(old))
    assert store.load(old.process_id) == newest


@pytest.mark.parametrize("damage", [b"", b'{"process_id":', b"\xff\xfe"])
def test_a_damaged_file_is_no_record_and_no_crash(tmp_path: Path, damage: bytes) -> None:
    store = FileRecords(tmp_path)
    record = make_record()
    store.create(record)
    (tmp_path / record.process_id / RECORD_NAME).write_bytes(damage)
    assert store.load(record.process_id) is None
    store.save(record)
    assert store.load(record.process_id) == record
    assert {path.name for path in (tmp_path / record.process_id).iterdir()} == {RECORD_NAME}
