"""`train` on datasets from elsewhere, through a whole worker with a real file server and real children."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
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
OTHER = picture(size=(301, 300))


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
    assert set(started["dataset"]) == {"path", "warnings", "fixed"}
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


def config_of(*sections: dict[str, Any]) -> dict[str, Any]:
    """A config that names its own folders; the script beside it trains for two steps."""
    return {"steps": 2, "config": {"process": [{"datasets": list(sections)}]}}


def fill(worker: Worker, name: str, files: dict[str, bytes]) -> str:
    folder = worker.services.workspace.training_data / name
    for file, content in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(content)
    return str(folder)


async def test_folders_that_only_the_config_names_are_looked_into(worker: Worker) -> None:
    cats = fill(worker, "cats", {"a.png": PICTURE, "a.caption": b"a cat"})
    reg = fill(worker, "reg", {"b.png": OTHER[:-50]})
    config = config_of({"folder_path": cats, "caption_ext": "caption"}, {"folder_path": reg, "is_reg": True})
    refused = await ask(worker, type="train", config=config)
    assert refused["code"] == "invalid_input"
    assert [problem["field"] for problem in refused["details"]] == ["training_data/reg/b.png"]
    fill(worker, "reg", {"b.png": OTHER})
    rehearsed = await ask(worker, type="train", config=config, dry_run=True)
    started = await ask(worker, type="train", config=config)
    for answer in (rehearsed, started):
        assert (answer["dataset"]["path"], answer["dataset"]["images"]) == ("training_data/cats", 2)
        assert answer["dataset"]["captions"] == 1
        assert "training_data/reg (regularisation): 1 images, 0 captions." in answer["dataset"]["warnings"]
    end = await ended(worker, started["process_id"])
    assert end["dataset"]["images"] == 2
    assert end["dataset"]["contact_sheet"] in end["output_files"]


async def test_second_pictures_are_looked_into(worker: Worker) -> None:
    cats = fill(worker, "cats", {"a.png": PICTURE, "b.png": OTHER})
    before = fill(worker, "before", {"a.png": PICTURE, "B.png": OTHER})
    config = config_of({"folder_path": cats, "control_path": [before]})
    warnings = (await ask(worker, type="train", config=config, dry_run=True))["dataset"]["warnings"]
    assert "1 of 2 images have no control image in before: b.png." in warnings


async def test_a_fetched_dataset_is_read_as_its_config_says(worker: Worker, server: FaultServer) -> None:
    server.files["/a.txt"] = b"a cat"
    reg = fill(worker, "reg", {"b.png": OTHER[:-50]})
    folder = (await train(worker, server.url("/a.png"), server.url("/a.txt"), dry_run=True))["dataset"][
        "path"
    ]
    target = str(worker.services.workspace.root / folder)
    config = config_of(
        {"folder_path": target, "caption_ext": "caption"}, {"folder_path": reg, "is_reg": True}
    )
    refused = await train(worker, server.url("/a.png"), server.url("/a.txt"), config=config)
    assert [problem["field"] for problem in refused["details"]] == ["b.png"]
    fill(worker, "reg", {"b.png": OTHER})
    started = await train(worker, server.url("/a.png"), server.url("/a.txt"), config=config)
    end = await ended(worker, started["process_id"])
    assert (end["status"], end["dataset"]["images"], end["dataset"]["captions"]) == ("completed", 2, 0)
    text = " ".join(end["dataset"]["warnings"])
    assert "a.txt is not read: as the caption of a.png the trainer reads a.caption only." in text
    assert "training_data/reg (regularisation): 1 images, 0 captions." in text


async def upload(worker: Worker, content: bytes, **fields: Any) -> dict[str, Any]:
    file = {"filename": "a.png", "content": base64.b64encode(content).decode()}
    return await ask(worker, type="upload_training_data", training_name="cats", files=[file], **fields)


async def until(worker: Worker, process_id: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The process's status once it has `reached` something."""
    async with asyncio.timeout(SOON_S):
        while True:
            status = await ask(worker, type="process_status", process_id=process_id)
            if reached(status):
                return status
            await asyncio.sleep(0.02)


