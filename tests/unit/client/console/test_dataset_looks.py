"""Datasets that the console reads from the volume: no worker is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.console_pages import write_dataset
from tests.running_console import RunningConsole, running_console
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console.folder_volume import FolderVolume
from lorapod.client.console.sources import VolumeSource
from lorapod.testing.fake_queue import FakeQueue


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def console(queue: FakeQueue, tmp_path: Path) -> Iterator[RunningConsole]:
    write_dataset(tmp_path / "workspace" / "training_data" / "cat", 6)
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
