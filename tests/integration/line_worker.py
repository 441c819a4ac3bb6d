"""A worker in a process of its own that answers one request a line, so that a test can kill it."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path
from typing import Any, Self

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker


class LineWorker:
    """The test's side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def open(cls, root: Path, worker_id: str, *, module: str = __name__) -> Self:
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                str(root),
                worker_id,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                limit=2**24,
            )
        )

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"type": type_, **fields}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline())
        return answer

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()


async def answer_lines(worker: Worker) -> None:
    """Answer the requests on stdin until it is closed."""
    requests: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(requests.put_nowait, line)
        loop.call_soon_threadsafe(requests.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    while line := await requests.get():
        answer = await worker.answer({"id": "j", "input": json.loads(line)}, RunPodJob(job_id=line[:9]))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    await asyncio.to_thread(worker.close)


async def serve(root: Path, worker_id: str) -> None:
    """Serve without trainers."""
    settings = Settings(
        workspace_path=root / "workspace",
        scratch_path=root / "scratch" / worker_id,
        disk_min_free_bytes=0,
        lease_s=2.0,
        runpod_pod_id=worker_id,
    )
    worker = Worker.create(settings, trainers=TrainerRegistry([]))
    worker.start()
    await answer_lines(worker)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
