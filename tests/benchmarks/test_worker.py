"""What the worker costs over the SDK alone, and a managed training over a bare one."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.report import Report
from tests.integration.endpoint_caller import Caller

from lorapod.deadline import Deadline
from lorapod.endpoint import EndpointConfig, LocalEndpoint
from lorapod.records.record import ProcessRecord
from lorapod.testing import script_child
from lorapod.testing.manager import ended, open_manager, train_on

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
FIVE_LINES = ROOT / "tests/benchmarks/five_line_handler.py"
WORKER = ROOT / "Backend/rp_handler.py"
FAST = ROOT / "FastBackend/handler_fast.py"


async def first_answer_s(handler: Path, workspace: Path) -> float:
    """From the start of a worker to its first answered job."""
    environment = {"WORKSPACE_PATH": str(workspace)}
    config = EndpointConfig(command=[sys.executable, str(handler)], environment=environment)
    began = time.perf_counter()
    async with LocalEndpoint(config) as endpoint, Caller(endpoint.url) as caller:
        status, answer = await caller.call("POST", "/runsync", {"input": {"type": "ping"}})
        took = time.perf_counter() - began
    assert (status, answer["status"]) == (200, "COMPLETED")
    return took


async def test_worker_start_to_first_answer(tmp_path: Path, report: Report) -> None:
    """At most 1.10 times the five-line handler."""
    times: dict[Path, list[float]] = {FIVE_LINES: [], WORKER: []}
    for _ in range(5):
        for handler, taken in times.items():
            taken.append(await first_answer_s(handler, tmp_path))
    bare, worker = (statistics.median(times[handler]) for handler in (FIVE_LINES, WORKER))
    report(
        "Start of a worker to its first answer",
        worker,
        "s",
        against="the five-line handler",
        reference=bare,
        ratio_at_most=1.10,
    )


async def test_fast_entry_start_to_first_answer(tmp_path: Path, report: Report) -> None:
    """At most 1.10 times the five-line handler, on a volume without an environment: a build is begun behind it."""
    times: dict[Path, list[float]] = {FIVE_LINES: [], FAST: []}
    for turn in range(5):
        for handler, taken in times.items():
            taken.append(await first_answer_s(handler, tmp_path / str(turn)))
    bare, fast = (statistics.median(times[handler]) for handler in (FIVE_LINES, FAST))
    report(
        "Start of the fast entry to its first answer, on an empty volume",
        fast,
        "s",
        against="the five-line handler",
        reference=bare,
        ratio_at_most=1.10,
    )


async def test_ping_in_process(tmp_path: Path, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Median under 0.2 ms."""
    monkeypatch.setenv("WORKSPACE_PATH", str(tmp_path))
    from rp_handler import async_handler, worker

    taken = []
    for _ in range(2000):
        began = time.perf_counter()
        answer = await async_handler({"id": "1", "input": {"type": "ping"}})
        taken.append(time.perf_counter() - began)
        assert answer["pong"] is True
    worker().close()
    worker.cache_clear()
    report("`ping` without a queue", statistics.median(taken) * 1000, "ms", at_most=0.2)


def bare_training_s(folder: Path, config: dict[str, Any]) -> float:
    """From the first to the last shown step of a run whose output is only read."""
    folder.mkdir()
    path = folder / "config.json"
    path.write_text(json.dumps({**config, "run_folder": str(folder / "run")}))
    command = [sys.executable, "-S", str(script_child.__file__), str(path), str(folder)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    seen: list[float] = []
    while os.read(child.stderr.fileno(), 65536):
        seen.append(time.monotonic())
    assert child.wait() == 0
    child.stderr.close()
    return seen[-1] - seen[0]


async def managed_training_s(root: Path, config: dict[str, Any]) -> float:
    """The same of a run under the manager, which reads every line, keeps the log and the record."""
    manager = open_manager(root)
    record = train_on(manager, **config)
    seen: list[float] = []

    def look(now: ProcessRecord) -> None:
        if now.progress.step:
            seen.append(time.monotonic())

    manager.listeners.add(record.process_id, look)
    end = await ended(manager, record)
    assert end.status == "completed"
    await asyncio.to_thread(manager.close, Deadline.after(5))
    return seen[-2] - seen[0]


async def test_a_managed_training_is_as_fast_as_a_bare_one(tmp_path: Path, report: Report) -> None:
    """At least 0.99 of the steps a second."""
    config = {"steps": 120, "step_s": 0.04, "save_every": 1000, "behaviour": "train", "name": "model"}
    ratios = []
    for turn in range(5):
        bare = bare_training_s(tmp_path / f"bare-{turn}", config)
        managed = await managed_training_s(tmp_path / f"managed-{turn}", config)
        ratios.append(bare / managed)
    report(
        f"Steps a second of a managed training, median of {len(ratios)} pairs",
        statistics.median(ratios),
        against="the same child alone",
        reference=1,
        ratio_at_least=0.99,
    )
