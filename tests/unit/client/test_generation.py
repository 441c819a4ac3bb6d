from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lorapod.client import Client, EndpointError, JobFailed, Progress
from lorapod.testing.fake_queue import FakeQueue

ANSWER = {
    "process_id": "generate_0123456789ab",
    "status": "completed",
    "engine": "diffusers",
    "seed": 7,
    "images": [],
    "videos": [],
    "other": [],
    "warnings": ["The results are large."],
    "timings": {"total_s": 2.5},
}


def output(name: str, **more: Any) -> dict[str, Any]:
    return {"filename": name, "type": "path", "path": f"output/{name}", "size_bytes": 3, **more}


def test_bytes_of_the_answer_become_files(client: Client, queue: FakeQueue, tmp_path: Path) -> None:
    data = base64.b64encode(b"pixels").decode()
    queue.actions["generate"] = lambda _: {
        **ANSWER,
        "images": [output("a.png", type="base64", data=data)],
        "videos": [output("b.mp4", type="base64", data=data)],
    }

    made = client.generate("a cat", to=tmp_path / "new", seed=7, execution_timeout_s=60)

    assert [path.relative_to(tmp_path).as_posix() for path in made.files] == ["new/a.png", "new/b.mp4"]
    assert made.files[0].read_bytes() == b"pixels"
    assert (made.process_id, made.engine, made.seed) == ("generate_0123456789ab", "diffusers", 7)
    assert (made.warnings, made.timings) == (["The results are large."], {"total_s": 2.5})
    assert "data" not in json.dumps(made.answer["images"])
    body = json.loads(queue.requests[0].content)
    assert body["policy"] == {"executionTimeout": 60_000}
    assert body["input"]["wait"] is True
    assert len(body["input"]["idempotency_key"]) == 32


def test_files_that_are_only_named_are_fetched(
    client: Client, queue: FakeQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[tuple[str, Path]] = []

    async def download(_calls: Any, source: str, to: Path) -> Path:
        fetched.append((source, to))
        return to

    monkeypatch.setattr("lorapod.client.worker_calls.WorkerCalls.download", download)
    queue.actions["generate"] = lambda _: {
        **ANSWER,
        "images": [output("a.png", type="url", url="https://bucket.test/a.png")],
        "other": [output("a.flac")],
    }

    made = client.generate("a cat", to=tmp_path)

    assert fetched == [("output/a.png", tmp_path / "a.png"), ("output/a.flac", tmp_path / "a.flac")]
    assert list(made.files) == [tmp_path / "a.png", tmp_path / "a.flac"]


def test_an_input_picture_may_be_a_file_or_an_address(
    client: Client, queue: FakeQueue, tmp_path: Path
) -> None:
    queue.actions["generate"] = lambda _: ANSWER
    picture = tmp_path / "in.png"
    picture.write_bytes(b"pixels")

    client.generate("a cat", to=tmp_path, image=picture)
    client.generate("a cat", to=tmp_path, image="https://pictures.test/in.png")

    assert [wish["image"] for wish in queue.inputs] == [
        base64.b64encode(b"pixels").decode(),
        "https://pictures.test/in.png",
    ]


def test_a_failure_is_raised_and_writes_nothing(client: Client, queue: FakeQueue, tmp_path: Path) -> None:
    queue.actions["generate"] = lambda _: {"error": "The GPU is taken.", "code": "conflict"}
    with pytest.raises(JobFailed, match="The GPU is taken"):
        client.generate("a cat", to=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_answer_of_another_form_is_told(client: Client, queue: FakeQueue, tmp_path: Path) -> None:
    queue.actions["generate"] = lambda _: {"pong": True}
    with pytest.raises(EndpointError, match="images"):
        client.generate("a cat", to=tmp_path)


def test_each_update_is_told_once(client: Client, queue: FakeQueue, tmp_path: Path) -> None:
    queue.slow = True
    first, second = (
        {"process_id": "generate_0123456789ab", "status": "running", "progress": {"step": step}}
        for step in (1, 2)
    )
    queue.states = [
        {"status": "IN_QUEUE"},
        {"status": "IN_PROGRESS", "output": first},
        {"status": "IN_PROGRESS", "output": first},
        {"status": "IN_PROGRESS", "output": second},
        {"status": "COMPLETED", "output": ANSWER},
    ]
    told: list[Progress] = []

    client.generate("a cat", to=tmp_path, on_progress=told.append)

    assert [(now.process_id, now.step) for now in told] == [
        (first["process_id"], 1),
        (first["process_id"], 2),
    ]


def test_files_on_this_machine_are_sent(client: Client, queue: FakeQueue, tmp_path: Path) -> None:
    queue.actions["generate"] = lambda _: ANSWER
    fox = tmp_path / "fox.png"
    fox.write_bytes(b"fox")

    client.generate(
        to=tmp_path,
        mask=fox,
        images=[fox, {"name": "style.png", "image": fox}, {"name": "x.png", "image": "a/b.png"}],
    )

    asked = queue.inputs[-1]
    content = base64.b64encode(b"fox").decode()
    assert asked["mask"] == content
    assert asked["images"] == [
        {"name": "fox.png", "image": content},
        {"name": "style.png", "image": content},
        {"name": "x.png", "image": "a/b.png"},
    ]
