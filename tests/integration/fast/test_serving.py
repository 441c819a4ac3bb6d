"""The real worker behind the entry's socket, as a real child."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from lorapod.fast.real_worker import RealWorker

BUCKET_SECRET = "planted-with-a-bucket"
CALLBACK_TOKEN = "planted-with-a-callback"


async def test_its_log_holds_nothing_that_a_job_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKSPACE_PATH", str(tmp_path / "workspace"))
    monkeypatch.setenv("SCRATCH_PATH", str(tmp_path / "scratch"))
    monkeypatch.setenv("WARM_TRAINER", "off")
    inner = await RealWorker.start(Path(sys.executable), worker_id="pod-1")
    try:
        # It says in its log which types nobody knows.
        answer = await inner.answer(
            {
                "id": "job-1",
                "input": {"type": f"{BUCKET_SECRET}/{CALLBACK_TOKEN}", "callback_token": CALLBACK_TOKEN},
                "s3Config": {"accessSecret": BUCKET_SECRET},
            },
            lambda _update: None,
        )
    finally:
        inner.close()
        await asyncio.wait_for(inner.ended(), 30)
    assert answer["error"].startswith("There is no type '***/***'")
    logged = capfd.readouterr().err
    assert "There is no type '***/***'" in logged
    assert BUCKET_SECRET not in logged
    assert CALLBACK_TOKEN not in logged
