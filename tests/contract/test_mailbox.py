"""What every mailbox must do, run against each of them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.contract.conftest import OpenState

from lorapod.clock import SystemClock
from lorapod.processes.store.file_mailbox import CONTROL_NAME, FileMailbox
from lorapod.processes.store.port import StateStore
from lorapod.testing.manager import SOON_S
from lorapod.testing.records import make_record

PROCESS = make_record().process_id


@pytest.fixture
def state(open_state: OpenState) -> StateStore:
    """A state with one process in it."""
    state = open_state()
    state.records.create(make_record())
    return state


def taken(state: StateStore) -> list[dict[str, Any]]:
    return [dict(message) for message in state.mailbox.take(PROCESS)]


def test_messages_come_in_order_and_once(state: StateStore, open_state: OpenState) -> None:
    holder = open_state()
    for number in range(5):
        state.mailbox.post(PROCESS, {"number": number, "nested": {"text": "ä"}})
    assert taken(holder) == [{"number": number, "nested": {"text": "ä"}} for number in range(5)]
    assert taken(holder) == []
    state.mailbox.post(PROCESS, {"number": 5})
    assert taken(holder) == [{"number": 5}]
    assert taken(open_state()) == []


def test_equal_messages_are_two(state: StateStore) -> None:
    state.mailbox.post(PROCESS, {"again": True})
    state.mailbox.post(PROCESS, {"again": True})
    assert len(taken(state)) == 2


def test_nobody_gets_what_is_meant_for_another_process(state: StateStore) -> None:
    state.mailbox.post(PROCESS, {"number": 1})
    assert not state.mailbox.take("train_ffffffffffff")
    assert taken(state) == [{"number": 1}]


def test_every_message_reaches_one_of_several_takers(state: StateStore, open_state: OpenState) -> None:
    messages, received, lock = 40, Counter[int](), threading.Lock()
    everything = threading.Event()

    def take() -> None:
        store = open_state()
        deadline = time.monotonic() + SOON_S
        while not everything.is_set():
            assert time.monotonic() < deadline
            found = taken(store)
            with lock:
                received.update(message["number"] for message in found)
                if sum(received.values()) >= messages:
                    everything.set()

    with ThreadPoolExecutor() as pool:
        takers = [pool.submit(take) for _ in range(4)]
        for number in range(messages):
            state.mailbox.post(PROCESS, {"number": number})
    for taker in takers:
        taker.result()
    assert taken(state) == []
    assert received == Counter(range(messages))


def test_two_threads_of_one_worker_get_each_message_once(state: StateStore) -> None:
    for number in range(20):
        state.mailbox.post(PROCESS, {"number": number})
    received: list[dict[str, Any]] = []
    barrier = threading.Barrier(6)

    def take() -> None:
        barrier.wait()
        received.extend(taken(state))

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(message["number"] for message in received) == Counter(range(20))


@pytest.mark.parametrize("damage", [b"", b'{"capability":', b"\xff\xfe", b"[1, 2]", b"null"])
def test_a_damaged_file_is_skipped_and_does_not_come_again(tmp_path: Path, damage: bytes) -> None:
    mailbox = FileMailbox(tmp_path, SystemClock())
    box = tmp_path / PROCESS / CONTROL_NAME
    box.mkdir(parents=True)
    (box / "20000101T000000.000000-00.json").write_bytes(damage)
    mailbox.post(PROCESS, {"number": 1})
    assert mailbox.take(PROCESS) == [{"number": 1}]
    assert list(box.iterdir()) == []


def test_a_file_that_is_gone_before_it_is_read_is_somebody_elses(tmp_path: Path) -> None:
    mailbox = FileMailbox(tmp_path, SystemClock())
    box = tmp_path / PROCESS / CONTROL_NAME
    box.mkdir(parents=True)
    mailbox.post(PROCESS, {"number": 1})
    (letter,) = box.iterdir()
    assert json.loads(letter.read_bytes()) == {"number": 1}
    letter.unlink()
    assert FileMailbox._open(letter) is None
