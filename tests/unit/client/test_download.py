from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from lorapod.client import Client, DownloadProgress, EndpointUnreachable, NotFoundError, TransferFailed
from lorapod.testing.fake_queue import FakeQueue

CONTENT = bytes(range(256)) * 20
REPLY_BYTES = 1000


class WorkerFile:
    """`download_file` as the worker answers it."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.offsets: list[int] = []
        self.before_part: Callable[[int], None] = lambda offset: None

    def __call__(self, wish: dict[str, Any]) -> dict[str, Any]:
        offset = wish.get("offset", 0)
        self.before_part(offset)
        self.offsets.append(offset)
        data = self.content[offset : offset + min(wish.get("length", REPLY_BYTES), REPLY_BYTES)]
        return {
            "filename": "style.safetensors",
            "file_path": "output/style.safetensors",
            "size_bytes": len(self.content),
            "offset": offset,
            "length": len(data),
            "next_offset": offset + len(data),
            "eof": offset + len(data) == len(self.content),
            "content_type": "application/octet-stream",
            "sha256": hashlib.sha256(self.content).hexdigest(),
            "data": base64.b64encode(data).decode(),
        }


@pytest.fixture
def file(queue: FakeQueue) -> WorkerFile:
    worker_file = WorkerFile()
    queue.actions["download_file"] = worker_file
    queue.actions["download"] = worker_file
    return worker_file


def test_a_file_comes_in_parts_and_is_the_same(client: Client, file: WorkerFile, tmp_path: Path) -> None:
    seen: list[DownloadProgress] = []

    arrived = client.download("output/style.safetensors", tmp_path, on_progress=seen.append)

    assert arrived == tmp_path / "style.safetensors"
    assert arrived.read_bytes() == CONTENT
    assert [entry.name for entry in tmp_path.iterdir()] == ["style.safetensors"]
    assert file.offsets == [0, 1000, 2000, 3000, 4000, 5000]
    assert [progress.received_bytes for progress in seen][-2:] == [5000, 5120]
    assert seen[-1].size_bytes == 5120


def test_a_text_that_ends_in_a_slash_names_a_folder(client: Client, file: WorkerFile, tmp_path: Path) -> None:
    arrived = client.download("output/style.safetensors", f"{tmp_path}/loras/")

    assert arrived == tmp_path / "loras" / "style.safetensors"
    assert arrived.read_bytes() == CONTENT


def test_a_process_id_fetches_its_artifact(
    client: Client, queue: FakeQueue, file: WorkerFile, tmp_path: Path
) -> None:
    client.download("train_0123456789ab", tmp_path / "new" / "mine.safetensors")

    assert (tmp_path / "new" / "mine.safetensors").read_bytes() == CONTENT
    assert queue.inputs[0] == {"type": "download", "process_id": "train_0123456789ab", "offset": 0}


def test_an_empty_file_arrives(client: Client, file: WorkerFile, tmp_path: Path) -> None:
    file.content = b""
    assert client.download("x", tmp_path).read_bytes() == b""


@pytest.mark.parametrize("to_folder", [True, False])
def test_a_transfer_that_broke_off_goes_on_where_it_was(
    client: Client, queue: FakeQueue, file: WorkerFile, tmp_path: Path, *, to_folder: bool
) -> None:
    to = tmp_path if to_folder else tmp_path / "style.safetensors"

    def break_off(offset: int) -> None:
        if offset == 2000:
            queue.trouble = [httpx.ConnectError("gone")] * 4

    file.before_part = break_off
    with pytest.raises(EndpointUnreachable):
        client.download("x", to)
    assert (tmp_path / "style.safetensors.part").stat().st_size == 3000
    assert not (tmp_path / "style.safetensors").exists()

    file.before_part = lambda offset: None
    file.offsets.clear()
    assert client.download("x", to).read_bytes() == CONTENT
    assert file.offsets == [0, 3000, 4000, 5000]
    assert [entry.name for entry in tmp_path.iterdir()] == ["style.safetensors"]


@pytest.mark.parametrize("left_over", [b"of another version", CONTENT + b"and more"])
def test_a_left_over_of_another_file_is_thrown_away(
    client: Client, file: WorkerFile, tmp_path: Path, left_over: bytes
) -> None:
    (tmp_path / "style.safetensors.part").write_bytes(left_over)
    assert client.download("x", tmp_path).read_bytes() == CONTENT


def test_a_file_that_changes_under_way_is_begun_again(
    client: Client, file: WorkerFile, tmp_path: Path
) -> None:
    changed = CONTENT[::-1]

    def change(offset: int) -> None:
        if offset == 3000:
            file.content = changed

    file.before_part = change
    assert client.download("x", tmp_path).read_bytes() == changed


def test_a_file_that_never_agrees_with_its_sha256_is_an_error_and_leaves_nothing(
    client: Client, queue: FakeQueue, file: WorkerFile, tmp_path: Path
) -> None:
    queue.actions["download_file"] = lambda wish: file(wish) | {"sha256": "0" * 64}
    with pytest.raises(TransferFailed, match="3 times"):
        client.download("x", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"data": "no base64!"}, {"length": 7}])
def test_a_part_that_is_not_what_it_says_is_an_error(
    client: Client, queue: FakeQueue, file: WorkerFile, tmp_path: Path, change: dict[str, Any]
) -> None:
    queue.actions["download_file"] = lambda wish: file(wish) | change
    with pytest.raises(TransferFailed):
        client.download("x", tmp_path)


def test_a_name_with_a_folder_in_it_stays_in_the_target(
    client: Client, queue: FakeQueue, file: WorkerFile, tmp_path: Path
) -> None:
    queue.actions["download_file"] = lambda wish: file(wish) | {"filename": "../../evil.safetensors"}
    inside = tmp_path / "inside"
    inside.mkdir()
    assert client.download("x", inside) == inside / "evil.safetensors"


def test_a_file_that_is_not_there_leaves_nothing(client: Client, queue: FakeQueue, tmp_path: Path) -> None:
    queue.actions["download_file"] = lambda _: {"error": "There is no file x.", "code": "not_found"}
    with pytest.raises(NotFoundError):
        client.download("x", tmp_path)
    assert list(tmp_path.iterdir()) == []


def listed(path: str) -> dict[str, Any]:
    return {
        "path": path,
        "name": path,
        "size_bytes": 1,
        "kind": "image",
        "modified_at": "2026-01-31T12:00:00.000Z",
    }


def test_a_list_of_files_is_read_page_by_page(client: Client, queue: FakeQueue) -> None:
    pages: dict[str | None, dict[str, Any]] = {
        None: {"files": [listed("a")], "next_cursor": "c"},
        "c": {"files": [listed("b")]},
    }
    queue.actions["list_files"] = lambda wish: pages[wish.get("cursor")]

    assert [entry.path for entry in client.list_files("output", kind="image")] == ["a", "b"]
    assert queue.inputs[1] == {"type": "list_files", "path": "output", "kind": "image", "cursor": "c"}


def test_many_files_come_as_one_zip(
    client: Client, queue: FakeQueue, file: WorkerFile, tmp_path: Path
) -> None:
    queue.actions["bulk_download"] = lambda wish: file(wish) | {"archive_path": "output/archives/a.zip"}
    assert client.bulk_download(process_ids=["train_0123456789ab"], to=tmp_path).read_bytes() == CONTENT
    assert queue.inputs[0] == {
        "type": "bulk_download",
        "process_ids": ["train_0123456789ab"],
        "file_paths": [],
        "length": 1,
    }
    assert {wish["file_path"] for wish in queue.inputs[1:]} == {"output/archives/a.zip"}


def test_an_address_is_asked_for(client: Client, queue: FakeQueue, file: WorkerFile) -> None:
    queue.actions["download"] = lambda wish: (
        file(wish) | {"url": "https://bucket.test/x"} if wish["as"] == "url" else {}
    )
    assert client.address("train_0123456789ab").url == "https://bucket.test/x"
