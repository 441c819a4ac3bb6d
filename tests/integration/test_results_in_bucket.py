"""Results at URLs of a real S3 server, in the forms of worker-comfyui and of image-to-video handlers."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.integration.processes.test_uploads import in_bucket
from tests.servers import comfyui_graphs as graphs
from tests.servers.comfyui import ComfyUIStandIn, running_comfyui
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from yarl import URL

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.worker import Worker

JOB_ID = "sync-3f1c/e1"
FOLDER = "sync-3f1c_e1"


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyUIStandIn]:
    with running_comfyui(tmp_path_factory.mktemp("comfyui")) as server:
        yield server


@pytest.fixture
def worker(tmp_path: Path, comfyui: ComfyUIStandIn, s3_server: RunningS3) -> Iterator[Worker]:
    """A worker with the variables that operators of worker-comfyui set, the bucket in the endpoint's path."""
    (tmp_path / "workspace/workflows").mkdir(parents=True)
    (tmp_path / "workspace/workflows/mine.json").write_text(graphs.text_of(graphs.from_input()))
    settings: dict[str, Any] = {
        "workspace_path": tmp_path / "workspace",
        "scratch_path": tmp_path / "scratch",
        "comfyui_url": comfyui.url,
        "bucket_endpoint_url": f"{s3_server.url}/{BUCKET}",
        "bucket_access_key_id": KEY_ID,
        "bucket_secret_access_key": SECRET_KEY,
        "allow_cpu": True,
        "disk_min_free_bytes": 0,
        "min_free_memory_bytes": 0,
        "warm_trainer": False,
    }
    built = Worker.create(Settings(**settings))
    yield built
    built.close()


async def ask(worker: Worker, **fields: Any) -> dict[str, Any]:
    return await worker.answer({"id": JOB_ID, "input": fields}, RunPodJob(job_id=JOB_ID))


def picture(colour: str) -> str:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


def fetched(url: str) -> bytes:
    return httpx.get(url).raise_for_status().content


async def test_a_workflow_is_answered_with_urls_below_month_and_job(
    worker: Worker, s3_server: RunningS3
) -> None:
    answer = await ask(worker, workflow=graphs.picture(colour=0x112233))

    (image,) = answer["images"]
    assert (set(answer), image["type"]) == ({"images"}, "s3_url")
    content = fetched(image["data"])
    with Image.open(io.BytesIO(content)) as shown:
        assert shown.size == (64, 64)
    month = f"{worker.services.clock.now():%m-%y}"
    stored = in_bucket(s3_server, f"{month}/{FOLDER}/")
    assert content in stored.values()
    assert {Path(name).suffix for name in stored} == {".png"}
    assert f"/{month}/{FOLDER}/" in image["data"]
    assert SECRET_KEY not in str(answer)


async def test_the_folder_is_the_one_that_the_sdk_uploads_to(
    worker: Worker, s3_server: RunningS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scripts and lifecycle rules of operators know the folder; the name in it was always a random one."""
    rp_upload = pytest.importorskip("runpod.serverless.utils.rp_upload")
    monkeypatch.setenv("BUCKET_ENDPOINT_URL", f"{s3_server.url}/{BUCKET}")
    monkeypatch.setenv("BUCKET_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", SECRET_KEY)
    (tmp_path / "a.png").write_bytes(base64.b64decode(picture("red")))
    theirs = rp_upload.upload_image("sync-7", str(tmp_path / "a.png"))

    event = {"id": "sync-7", "input": {"workflow": graphs.picture()}}
    ours = (await worker.answer(event, RunPodJob(job_id="sync-7")))["images"][0]["data"]

    assert URL(ours).parent == URL(theirs).parent
    assert URL(ours).suffix == URL(theirs).suffix == ".png"


async def test_an_image_to_video_caller_gets_urls_too(worker: Worker) -> None:
    answer = await ask(worker, prompt="a fox", image=picture("red"), comfyui_workflow_name="mine")

    (image,) = answer["output"]["images"]
    assert (set(image), image["type"]) == ({"filename", "type", "data"}, "s3_url")
    with Image.open(io.BytesIO(fetched(image["data"]))) as shown:
        assert shown.getpixel((0, 0)) == (0, 255, 255)
