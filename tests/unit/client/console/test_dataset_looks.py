"""Datasets that the console reads from the volume: no worker is asked."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.console_pages import write_dataset
from tests.running_console import RunningConsole, running_console
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console import dataset_questions, pictures
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.sources import VolumeSource
from lorapod.testing.fake_queue import FakeQueue


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def console(queue: FakeQueue, tmp_path: Path) -> Iterator[RunningConsole]:
    write_dataset(tmp_path / "workspace" / "training_data" / "cat", 6, side=400)
    volume = VolumeSource(FolderVolume(tmp_path / "workspace"))
    client = Client("https://runpod.test/v2/fake/", "rpa_made_up_key", http=queue)
    with running_console(client, tmp_path / "cache", volume=volume) as console:
        yield console


def test_datasets_and_captions_are_read_from_the_volume(console: RunningConsole, queue: FakeQueue) -> None:
    caller = HttpCaller(console=console)
    caller.open()
    console.wait_until(lambda: bool(caller.json("/api/datasets")["datasets"]))
    (listed,) = caller.json("/api/datasets")["datasets"]
    assert (listed["training_name"], listed["images"], listed["captions"]) == ("cat", 6, 4)

    console.wait_until(lambda: caller.json("/api/datasets/cat")["page"] is not None)
    items = caller.json("/api/datasets/cat/items")["items"]
    assert [item["caption"] for item in items][:2] == ["", "a photo of mycat number 1"]
    assert caller.json("/api/datasets/cat")["whole"] is False
    assert queue.inputs == []


def shown(console: RunningConsole, caller: HttpCaller) -> list[str | None]:
    """Return the digests of the images of the dataset, once it was looked at."""
    console.wait_until(lambda: caller.json("/api/datasets/cat")["page"] is not None)
    console.wait_for_asks()
    return [item["picture"] for item in caller.json("/api/datasets/cat/items")["items"]]


def test_images_of_a_workspace_are_seen_without_a_worker(console: RunningConsole, queue: FakeQueue) -> None:
    caller = HttpCaller(console=console)
    caller.open()
    digests = shown(console, caller)
    assert len(set(digests)) == 6
    response = caller.send(f"/api/contents/{digests[0]}")
    assert response.getheader("Content-Type") == "image/webp"
    with Image.open(io.BytesIO(caller.content)) as image:
        assert max(image.size) <= 384
    console.wait_until(lambda: bool(caller.json("/api/datasets")["datasets"][0]["pictures"]))
    assert queue.inputs == []


def test_a_dataset_that_changed_is_read_again_when_its_page_is_opened(
    console: RunningConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = HttpCaller(console=console)
    caller.open()
    shown(console, caller)
    (tmp_path / "workspace" / "training_data" / "cat" / "IMG_0001.txt").write_text("another caption")
    assert caller.json("/api/datasets/cat")["looking"] is False, "it was read a moment ago"

    monkeypatch.setattr(dataset_questions, "LOOK_EVERY_S", 0.0)
    caller.json("/api/datasets/cat")
    console.wait_for_asks()

    assert caller.json("/api/datasets/cat/items")["items"][1]["caption"] == "another caption"


def test_thumbnails_that_a_worker_has_kept_are_taken_without_pillow(
    console: RunningConsole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "can_shrink", lambda: False)
    data = tmp_path / "workspace" / "training_data"
    kept = data / ".thumbnails" / "cat"
    kept.mkdir(parents=True)
    state = (data / "cat" / "IMG_0000.png").stat()
    index = {"IMG_0000.png": {"size_bytes": state.st_size, "mtime_ns": state.st_mtime_ns, "key": "k"}}
    (kept / "index.json").write_text(json.dumps(index))
    (kept / "k_384.webp").write_bytes(b"RIFF a thumbnail")
    caller = HttpCaller(console=console)
    caller.open()

    digests = shown(console, caller)

    files = [(data / "cat" / f"IMG_{number:04}.png").read_bytes() for number in range(1, 6)]
    # What cannot be made smaller is shown as it is.
    assert digests == [hashlib.sha256(each).hexdigest() for each in (b"RIFF a thumbnail", *files)]
    assert caller.json("/api/endpoint")["small_pictures"] is False


def test_a_dataset_that_is_not_there_is_told(console: RunningConsole) -> None:
    caller = HttpCaller(console=console)
    caller.open()
    console.wait_until(lambda: caller.send("/api/datasets/dog").status == 404)


def test_a_dataset_that_is_made_anew_is_another_one(console: RunningConsole, tmp_path: Path) -> None:
    caller = HttpCaller(console=console)
    caller.open()
    console.wait_until(lambda: bool(caller.json("/api/datasets")["datasets"]))
    first = caller.json("/api/datasets/cat")["identity"]
    known = console.parts.datasets

    known.learn_list(known.all())
    assert caller.json("/api/datasets/cat")["identity"] == first
    listed = known.all()
    known.learn_list([])
    known.learn_list(listed)
    assert caller.json("/api/datasets/cat")["identity"] not in {first, None}
