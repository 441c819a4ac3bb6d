"""The client with and without an event loop: the same tests on both."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import inspect
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.client_faces import FACES, AwaitedFace, opened

from lorapod.client import (
    AsyncClient,
    AsyncTraining,
    Client,
    ClientClosed,
    EndpointUnreachable,
    InvalidInputError,
    LocalFileError,
    LocalFileNotFound,
    ProcessEnded,
    Progress,
    RetryPolicy,
    Training,
    WrongUrl,
)
from lorapod.client.volume_client import VolumeClient
from lorapod.testing.fake_queue import FakeQueue

PROCESS = "train_0123456789ab"
URL = "https://runpod.test/v2/fake"


@pytest.fixture(params=FACES)
async def face(request: pytest.FixtureRequest, queue: FakeQueue) -> AsyncIterator[AwaitedFace]:
    retries = RetryPolicy(attempts=3, first_wait_s=0.001, longest_wait_s=0.005)
    async with opened(request.param, URL, http=queue, retries=retries) as client:
        yield client


def looked_at(status: str, step: int = 1, **more: Any) -> dict[str, Any]:
    return {"process_id": PROCESS, "status": status, "progress": {"step": step, "total_steps": 4}} | more


def started(queue: FakeQueue) -> None:
    queue.states = [{"status": "COMPLETED", "output": looked_at("queued", 0)}]


async def test_a_training_is_started_followed_and_read(face: AwaitedFace, queue: FakeQueue) -> None:
    started(queue)
    looks = [looked_at("running", 2), looked_at("completed", 4)]
    queue.actions["process_status"] = lambda _: looks.pop(0)
    queue.actions["metrics"] = lambda _: {"series": {"loss/loss": [[1, 0.5]]}}
    told: list[Progress] = []

    training = await face.train(preset="sdxl", dataset={"training_name": "cat"}, steps=4)
    ended = await training.wait(on_progress=told.append, interval_s=0.001)

    assert (training.process_id, training.started.status, training.attached) == (PROCESS, "queued", False)
    assert [(now.status, now.step, now.ended) for now in told] == [
        ("running", 2, False),
        ("completed", 4, True),
    ]
    assert (ended.status, ended.progress.step) == ("completed", 4)
    assert await training.metrics() == {"loss/loss": [(1, 0.5)]}


async def test_a_training_is_steered_by_its_id(face: AwaitedFace, queue: FakeQueue) -> None:
    started(queue)
    asked = {"process_id": PROCESS, "requested": True}
    queue.actions |= {
        "save_now": lambda _: asked,
        "sample_now": lambda _: asked,
        "cancel": lambda _: looked_at("stopping"),
        "compare": lambda _: looked_at("completed", grid_path="grid.png"),
    }
    training = face.training(PROCESS)
    assert queue.requests == []

    assert (await training.save()).requested
    assert (await training.sample()).requested
    assert (await training.cancel(save=False)).status == "stopping"
    assert (await training.resume(steps=9)).process_id == PROCESS
    assert (await training.compare(prompts=["a cat"])).grid_path == "grid.png"

    assert [(wish["type"], wish.get("steps")) for wish in queue.inputs] == [
        ("save_now", None),
        ("sample_now", None),
        ("cancel", None),
        ("resume", 9),
        ("compare", None),
    ]
    assert queue.inputs[-1]["process_ids"] == [PROCESS]


async def test_both_raise_the_same_errors(face: AwaitedFace, queue: FakeQueue, tmp_path: Path) -> None:
    details = [{"field": "steps", "error": "is required"}]
    queue.actions["train"] = lambda _: {
        "error": "steps: is required.", "code": "invalid_input", "hint": "Give it.", "details": details,
    }  # fmt: skip
    with pytest.raises(InvalidInputError) as refused:
        await face.dry_run(preset="sdxl")
    assert (refused.value.code, refused.value.hint, refused.value.details) == (
        "invalid_input",
        "Give it.",
        tuple(details),
    )
    queue.actions["process_status"] = lambda _: looked_at("cancelled", reason="limit")
    with pytest.raises(ProcessEnded, match="reached its limit") as ended:
        await face.wait(PROCESS)
    assert (ended.value.code, ended.value.process.process_id) == ("cancelled", PROCESS)
    with pytest.raises(LocalFileNotFound, match="nowhere"):
        await face.upload_dataset(tmp_path / "nowhere", "cat")
    with pytest.raises(LocalFileNotFound, match="no image"):
        await face.upload_dataset(tmp_path, "cat")


async def test_what_cannot_be_written_here_is_an_error_of_the_client(
    face: AwaitedFace, queue: FakeQueue, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    queue.actions["generate"] = lambda _: {"process_id": "generate_0123456789ab", "engine": "diffusers"}
    with pytest.raises(LocalFileError, match="file") as caught:
        await face.generate("a cat", to=tmp_path / "file")
    assert isinstance(caught.value, OSError)
    assert caught.value.filename == str(tmp_path / "file")
    assert caught.value.code == "local_file"
    with pytest.raises(LocalFileError):
        await face.generate("a cat", image=tmp_path / "missing.png")


async def test_an_endpoint_in_trouble_is_asked_again(face: AwaitedFace, queue: FakeQueue) -> None:
    queue.trouble = [httpx.ConnectError("refused"), httpx.Response(503)]
    queue.actions["ping"] = lambda _: {"pong": True}
    assert await face.call("ping") == {"pong": True}

    queue.trouble = [httpx.ConnectError("refused")] * 3
    with pytest.raises(EndpointUnreachable) as caught:
        await face.call("ping")
    assert (caught.value.code, caught.value.retryable) == ("unreachable", True)


async def test_a_client_that_is_closed_ends_what_waits(face: AwaitedFace, queue: FakeQueue) -> None:
    looked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(_: dict[str, Any]) -> dict[str, Any]:
        loop.call_soon_threadsafe(looked.set)
        return looked_at("running")

    queue.actions["process_status"] = look
    waiting = asyncio.create_task(face.wait(PROCESS, interval_s=600))
    await looked.wait()

    await face.close()

    with pytest.raises(ClientClosed, match="was closed"):
        async with asyncio.timeout(20):
            await waiting
    with pytest.raises(ClientClosed):
        await face.call("ping")


async def test_many_trainings_are_waited_for_at_once(face: AwaitedFace, queue: FakeQueue) -> None:
    seen: dict[str, int] = {}
    lock = threading.Lock()

    def look(wish: dict[str, Any]) -> dict[str, Any]:
        with lock:
            times = seen[wish["process_id"]] = seen.get(wish["process_id"], 0) + 1
        return looked_at("completed" if times == 3 else "running", times) | {"process_id": wish["process_id"]}

    queue.actions["process_status"] = look
    ids = [f"train_{number:012x}" for number in range(60)]

    ended = await asyncio.gather(*(face.wait(each, interval_s=0.001) for each in ids))

    assert [one.process_id for one in ended] == ids
    assert set(seen.values()) == {3}


async def test_a_download_arrives_whole(face: AwaitedFace, queue: FakeQueue, tmp_path: Path) -> None:
    content = bytes(range(256)) * 8

    def part(wish: dict[str, Any]) -> dict[str, Any]:
        data = content[wish["offset"] :][:500]
        return {
            "filename": "a.png", "size_bytes": len(content), "offset": wish["offset"], "length": len(data),
            "sha256": hashlib.sha256(content).hexdigest(), "data": base64.b64encode(data).decode(),
        }  # fmt: skip

    queue.actions["download_file"] = part
    arrived = await face.download("output/a.png", f"{tmp_path}/new/")
    assert arrived == tmp_path / "new" / "a.png"
    assert arrived.read_bytes() == content
    assert [path.name for path in arrived.parent.iterdir()] == ["a.png"]


async def test_a_wait_that_is_cancelled_leaves_the_training(queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda _: looked_at("running")
    async with AsyncClient(URL, http=queue) as client:
        looked = asyncio.Event()
        waiting = asyncio.create_task(
            client.wait(PROCESS, on_progress=lambda _: looked.set(), interval_s=600)
        )
        await looked.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        # The client goes on.
        assert (await client.process_status(PROCESS)).status == "running"
    assert {wish["type"] for wish in queue.inputs} == {"process_status"}


@pytest.mark.parametrize(("with_loop", "without"), [(AsyncClient, Client), (AsyncTraining, Training)])
def test_both_have_the_same_methods(with_loop: type, without: type) -> None:
    def methods(face: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(found).parameters)
            for name, found in inspect.getmembers(face, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(with_loop) == methods(without)
    assert len(methods(without)) > 8
    assert all(inspect.getdoc(getattr(without, name)) for name in methods(without))


def test_no_public_method_takes_untyped_keywords() -> None:
    for face in (Client, AsyncClient, Training, AsyncTraining, VolumeClient):
        for name, method in inspect.getmembers(face, inspect.isfunction):
            if not name.startswith("_"):
                for one in inspect.signature(method).parameters.values():
                    if one.kind is one.VAR_KEYWORD:
                        assert one.annotation == "object" or "Unpack[" in one.annotation, (face, name)


@pytest.mark.parametrize("url", ["", "ftp://x", "https://", "https://me:secret@x", "http://[", "x"])
def test_a_wrong_url_is_an_error_of_the_client_and_shows_no_password(url: str) -> None:
    for face in (Client, AsyncClient):
        with pytest.raises(WrongUrl, match="URL") as caught:
            face(url)
        assert isinstance(caught.value, ValueError)
        assert "secret" not in str(caught.value)


def test_scripts_for_the_release_before_still_run_and_are_told(queue: FakeQueue) -> None:
    queue.actions["process_status"] = lambda _: looked_at("completed", 4, grid_path=None)
    with Client(URL, http=queue) as client:
        steps: list[int] = []
        with pytest.warns(DeprecationWarning, match=r"write \.field in place of \['field'\]"):
            process = client.wait(PROCESS, on_progress=lambda now: steps.append(now["progress"]["step"]))  # type: ignore[index]
        with pytest.warns(DeprecationWarning, match="ProcessView") as warned:
            assert process["status"] == "completed"  # type: ignore[index]
        assert warned[0].filename == __file__
        with pytest.warns(DeprecationWarning, match="ProcessView"):
            assert process.get("samples", ()) == []  # type: ignore[attr-defined]
    assert steps == [4]


async def test_a_request_is_sent_as_json_has_it(face: AwaitedFace, queue: FakeQueue) -> None:
    started(queue)
    await face.train(preset="sdxl", limits={"duration_s": 60.0}, sample_prompts=(), steps=None)
    sent = json.loads(queue.requests[0].content)["input"]
    assert sent.pop("idempotency_key")
    assert sent == {"type": "train", "preset": "sdxl", "limits": {"duration_s": 60.0}, "sample_prompts": []}
