"""A machine with a broken GPU takes no jobs, in the loop of the real SDK."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 60.0


async def start(how: str, folder: Path) -> asyncio.subprocess.Process:
    # Nobody listens there: a fit worker asks for jobs, again and again.
    nobody = "http://127.0.0.1:9"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests/integration/gpu_worker.py"),
        how,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "Backend"),
            "PYTHONUNBUFFERED": "1",
            "WORKSPACE_PATH": str(folder / "workspace"),
            "SCRATCH_PATH": str(folder / "scratch"),
            "WARM_TRAINER": "false",
            "RUNPOD_POD_ID": "pod-1",
            "RUNPOD_AI_API_KEY": "key",
            "RUNPOD_WEBHOOK_GET_JOB": f"{nobody}/job-take/$ID",
            "RUNPOD_WEBHOOK_POST_OUTPUT": f"{nobody}/job-done/$RUNPOD_POD_ID/$ID",
            "RUNPOD_WEBHOOK_PING": f"{nobody}/ping/$RUNPOD_POD_ID",
            "RUNPOD_DEBUG_LEVEL": "INFO",
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


def kill(worker: asyncio.subprocess.Process) -> None:
    """Kill the worker with the process that the SDK forks for its pings, which keeps the worker's output open."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("lost", "The NVIDIA driver does not work: GPU is lost, so this worker takes no jobs."),
        ("hung", "The NVIDIA driver has not answered for 1 s, so this worker takes no jobs."),
    ],
)
async def test_a_worker_with_a_broken_gpu_exits_with_a_sentence(
    how: str, sentence: str, tmp_path: Path
) -> None:
    worker = await start(how, tmp_path)

    output, _ = await asyncio.wait_for(worker.communicate(), DEADLINE_S)

    assert worker.returncode == 1, output.decode()
    assert sentence in output.decode()
    assert "Traceback" not in output.decode()


async def test_a_worker_without_a_gpu_is_fit(tmp_path: Path) -> None:
    worker = await start("absent", tmp_path)
    assert worker.stdout is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not lines or "All fitness checks passed" not in lines[-1]:
                line = await worker.stdout.readline()
                assert line, "\n".join(lines)
                lines.append(line.decode())
    finally:
        kill(worker)
        await worker.communicate()