async def running(worker: Worker, process_id: str) -> dict[str, Any]:
    return await until(worker, process_id, lambda status: status["status"] == "running")


LONG = {"steps": 100_000, "step_s": 0.05}

#: The ways in which a training names the folder `training_data/cats`.
READERS: dict[str, dict[str, Any]] = {
    "by name": {"config": LONG, "dataset": {"training_name": "cats"}},
    "by path": {"config": LONG, "dataset": {"path": "training_data/cats"}},
    "by the folder above": {"config": LONG, "dataset": {"path": "training_data"}},
    "in its config": {
        "config": {**LONG, "process": [{"datasets": [{"folder_path": "/workspace/training_data/cats/"}]}]},
        "dataset": None,
    },
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
async def test_a_dataset_that_a_training_reads_is_not_replaced_under_it(
    worker: Worker, reader: dict[str, Any]
) -> None:
    folder = worker.services.workspace.training_data / "cats"
    await upload(worker, PICTURE)
    process_id = (await train(worker, **reader))["process_id"]
    await running(worker, process_id)
    refused = await upload(worker, OTHER, append=False)
    assert refused.get("code") == "conflict"
    assert process_id in refused["error"]
    assert (folder / "a.png").read_bytes() == PICTURE
    await ask(worker, type="cancel", process_id=process_id)
    await ended(worker, process_id)
    assert (await upload(worker, OTHER, append=False))["images"] == 1
    assert (folder / "a.png").read_bytes() == OTHER


async def test_a_dataset_that_another_workers_training_reads_is_not_replaced(
    worker: Worker, tmp_path: Path
) -> None:
    await upload(worker, PICTURE)
    process_id = (await train(worker, **READERS["by name"]))["process_id"]
    await running(worker, process_id)
    settings = worker.services.settings.model_copy(update={"scratch_path": tmp_path / "other-scratch"})
    other = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    try:
        refused = await upload(other, OTHER, append=False)
    finally:
        await asyncio.to_thread(other.close)
    assert refused["code"] == "conflict"
    assert process_id in refused["error"]
    assert (worker.services.workspace.training_data / "cats" / "a.png").read_bytes() == PICTURE


async def test_a_training_that_waits_for_its_turn_keeps_its_dataset(worker: Worker) -> None:
    """The check of the dataset has passed already: what it trains on is what was checked."""
    await upload(worker, PICTURE)
    first = (await train(worker, config=LONG, dataset={"training_name": "cats"}))["process_id"]
    second = (await train(worker, config=LONG, dataset={"training_name": "cats"}))["process_id"]
    await running(worker, first)
    await ask(worker, type="cancel", process_id=first)
    await ended(worker, first)
    refused = await upload(worker, OTHER, append=False)
    assert refused["code"] == "conflict"
    assert second in refused["error"]


async def test_a_remote_dataset_that_changed_is_not_replaced_under_a_training(
    worker: Worker, server: FaultServer
) -> None:
    root = worker.services.workspace.root
    first = (await train(worker, server.url("/a.png"), config=LONG))["process_id"]
    read = await running(worker, first)
    server.files["/a.png"], server.etag = OTHER, '"two"'
    second = (await train(worker, server.url("/a.png")))["process_id"]
    await until(worker, second, lambda status: "images" in status["dataset"])
    assert (root / read["dataset"]["path"] / "a.png").read_bytes() == PICTURE
    await ask(worker, type="cancel", process_id=first)
    await ended(worker, first)
    end = await ended(worker, second)
    assert end["status"] == "completed"
    assert (root / end["dataset"]["path"] / "a.png").read_bytes() == OTHER
    third = await train(worker, server.url("/a.png"), wait=True)
    assert third["dataset"]["path"] == read["dataset"]["path"]
    assert (root / third["dataset"]["path"] / "a.png").read_bytes() == OTHER
