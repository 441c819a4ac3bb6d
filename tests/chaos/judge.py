"""The judge: watches from outside what no trouble may ever bring about, and writes down what did."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.chaos.children import Child, find_children
from tests.chaos.history import History

from lorapod.clock import SystemClock
from lorapod.processes.store.file import open_file_store
from lorapod.records.status import ProcessStatus

#: Between two looks at the machine and the records.
LOOK_S = 0.05

#: A child that nobody answers for is gone within this time.
ORPHAN_S = 10.0

#: How old an answer may be when it leaves the worker: a write to the shared folder takes its time on a busy disk.
STALE_S = 1.5


class Judge:
    """Looks in a thread of its own, from `start` to `close`; every finding is a broken promise."""

    def __init__(self, workspace: Path, live_workers: Callable[[], frozenset[str]]) -> None:
        """Judge what happens on `workspace`; `live_workers` names the workers whose processes are alive."""
        self.findings: list[str] = []
        #: How many looks, children, answers … were judged: a judge that saw nothing has shown nothing.
        self.seen: Counter[str] = Counter()
        self._workspace = workspace
        self._live_workers = live_workers
        self._store = open_file_store(workspace / "processes", SystemClock())
        self._histories: dict[str, History] = defaultdict(History)
        self._children: set[Child] = set()
        self._heard: list[tuple[str, ProcessStatus, float, float]] = []
        self._unanswered_since: dict[Child, float] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="judge", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        self._thread.join()

    def find(self, sentence: str) -> None:
        """Write a broken promise down. Any thread."""
        with self._lock:
            if sentence not in self.findings:
                self.findings.append(f"{sentence}")

    def known(self) -> list[str]:
        """The processes that were seen, in the order of their ids."""
        with self._lock:
            return sorted(self._histories)

    def settled(self) -> bool:
        """Whether every answer that was heard has been judged."""
        with self._lock:
            return not self._heard

    def hear(self, process_id: str, answer: dict[str, Any], asked_s: float, answered_s: float) -> None:
        """Take an answer of `process_status`: an honest one shows what the record said when it was given.

        It is judged a little later, when the records of that time have been read for sure.
        """
        self.seen["answers"] += 1
        with self._lock:
            self._heard.append((process_id, ProcessStatus(answer["status"]), asked_s, answered_s))

    def _run(self) -> None:
        while not self._closing.wait(LOOK_S):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - a judge that falls silent would acquit everybody
                self.find(f"the judge itself failed: {error!r}")

    def _look(self) -> None:
        self.seen["looks"] += 1
        now_s = time.monotonic()
        children = find_children(self._workspace)
        live = self._live_workers()
        self._look_at_records()
        self._judge_answers(now_s)
        self._look_at_children(children, live, now_s)

    def _look_at_records(self) -> None:
        for process_id in self._store.records.ids():
            record = self._store.records.load(process_id)
            if record is None:
                continue
            with self._lock:
                wrong = self._histories[process_id].add(time.monotonic(), record)
            if wrong:
                self.find(f"the record of {process_id} {wrong}")

    def _judge_answers(self, now_s: float) -> None:
        """Judge what was answered long enough before a look that began at `now_s`."""
        with self._lock:
            due = [heard for heard in self._heard if heard[3] + STALE_S < now_s]
            self._heard = [heard for heard in self._heard if heard not in due]
        for process_id, status, asked_s, answered_s in due:
            with self._lock:
                allowed = self._histories[process_id].allowed(asked_s - STALE_S, answered_s + STALE_S)
            if status not in allowed:
                self.find(f"{process_id} was said to be {status} when it was {' or '.join(sorted(allowed))}")

    def _look_at_children(self, children: set[Child], live: frozenset[str], now_s: float) -> None:
        self.seen["children"] += len(children - self._children)
        self._children |= children
        for process_id, count in Counter(child.process_id for child in children).items():
            if count > 1:
                self.find(f"{count} children of {process_id} ran at once")
        for child in sorted(children):
            record = self._histories[child.process_id].newest
            answered_for = record is not None and not record.status.final and record.worker_id in live
            if answered_for:
                self._unanswered_since.pop(child, None)
            elif now_s - self._unanswered_since.setdefault(child, now_s) > ORPHAN_S:
                self.find(f"child {child.pid} of {child.process_id} has outlived its worker")
