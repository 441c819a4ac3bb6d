"""`train` on datasets from elsewhere, through a whole worker with a real file server and real children."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.servers.fault_server import Fault, FaultServer, serving
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.testing.manager import SOON_S
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

PICTURE = picture(size=(300, 300))


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with serving(FaultServer(PICTURE)) as opened:
        yield opened


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        allow_private_urls=True,
        disk_min_free_bytes=0,
    )
    opened = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    opened.start()
    yield opened
    await asyncio.to_thread(opened.close)


async def ask(worker: Worker, **fields: Any) -> dict[str, Any]:
    return await worker.answer({"id": "job", "input": fields}, RunPodJob(job_id="job"))


async def train(worker: Worker, *addresses: str, **fields: Any) -> dict[str, Any]:
    dataset = {"urls": list(addresses)}
    return await ask(worker, type="train", **({"config": {"steps": 2}, "dataset": dataset} | fields))


async def ended(worker: Worker, process_id: str) -> dict[str, Any]:
    async with asyncio.timeout(SOON_S):
        while True:
            status = await ask(worker, type="process_status", process_id=process_id, log_tail=50)
            if status["status"] in {"completed", "failed", "cancelled", "interrupted"}:
                return status
            await asyncio.sleep(0.05)


async def test_a_training_on_addresses(worker: Worker, server: FaultServer) -> None:
    server.files["/a.txt"] = b"a cat"
    server.faults += [Fault(reset_after=100_000), Fault(status=503)]
    started = await train(worker, server.url("/a.png?token=planted-secret"), server.url("/a.txt"))
    assert started["status"] == "queued"
    assert set(started["dataset"]) == {"path", "warnings"}
    end = await ended(worker, started["process_id"])
    assert end["status"] == "completed", end
    assert (end["dataset"]["images"], end["dataset"]["captions"]) == (1, 1)
    assert end["fetch"]["received_bytes"] == len(PICTURE) + 5
    root = worker.services.workspace.root
    with Image.open(root / end["dataset"]["contact_sheet"]) as sheet:
        assert sheet.format == "PNG"
    assert f"output/{started['process_id']}/dataset.png" in end["output_files"]
    sent = server.sent_bytes
    again = await train(worker, server.url("/a.png?token=planted-secret"), server.url("/a.txt"), wait=True)
    assert again["status"] == "completed"
    assert again["dataset"]["images"] == 1
    assert server.sent_bytes == sent


async def test_what_can_be_refused_is_refused_at_once(worker: Worker, server: FaultServer) -> None:
    address = server.url("/a.png")
    wrong = await train(worker, address, config={"steps": "many"})
    assert wrong["code"] == "invalid_input"
    assert (await train(worker, "file:///etc/passwd"))["code"] == "unsafe_url"
    nobody = await train(worker, dataset={"s3": {"bucket": "b"}})
    assert nobody["code"] == "invalid_input"
    assert "S3" in nobody["error"]
    assert server.seen == []


async def test_a_dry_run_fetches_nothing(worker: Worker, server: FaultServer) -> None:
    answer = await train(worker, server.url("/a.png"), dry_run=True)
    assert answer["accepted"]
    assert server.seen == []


async def test_a_broken_dataset_fails_before_the_trainer_starts(worker: Worker, server: FaultServer) -> None:
    server.files["/a.png"] = PICTURE[:1000]
    started = await train(worker, server.url("/a.png"))
    end = await ended(worker, started["process_id"])
    assert (end["status"], end["failure"]["code"]) == ("failed", "invalid_input")
    assert "a.png" in end["failure"]["message"]
    server.files["/a.png"] = PICTURE
    await ask(worker, type="resume", process_id=started["process_id"], wait=False)
    assert (await ended(worker, started["process_id"]))["status"] == "completed"


async def test_a_cancel_ends_a_fetch_that_hangs(worker: Worker, server: FaultServer) -> None:
    server.faults += [Fault(stall_after=100)]
    started = await train(worker, server.url("/a.png"))
    async with asyncio.timeout(SOON_S):
        await server.asked.wait()
    await ask(worker, type="cancel", process_id=started["process_id"])
    async with asyncio.timeout(1.5):
        end = await ended(worker, started["process_id"])
    assert end["status"] == "cancelled"


async def test_a_local_dataset_with_errors_is_refused_in_the_request(worker: Worker) -> None:
    folder = worker.services.workspace.training_data / "cats"
    folder.mkdir()
    (folder / "a.png").write_bytes(PICTURE[:-50])
    (folder / "b.png").write_bytes(PICTURE)
    (folder / "b.txt").write_bytes(b"caf\xe9")
    answer = await train(worker, dataset={"training_name": "cats"})
    assert answer["code"] == "invalid_input"
    assert [problem["field"] for problem in answer["details"]] == ["a.png", "b.txt"]
    assert json.dumps(await ask(worker, type="processes")).count("process_id") == 0
