"""A worker that is killed at any one moment of a process's life leaves nothing that another cannot go on from."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lorapod.deadline import Deadline
from lorapod.records.status import ProcessStatus
from lorapod.testing.manager import SOON_S, ended, open_manager, train_on

LEASE_S = 2.0

#: Every change of the workspace's `processes` is counted; the worker dies before the one of its number. Of one worker
#: each, forked before any of their threads is there, as many as there are numbers.
WORKERS = """
import os, sys, threading
from pathlib import Path
from lorapod.processes import child, guard  # imported before the count begins
from lorapod.deadline import Deadline
from lorapod.testing.manager import ended, open_manager, train_on

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}

def train_until(deadly, root):
    count, lock = 0, threading.Lock()
    def hook(event, arguments):
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_CREAT | os.O_TRUNC)
        if (event in CHANGES or writes) and f"{root}/processes/" in str(arguments[0]) + "/":
            with lock:
                count += 1
                if count == deadly:
                    os._exit(9)
    sys.addaudithook(hook)
    import asyncio
    manager = open_manager(root, worker_id="doomed", lease_s=float(sys.argv[4]))
    record = train_on(manager, steps=6, save_every=2, idempotency_key="mine")
    asyncio.run(ended(manager, record))
    manager.close(Deadline.after(2))
    os._exit(0)

for deadly in range(int(sys.argv[2]), int(sys.argv[3])):
    pid = os.fork()
    if pid == 0:
        train_until(deadly, Path(sys.argv[1]) / str(deadly) / "workspace")
    print(deadly, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

#: More changes than a short training makes.
MOST = 64
BATCH = 16


def crash(root: Path, first: int) -> dict[int, int]:
    """Exit codes of workers that died at change `first` and those after: 9, or 0 where none was left to die at."""
    argv = [sys.executable, "-c", WORKERS, str(root), str(first), str(first + BATCH), str(LEASE_S)]
    told = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=100).stdout
    return {int(line.split()[0]): int(line.split()[1]) for line in told.splitlines()}


async def recover(workspace: Path) -> str:
    """What is wrong when another worker is asked for the same; nothing where all is well."""
    manager = open_manager(workspace, worker_id="heir", lease_s=LEASE_S)
    try:
        began = time.monotonic()
        record = train_on(manager, steps=6, save_every=2, idempotency_key="mine")
        end = await ended(manager, record)
        while end.status is ProcessStatus.INTERRUPTED:
            end = await ended(manager, train_on(manager, steps=6, save_every=2, idempotency_key="mine"))
        if end.status is not ProcessStatus.COMPLETED:
            return f"ended {end.status}: {end.failure}"
        processes, _ = manager.page(status=None, limit=10, before=None)
        if len(processes) != 1:
            return f"{len(processes)} processes"
        folder = workspace / "processes"
        while left := [*(folder / ".live").iterdir(), *(folder / ".workers").glob("doomed*")]:
            if time.monotonic() - began > SOON_S:
                return f"left: {[path.name for path in left]}"
            await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(manager.close, Deadline.after(2))
    return ""


@pytest.mark.parametrize("first", range(1, MOST, BATCH))
async def test_a_worker_can_be_killed_before_any_change(tmp_path: Path, first: int) -> None:
    codes = await asyncio.to_thread(crash, tmp_path, first)
    assert set(codes.values()) <= {0, 9}
    died = [deadly for deadly, code in codes.items() if code == 9]
    wrong = await asyncio.gather(*(recover(tmp_path / str(deadly) / "workspace") for deadly in died))
    assert {deadly: what for deadly, what in zip(died, wrong, strict=True) if what} == {}
    if first == 1:
        assert len(died) == BATCH
    if first + BATCH > MOST:
        assert len(died) < BATCH, "a training makes more changes than are tried: raise MOST"
