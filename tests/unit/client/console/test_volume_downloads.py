"""Files that the console reads from a workspace: downloads and logs that ask no worker, and links that lead elsewhere."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from tests.running_console import RunningConsole, running_console
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console import streaming
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.sources import VolumeSource
from lorapod.processes.store.file import FileRecords
from lorapod.testing.fake_queue import FakeQueue
from lorapod.testing.records import make_record
from lorapod.volume.view import VolumeView
from lorapod.workspace import Workspace

T = TypeVar("T")

ID = "train_0123456789ab"
FOLDER = f"output/{ID}/cat"
CHECKPOINT = f"{FOLDER}/cat.safetensors"
CONTENT = bytes(range(256)) * 40


class WatchedVolume(FolderVolume):
    """A workspace of this machine; something may happen between two questions."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        #: Called before each question that is left.
        self.before: list[Callable[[], None]] = []

    async def ask(self, question: Callable[[VolumeView], T]) -> T:
        if self.before:
            self.before.pop(0)()
        return await super().ask(question)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "workspace" / FOLDER).mkdir(parents=True)
    (tmp_path / "workspace" / CHECKPOINT).write_bytes(CONTENT)
    return tmp_path / "workspace"


@pytest.fixture
def volume(workspace: Path) -> WatchedVolume:
    return WatchedVolume(workspace)


@pytest.fixture
def console(
    queue: FakeQueue, volume: WatchedVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RunningConsole]:
    monkeypatch.setattr(streaming, "PART_BYTES", 3000)
    client = Client("https://runpod.test/v2/fake/", http=queue)
    with running_console(client, tmp_path / "cache", volume=VolumeSource(volume)) as console:
        paths = (
            CHECKPOINT,
            f"{FOLDER}/gone.safetensors",
            f"{FOLDER}/link.safetensors",
            "../outside.safetensors",
        )
        process = {
            "process_id": ID, "type": "train", "status": "completed", "created_at": "x", "name": "cat",
            "checkpoints": [{"path": path, "step": 1} for path in paths],
        }  # fmt: skip
        console.parts.processes.learn(process, whole=True)
        yield console


@pytest.fixture
def caller(console: RunningConsole) -> HttpCaller:
    caller = HttpCaller(console=console)
    caller.open()
    return caller


def ordered(caller: HttpCaller, path: str) -> http.client.HTTPResponse:
    return caller.send(f"/api/trainings/{ID}/download", method="POST", body={"path": path})


def test_a_checkpoint_comes_from_the_volume_without_a_worker(caller: HttpCaller, queue: FakeQueue) -> None:
    assert ordered(caller, CHECKPOINT).status == 200

    response = caller.send(json.loads(caller.text)["url"])

    assert caller.content == CONTENT
    assert response.getheader("Content-Length") == str(len(CONTENT))
    assert response.getheader("Content-Disposition") == "attachment; filename*=UTF-8''cat.safetensors"
    assert queue.inputs == []


def test_a_file_that_changes_on_the_way_ends_the_download_early(
    caller: HttpCaller, volume: WatchedVolume, workspace: Path
) -> None:
    ordered(caller, CHECKPOINT)
    link = json.loads(caller.text)["url"]
    # The same size, so only the time of the change tells it.
    volume.before = [lambda: None, lambda: None, lambda: os.utime(workspace / CHECKPOINT, (1, 1))]
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        caller.send(link)


def test_what_the_volume_does_not_have_is_said_before_the_download(
    caller: HttpCaller, queue: FakeQueue
) -> None:
    for path in (f"{FOLDER}/gone.safetensors", "../outside.safetensors"):
        assert ordered(caller, path).status == 404
        assert json.loads(caller.text)["code"] == "not_found"
    assert queue.inputs == []


def test_a_link_that_leads_out_of_the_workspace_is_not_followed(
    caller: HttpCaller, volume: WatchedVolume, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (workspace / FOLDER / "link.safetensors").symlink_to(tmp_path / "secret.png")
    (workspace / "output" / "beside").symlink_to(tmp_path)
    (workspace / "output" / "inside.png").symlink_to(workspace / CHECKPOINT)
    source = VolumeSource(volume)

    assert ordered(caller, f"{FOLDER}/link.safetensors").status == 404
    assert asyncio.run(source.file(f"{FOLDER}/link.safetensors")) is None
    assert asyncio.run(source.file("output/beside/secret.png")) is None
    assert asyncio.run(source.file("output/inside.png")) == CONTENT


def test_a_log_is_read_to_its_start_page_by_page_without_its_secrets(
    caller: HttpCaller, queue: FakeQueue, workspace: Path, volume: WatchedVolume
) -> None:
    record = make_record(process_id=ID, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    FileRecords(Workspace.create(workspace).processes).create(record)
    lines = [f"step {number}: token: hf_abcdefghijklmnop{number:05}" for number in range(8000)]
    Workspace.create(workspace).log_path(ID).write_text("\n".join(lines), "utf-8")

    end = caller.json(f"/api/trainings/{ID}/log?offset=-128000")
    start = caller.json(f"/api/trainings/{ID}/log?offset=0")
    after = caller.json(f"/api/trainings/{ID}/log?offset={start['next_offset'] - 4000}")

    assert end["last"]
    assert end["text"].splitlines()[-1] == "step 7999: token: ***"
    assert start["offset"] == 0
    assert not start["last"]
    shown = [*start["text"].splitlines(), *after["text"].splitlines()]
    numbers = [int(line.split()[1].rstrip(":")) for line in shown]
    assert numbers[0] == 0
    assert set(numbers) == set(range(max(numbers) + 1))
    assert {line.partition(": ")[2] for line in shown} == {"token: ***"}
    assert "hf_abc" not in str(caller.answers)
    assert caller.send(f"/api/trainings/{ID}/log?offset=x").status == 400
    assert queue.inputs == []
