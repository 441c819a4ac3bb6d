"""What history costs: 10,000 recorded processes against 10, measured in turn in the same run."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.benchmarks.report import Report

from lorapod.actions.action import RunPodJob
from lorapod.lease import LeaseTimes
from lorapod.processes.store.file import FileRecords
from lorapod.records import stored_record as records
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.records.stored_record import RECORD_NAME
from lorapod.settings import Settings
from lorapod.testing.records import make_record
from lorapod.worker import Worker
from lorapod.workspace import Workspace

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

MANY, FEW = 10_000, 10

#: What the project promises.
MOST_SWEEP_MS_A_SECOND = 50.0
MOST_STATUS_RATIO = 2.0
MOST_START_S = 0.5
MOST_RETENTION_S = 5.0

STARTS = 9
QUESTIONS = 400
SWEEPS = 50

#: A worker up to its first answer, and the seconds that took from its building on: the imports are the same for both.
START = """
import asyncio, sys, time
from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.worker import Worker
began = time.perf_counter()
worker = Worker.create(Settings())
worker.start()
answer = asyncio.run(worker.answer({"input": {"type": "ping"}}, RunPodJob(job_id="1")))
assert answer["pong"], answer
print(time.perf_counter() - began)
"""


def history(root: Path, count: int) -> Path:
    """A workspace with so many ended processes, written without a sync for each."""
    folder = Workspace.create(root).processes
    for number in range(count):
        process_id = f"train_{number:012x}"
        record = make_record(
            process_id=process_id,
            status=ProcessStatus.COMPLETED,
            created_at=datetime.now(UTC),
            holder="gone.1",
        )
        (folder / process_id).mkdir()
        (folder / process_id / RECORD_NAME).write_bytes(records.dump(record))
    return root


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return history(tmp_path_factory.mktemp("many"), MANY)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return history(tmp_path_factory.mktemp("few"), FEW)


def open_worker(root: Path) -> Worker:
    return Worker.create(Settings(workspace_path=root))


def in_turn(times: int, *calls: Callable[[], float]) -> list[float]:
    """The median of each, in the unit of the calls, which see the same machine."""
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(times):
        for call, kept in zip(calls, taken, strict=True):
            kept.append(call())
    return [statistics.median(kept) for kept in taken]


def test_a_sweep_at_rest_costs_next_to_nothing(many: Path, few: Path, report: Report) -> None:
    a_second = 1 / LeaseTimes(lease_s=Settings().lease_s).sweep_s

    def sweep(worker: Worker) -> Callable[[], float]:
        keeper = worker.services.processes._keeper

        def once() -> float:
            began = time.thread_time()
            keeper.sweep()
            return (time.thread_time() - began) * 1000 * a_second

        return once

    measured, reference = in_turn(SWEEPS, sweep(open_worker(many)), sweep(open_worker(few)))
    report(
        f"Sweeping {MANY:,} records, of a processor in each second",
        measured,
        "ms",
        against=f"{FEW:,} records",
        reference=reference,
        at_most=MOST_SWEEP_MS_A_SECOND,
    )


def test_a_status_costs_the_same_however_long_the_history(many: Path, few: Path, report: Report) -> None:
    job = RunPodJob(job_id="1")
    with asyncio.Runner() as loop:

        def ask(worker: Worker) -> Callable[[], float]:
            event = {"input": {"type": "process_status", "process_id": f"train_{FEW - 1:012x}"}}

            def once() -> float:
                began = time.perf_counter()
                answer = loop.run(worker.answer(event, job))
                taken_ms = (time.perf_counter() - began) * 1000
                assert answer["status"] == "completed", answer
                return taken_ms

            return once

        measured, reference = in_turn(QUESTIONS, ask(open_worker(many)), ask(open_worker(few)))
    report(
        f"`process_status` among {MANY:,} records",
        measured,
        "ms",
        against=f"{FEW:,} records",
        reference=reference,
        ratio_at_most=MOST_STATUS_RATIO,
    )


def test_a_pass_of_retention_without_news_reads_no_record(
    many: Path, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    settings = Settings(workspace_path=many, retention="trainings:30d, checkpoints:7d, trainings:last:20000")

    def sweep() -> tuple[float, int]:
        retention = Worker.create(settings).services.retention
        reads = 0
        load = FileRecords.load

        def count(self: FileRecords, process_id: str) -> ProcessRecord | None:
            nonlocal reads
            reads += 1
            return load(self, process_id)

        with monkeypatch.context() as patch:
            patch.setattr(FileRecords, "load", count)
            began = time.perf_counter()
            retention.sweep()
            return time.perf_counter() - began, reads

    (first_s, first), (taken_s, reads) = sweep(), sweep()
    assert (first, reads) == (MANY, 0)
    report(
        f"A pass of retention over {MANY:,} records without news",
        taken_s,
        "s",
        against="the first pass, which reads them",
        reference=first_s,
        at_most=MOST_RETENTION_S,
    )


def test_a_worker_starts_as_fast(many: Path, few: Path, report: Report) -> None:
    def start(root: Path) -> Callable[[], float]:
        def once() -> float:
            environment = {"WORKSPACE_PATH": str(root), "PYTHONPATH": ":".join(sys.path)}
            told = subprocess.run(
                [sys.executable, "-c", START], check=True, capture_output=True, text=True, env=environment
            )
            return float(told.stdout)

        return once

    measured, reference = in_turn(STARTS, start(many), start(few))
    report(
        f"Start to first answer with {MANY:,} records, after the imports",
        measured,
        "s",
        against=f"{FEW:,} records",
        reference=reference,
        at_most=reference + MOST_START_S,
    )
