"""A worker that answers one request a line, with the stand-in of AI Toolkit as its captioner: each caption takes a moment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.line_worker import answer_lines

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
    await answer_lines(worker)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), sys.argv[2]))
