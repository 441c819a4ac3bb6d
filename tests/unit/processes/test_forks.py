"""A fork that executes no program must not hold up the start of one: RunPod's SDK makes such a fork at its start."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from lorapod.processes.child import Child, start_child
from lorapod.processes.launch import LaunchSpec

STARTS = 30


def fork_until(done: threading.Event) -> list[int]:
    """Fork again and again, as `multiprocessing` does; the forks live on."""
    pids: list[int] = []
    while not done.is_set() and len(pids) < 2000:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        pids.append(pid)
    return pids


def test_programs_start_while_another_thread_forks(tmp_path: Path) -> None:
    spec = LaunchSpec(argv=(sys.executable, "-S", "-c", "pass"), cwd=tmp_path)
    done = threading.Event()
    started: list[Child] = []
    forks: list[int] = []

    def start_all() -> None:
        for _ in range(STARTS):
            child = start_child(spec, dict(os.environ), fence_s=60)
            started.append(child)
            child.reap()

    starter = threading.Thread(target=start_all, daemon=True)
    forker = threading.Thread(target=lambda: forks.extend(fork_until(done)), daemon=True)
    forker.start()
    starter.start()
    starter.join(60)
    done.set()
    forker.join()
    for pid in forks:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    starter.join(10)
    assert len(forks) > 1
    assert len(started) == STARTS, "a start waited for a fork that never ends"
