"""A sweep of 50 trainings against 50 single requests on the builtin trainer: their start, the first that end, the RAM."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.report import Report
from tests.tiny_models import ENVIRONMENT, place_tiny

from lorapod.testing.pictures import draw_dataset

pytestmark = [pytest.mark.benchmark, pytest.mark.torch, pytest.mark.timeout(900)]

#: A sweep may cost that much more than single requests, in each of the three figures.
MOST_RATIO = 1.3
#: What a figure may differ by in any case: seconds, and bytes.
SLACK_S, SLACK_BYTES = 2.0, 50_000_000
#: Trainings that are waited for; the others are cancelled.
ENDED = 5

#: A worker in a process of its own; prints its figures as JSON.
_WORKER = """
import asyncio, json, resource, sys, time
from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.worker import Worker

root, mode, count, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
common = {"type": "train", "trainer": "builtin", "preset": "sd15", "model": "models/tiny", "steps": 2, "resolution": 64,
    "dataset": {"training_name": "cats"}, "sample_prompts": [], "wait": False}
ranks = [1 + number % 16 for number in range(count)]

async def main():
    worker = Worker.create(Settings(workspace_path=root, allow_cpu=True, disk_min_free_bytes=0))
    worker.start()

    async def ask(**fields):
        answer = await worker.answer({"id": "1", "input": fields}, RunPodJob(job_id=str(time.monotonic_ns())))
        assert "error" not in answer, answer
        return answer

    await ask(type="ping")
    began = time.perf_counter()
    if mode == "sweep":
        answer = await ask(**common, variants=[{"rank": rank} for rank in ranks])
        ids, stop = [one["process_id"] for one in answer["processes"]], [answer["sweep_id"]]
    else:
        ids = stop = [(await ask(**common, rank=rank))["process_id"] for rank in ranks]
    assert len(set(ids)) == count, ids
    started_s = time.perf_counter() - began
    processes = worker.services.processes
    for process_id in ids[:wanted]:
        record = await processes.wait_until(process_id, lambda record: record.status.final)
        assert record.status == "completed", record
    ended_s = time.perf_counter() - began
    for process_id in reversed(stop):
        if not processes.get(process_id).status.final:
            await ask(type="cancel", process_id=process_id, save=False, grace_s=1)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    await asyncio.to_thread(worker.close)
    print(json.dumps({"started_s": started_s, "ended_s": ended_s, "peak_bytes": peak_bytes}))

asyncio.run(main())
"""


def _measured(root: Path, mode: str) -> dict[str, float]:
    workspace = root / mode
    place_tiny(workspace / "models" / "tiny")
    draw_dataset(workspace / "training_data" / "cats", count=3)
    environment: dict[str, Any] = {**os.environ, **ENVIRONMENT, "SCRATCH_PATH": str(root / f"scratch-{mode}")}
    done = subprocess.run(
        [sys.executable, "-c", _WORKER, str(workspace), mode, "50", str(ENDED)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def test_a_sweep_costs_what_its_trainings_cost(tmp_path: Path, report: Report) -> None:
    single, sweep = _measured(tmp_path, "single"), _measured(tmp_path, "sweep")
    for name, what, unit, size, slack in (
        ("started_s", "50 trainings accepted", "s", 1, SLACK_S),
        ("ended_s", f"First {ENDED} of them ended", "s", 1, SLACK_S),
        ("peak_bytes", "Memory of the worker", "MB", 1e6, SLACK_BYTES),
    ):
        report(
            f"{what}, as a sweep",
            sweep[name] / size,
            unit,
            against="single requests",
            reference=single[name] / size,
            at_most=(MOST_RATIO * single[name] + slack) / size,
        )
