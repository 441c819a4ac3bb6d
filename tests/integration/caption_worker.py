"""A worker that answers one request a line, with the stand-in of AI Toolkit as its captioner: each caption takes a moment."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path

from lorapod.actions.action import RunPodJob
from lorapod.captioners.ai_toolkit.adapter import AIToolkitCaptioner
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.settings import Settings
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker
from lorapod.workspace import Workspace


async def serve(root: Path, worker_id: str) -> None:
    settings = Settings(
        workspace_path=root / "workspace",
        scratch_path=root / "scratch" / worker_id,
        ai_toolkit_path=root / "ai-toolkit",
        ai_toolkit_python=Path(sys.executable),
        allow_cpu=True,
        disk_min_free_bytes=0,
        lease_s=2.0,
        runpod_pod_id=worker_id,
    )
    captioner = AIToolkitCaptioner(settings=settings, workspace=Workspace.create(root / "workspace"))
    worker = Worker.create(settings, trainers=TrainerRegistry([]), captioners=CaptionerRegistry([captioner]))
    worker.start()
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


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
