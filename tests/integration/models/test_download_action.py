"""`download_model` as a caller sees it, with a whole worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integration.endpoint_caller import eventually
from tests.integration.models.test_download import CONTENT, SHA256
from tests.servers.fault_server import Fault, FaultServer, serving

from lorapod.actions.action import RunPodJob
from lorapod.files.digests import DigestBook
from lorapod.models.download import ModelDownloads
from lorapod.models.order import ModelOrder
from lorapod.settings import Settings
from lorapod.worker import Worker
from lorapod.workspace import Workspace


class Desk:
    """Asks one worker."""

    def __init__(self, worker: Worker, comfyui: Path) -> None:
        self.worker = worker
        self.comfyui = comfyui
        self.updates: list[Mapping[str, Any]] = []

    async def ask(self, **fields: Any) -> dict[str, Any]:
        job = RunPodJob(job_id="job-1", progress=self.updates.append)
        return await self.worker.answer({"id": "job-1", "input": fields}, job)

    async def reached(self, status: str, **process: Any) -> dict[str, Any] | None:
        now = await self.ask(type="process_status", **process)
        return now if now["status"] == status else None


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    comfyui = tmp_path / "comfyui"
    (comfyui / "models/loras").mkdir(parents=True)
    (comfyui / "models/loras/own.safetensors").write_bytes(CONTENT)
    settings = Settings(
        comfyui_path=comfyui,
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        allow_private_urls=True,
        disk_min_free_bytes=0,
        min_free_memory_bytes=0,
        warm_trainer=False,
        shutdown_grace_s=5,
    )
    worker = Worker.create(settings)
    worker.start()
    yield Desk(worker, comfyui)
    await asyncio.to_thread(worker.close)


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with serving(FaultServer(CONTENT)) as opened:
        yield opened


async def test_it_is_waited_for_and_then_on_the_shelf(desk: Desk, server: FaultServer) -> None:
    answer = await desk.ask(type="download_model", source=server.url("/cat.safetensors"), wait=True)
    assert (answer["status"], answer["outcome"]["sha256"]) == ("completed", SHA256), answer
    assert desk.updates[0]["process_id"] == answer["process_id"]
    (model,) = (await desk.ask(type="list_models", kind="lora"))["models"]
    assert (model["path"], model["trigger_words"]) == ("models/loras/cat.safetensors", ["ohwx"])
    # ComfyUI's folder is in use, so each model has a link of its own there.
    assert (desk.comfyui / "models/loras/cat.safetensors").samefile(
        desk.worker.services.workspace.models / "loras/cat.safetensors"
    )
    card = await desk.ask(type="describe_model", model="cat")
    assert (card["sha256"], card["source"]) == (SHA256, server.url("/cat.safetensors"))


async def test_it_is_followed_stopped_and_taken_up_again(desk: Desk, server: FaultServer) -> None:
    server.faults.append(Fault(stall_after=2_000_000))
    started = await desk.ask(type="download_model", source=server.url("/cat.safetensors"), kind="lora")
    process = {"process_id": started["process_id"]}
    await eventually(partial(desk.reached, "running", **process), "the download runs")
    await server.asked.wait()
    await desk.ask(type="cancel", **process)
    status = await eventually(partial(desk.reached, "cancelled", **process), "the download is cancelled")
    assert status["resumable"] is True
    ended = await desk.ask(type="resume", **process, wait=True)
    assert (ended["status"], ended["outcome"]["path"]) == ("completed", "models/loras/cat.safetensors"), ended


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hf://org/kept/model.safetensors", "RunPod keeps the model ready"),
        ("hf://org/wanted/model.safetensors@v2", "RunPod keeps the model ready"),
        ("hf://org/downloaded/model.safetensors", "in the volume's HuggingFace cache"),
        ("hf://org/elsewhere/model.safetensors", None),
        ("https://example.org/kept.safetensors", None),
    ],
)
def test_a_second_copy_of_a_model_is_a_warning(
    source: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for cache, name in ((tmp_path / "host", "kept"), (tmp_path / "hf" / "hub", "downloaded")):
        (cache / f"models--org--{name}" / "snapshots" / "a1").mkdir(parents=True)
        (cache / f"models--org--{name}" / "snapshots" / "a1" / "model.safetensors").write_bytes(b"1")
    workspace = Workspace(root=tmp_path / "workspace")
    settings = Settings(model_cache_path=tmp_path / "host", cached_model="org/wanted")
    downloads = ModelDownloads(
        workspace=workspace, settings=settings, digests=DigestBook(workspace=workspace)
    )

    warnings = downloads.warnings(ModelOrder(source=source))

    assert len(warnings) == (said is not None)
    assert all("This is a second copy of org/" in each and str(said) in each for each in warnings)


async def test_what_is_refused_starts_nothing(desk: Desk, server: FaultServer) -> None:
    for fields, code in (
        ({"source": "cat.safetensors"}, "invalid_input"),
        ({"source": "file:///etc/passwd"}, "unsafe_url"),
        ({"source": server.url("/x.ckpt"), "kind": "checkpoint"}, "unsupported"),
        ({"source": server.url("/x.safetensors"), "sha256": "abc"}, "invalid_input"),
        ({"source": server.url("/x.safetensors"), "metadata": {"a": 1}}, "invalid_input"),
        ({"source": "hf://a/b/c.safetensors", "engine": "swarmui"}, "invalid_input"),
    ):
        answer = await desk.ask(type="download_model", **fields)
        assert answer.get("code") == code, answer
    assert (await desk.ask(type="processes"))["processes"] == []
    assert server.seen == []
