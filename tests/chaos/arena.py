"""One round: workers behind a local endpoint, a crowd of callers, a trouble-maker, and a judge."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.children import leftovers
from tests.chaos.crowd import Habits, TrainingCaller, ask_status, ends, keep_asking
from tests.chaos.judge import Judge
from tests.chaos.steps import repeated, runs_of
from tests.chaos.trouble import Pace, TroubleMaker
from tests.chaos.witness import CROWDED_NAME
from tests.integration.endpoint_caller import Caller, eventually

from lorapod.endpoint import EndpointConfig, EndpointLimits, LocalEndpoint
from lorapod.workspace import Workspace

ROOT = Path(__file__).parents[2]

#: How long everything may take to be gone at the end.
GONE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Round:
    """What a round is made of; set by `CHAOS_SEED`, `CHAOS_TRAININGS` and `CHAOS_WORKERS` where they are there."""

    #: The script that is the worker.
    worker: Path
    habits: Habits
    pace: Pace
    trainings: int
    workers: int
    lease_s: float
    #: The longest that the whole of it may take.
    patience_s: float
    seed: int = field(
        default_factory=lambda: number("CHAOS_SEED", random.SystemRandom().randrange(1_000_000))
    )


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of a round."""

    round: Round
    findings: Sequence[str]
    figures: dict[str, Any]

    def __str__(self) -> str:
        """The table for people."""
        wide = max(len(name) for name in self.figures)
        rows = [f"  {name:<{wide}}  {value}" for name, value in self.figures.items()]
        found = [f"  BROKEN: {sentence}" for sentence in self.findings]
        return "\n".join([f"chaos, seed {self.round.seed}", *rows, *found])


def number(name: str, default: int) -> int:
    """A number from the environment."""
    return int(os.environ.get(name) or default)


def live_workers(endpoint: LocalEndpoint) -> frozenset[str]:
    """Name the workers whose processes are alive; called in the judge's thread, beside the endpoint's loop."""
    while True:
        try:
            return frozenset(each.worker_id for each in endpoint.workers if each.worker_id)
        except RuntimeError:
            # The loop changed one of the endpoint's sets meanwhile.
            continue


async def play(chaos: Round, workspace: Path, logs: Path) -> Report:
    """Play one round on a workspace that has its base model and dataset, if its trainer wants them."""
    began_s = time.monotonic()
    Workspace.create(workspace)
    async with open_endpoint(chaos, workspace, logs) as endpoint, Caller(endpoint.url) as line:
        judge = Judge(workspace, lambda: live_workers(endpoint))
        judge.start()
        trouble = TroubleMaker(endpoint, chaos.seed, chaos.pace)
        callers = [
            TrainingCaller(each, chaos.seed, line, judge, chaos.habits) for each in range(chaos.trainings)
        ]
        background = [
            asyncio.create_task(trouble.run()),
            asyncio.create_task(keep_asking(line, judge, chaos.seed)),
        ]
        try:
            async with asyncio.timeout(chaos.patience_s):
                await asyncio.gather(*(caller.run() for caller in callers))
        except TimeoutError:
            judge.find(f"not every training had ended after {chaos.patience_s:g} s")
        finally:
            for task in background:
                task.cancel()
            results = await asyncio.gather(*background, return_exceptions=True)
        for result in results:
            if not isinstance(result, asyncio.CancelledError):
                judge.find(f"a part of the test itself failed: {result!r}")
        await settle(endpoint, line, judge)
        await eventually(judge.settled, "every answer is judged")
        await close_the_books(chaos, workspace, judge, callers)
    await look_for_leftovers(workspace, judge)
    judge.close()
    return Report(
        round=chaos,
        findings=judge.findings,
        figures={
            "trainings": dict(ends(callers)),
            "resumes": sum(caller.resumes for caller in callers),
            "called off": sum(caller.called_off is not None for caller in callers),
            "trouble": dict(trouble.done),
            "children": judge.seen["children"],
            "status answers": judge.seen["answers"],
            "workers that answered": sum(name.startswith("answers of ") for name in judge.seen),
            "looks": judge.seen["looks"],
            "seconds": round(time.monotonic() - began_s, 1),
        },
    )


def open_endpoint(chaos: Round, workspace: Path, logs: Path) -> LocalEndpoint:
    """The endpoint of a round; its jobs are handed out as often as it takes."""
    environment = {
        "WORKSPACE_PATH": str(workspace),
        "SCRATCH_PATH": str(workspace.parent / "scratch"),
        "LEASE_S": str(chaos.lease_s),
        "PROGRESS_INTERVAL_S": "0.5",
        "DISK_MIN_FREE_BYTES": "0",
        "CANCEL_GRACE_S": "5",
        "SHUTDOWN_GRACE_S": "6",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT / "Backend"),
    }
    return LocalEndpoint(
        EndpointConfig(
            command=[sys.executable, str(chaos.worker)],
            environment=environment,
            workers=chaos.workers,
            ping_interval_s=1,
            restart_wait_s=0.2,
            restart_wait_max_s=0.2,
            log_folder=logs,
            limits=EndpointLimits(max_attempts=1000),
        )
    )


async def settle(endpoint: LocalEndpoint, line: Caller, judge: Judge) -> None:
    """Call off what no caller answers for any more, and have every worker tell how every process ended."""
    for process_id in judge.known():
        while (await ask_status(line, judge, process_id))["status"] not in {"completed", "cancelled"}:
            await line.call("POST", "/runsync", {"input": {"type": "cancel", "process_id": process_id}})
    await eventually(lambda: all(each.pid is not None for each in endpoint.workers), "every worker is up")
    for process_id in judge.known():
        answers = await asyncio.gather(*(ask_status(line, judge, process_id) for _ in range(6)))
        told = {(answer["status"], answer["progress"]["step"]) for answer in answers}
        if len(told) > 1:
            judge.find(f"the workers do not agree on the end of {process_id}: {sorted(told)}")


async def close_the_books(
    chaos: Round, workspace: Path, judge: Judge, callers: Sequence[TrainingCaller]
) -> None:
    """Count the processes and look at their steps."""
    known = judge.known()
    named = [caller.process_id for caller in callers if caller.process_id is not None]
    if len(set(named)) != len(named):
        judge.find("two callers were told of one process")
    if len(known) > chaos.trainings:
        judge.find(f"{chaos.trainings} requests led to {len(known)} processes")
    for process_id in known:
        for sentence in repeated(runs_of(workspace, process_id)):
            judge.find(f"{process_id}: {sentence}")
        if (workspace / "output" / process_id / CROWDED_NAME).exists():
            judge.find(f"two children of {process_id} met")
    stale = [path.name for path in (workspace / "processes" / ".live").iterdir()]
    try:
        await eventually(
            lambda: not list((workspace / "processes" / ".live").iterdir()),
            "no process counts as live",
            GONE_S,
        )
    except AssertionError:
        judge.find(f"processes that have ended count as live for ever: {stale}")


async def look_for_leftovers(workspace: Path, judge: Judge) -> None:
    """See that nothing runs, and that no worker's heartbeat is left, once the endpoint is closed."""
    try:
        await eventually(lambda: not leftovers(workspace), "nothing runs", GONE_S)
    except AssertionError:
        judge.find(f"left running: {leftovers(workspace)}")
    left = [path.name for path in (workspace / "processes" / ".workers").iterdir()]
    if left:
        judge.find(f"heartbeats of dead workers are left: {left}")
