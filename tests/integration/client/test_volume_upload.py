"""Datasets that are uploaded over S3, and the worker that finds them: never a half, and the same as through the worker."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.servers.volume_server import RunningVolume
from tests.unit.datasets.library_bench import picture

from lorapod.actions.arrived_uploads import ArrivedUploads
from lorapod.client import LorapodError, TransferFailed, multipart
from lorapod.client.http import ConnectionBroken, HttpAnswer, PooledSender, Timeouts
from lorapod.client.retrying import RetryPolicy
from lorapod.client.volume import Volume
from lorapod.client.volume_client import VolumeClient
from lorapod.dataset_reader.volume_datasets import VolumeDatasets
from lorapod.datasets.library import DatasetLibrary
from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.volume.arriving import FILES, MANIFEST, RESULT
from lorapod.wire.dataset import DatasetRef
from lorapod.workspace import Workspace


class CountingSender(PooledSender):
    """Counts requests by method; breaks off after some of them."""

    def __init__(self, *, breaks_after: int | None = None) -> None:
        super().__init__(Timeouts())
        self.sent: list[tuple[str, str]] = []
        self._left = breaks_after

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        if self._left is not None:
            if not self._left:
                raise ConnectionBroken("the network has gone")
            self._left -= method == "PUT"
        self.sent.append((method, url.partition("?")[0].rpartition("/")[2]))
        return super().send(method, url, headers=headers, body=body, wait_s=wait_s)

    @property
    def puts(self) -> list[str]:
        return sorted(name for method, name in self.sent if method == "PUT")


@pytest.fixture
def workspace(volume: RunningVolume) -> Workspace:
    shutil.rmtree(volume.folder / "training_data", ignore_errors=True)
    volume.settle()
    return Workspace.create(volume.folder)


class SettlingUploads(ArrivedUploads):
    """Waits until the S3 server sees what the worker has changed."""

    def take_all(self) -> None:
        super().take_all()
        RunningVolume.settle()


@pytest.fixture
def arrived(workspace: Workspace) -> ArrivedUploads:
    return SettlingUploads(workspace, library_of(workspace))


def library_of(workspace: Workspace, **finders: Any) -> DatasetLibrary:
    settings = Settings(workspace_path=workspace.root, disk_min_free_bytes=0)
    return DatasetLibrary(workspace=workspace, settings=settings, **finders)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """What people upload: names, captions and formats of all kinds, and one file that is damaged."""
    folder = tmp_path / "my pictures"
    folder.mkdir()
    (folder / "katze #1.png").write_bytes(picture(size=(64, 48)))
    (folder / "katze #1.txt").write_bytes("Kätzchen\r\n".encode("windows-1252"))
    (folder / "b.PNG").write_bytes(picture(size=(65, 48)))
    (folder / "b.caption").write_text("second")
    (folder / "broken.png").write_bytes(picture(size=(64, 64))[:60])
    (folder / "notes.pdf").write_bytes(b"%PDF")
    return folder


def client_of(volume: RunningVolume, http: CountingSender) -> VolumeClient:
    client = VolumeClient(Volume(volume.access(), http=http), only=True)
    client.volume.bucket._retries = RetryPolicy(attempts=1)
    return client


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def uploads_of(workspace: Workspace) -> list[Path]:
    return [path for path in (workspace.training_data / ".arriving").iterdir() if len(path.name) == 32]


@pytest.mark.parametrize("nested", [False, True], ids=["flat", "folders"])
def test_a_dataset_is_the_one_that_the_worker_would_have_made(
    volume: RunningVolume, workspace: Workspace, arrived: ArrivedUploads, pictures: Path, *, nested: bool
) -> None:
    if nested:
        (pictures / "10_cat").mkdir()
        (pictures / "10_cat" / "b.png").write_bytes(picture(size=(66, 48)))
    name = f"cats{nested}"
    with volume.client() as client:
        sent = client.upload_dataset(pictures, name, trigger_word="mycat")
    assert not (workspace.training_data / name).exists()

    arrived.take_all()

    (upload,) = [path for path in uploads_of(workspace) if name in (path / RESULT).read_text()]
    answer = json.loads((upload / RESULT).read_text())["answer"]
    through = through_a_worker(pictures, workspace, f"direct{nested}", nested=nested)
    assert files_of(workspace.training_data / name) == files_of(workspace.training_data / f"direct{nested}")
    assert answer["images"] == through["images"]
    assert [one["filename"] for one in answer["rejected"]] == [one["filename"] for one in through["rejected"]]
    assert [path.name for path in upload.iterdir()] == [RESULT]
    assert sent.skipped == ("notes.pdf",)
    assert sent.arriving


def through_a_worker(folder: Path, workspace: Workspace, name: str, *, nested: bool) -> dict[str, Any]:
    """Send the same through the action of a worker."""
    from lorapod.actions.upload_training_data import upload_result
    from lorapod.client import Client
    from lorapod.testing.fake_queue import FakeQueue
    from lorapod.wire.dataset import IncomingFile

    library, answers = library_of(workspace), []

    def upload(asked: dict[str, Any]) -> dict[str, Any]:
        files = [IncomingFile.model_validate(file) for file in asked["files"]]
        receipt = library.receive(files, training_name=name, trigger_word=asked["trigger_word"])
        answers.append(upload_result(receipt, workspace).answer())
        return answers[-1]

    queue = FakeQueue()
    queue.actions["upload_training_data"] = upload
    Client("https://runpod.test/v2/fake", http=queue).upload_dataset(folder, name, trigger_word="mycat")
    return answers[-1]


def test_an_upload_that_breaks_off_is_no_dataset_and_is_continued(
    volume: RunningVolume, workspace: Workspace, arrived: ArrivedUploads, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number:02}.png").write_bytes(picture(size=(64, 64 + number)))
    first = CountingSender(breaks_after=5)
    with client_of(volume, first) as client, pytest.raises(LorapodError, match="cannot be reached"):
        client.upload_dataset(folder, "broken")

    arrived.take_all()
    assert not (workspace.training_data / "broken").exists()

    second = CountingSender()
    with client_of(volume, second) as client:
        client.upload_dataset(folder, "broken")
    assert len(first.puts) + len(second.puts) == 12 + 1
    assert set(first.puts).isdisjoint(second.puts)
    assert second.sent[-1] == ("PUT", MANIFEST)

    arrived.take_all()
    assert len(files_of(workspace.training_data / "broken")) == 12


def test_the_same_again_is_sent_again_only_after_a_worker_has_taken_it(
    volume: RunningVolume, workspace: Workspace, arrived: ArrivedUploads, pictures: Path
) -> None:
    for puts_wanted in (6, 0):
        http = CountingSender()
        with client_of(volume, http) as client:
            client.upload_dataset(pictures, "again")
        assert len(http.puts) == puts_wanted
    arrived.take_all()
    (workspace.training_data / "again" / "b.PNG").unlink()

    http = CountingSender()
    with client_of(volume, http) as client:
        client.upload_dataset(pictures, "again")
    assert len(http.puts) == 6
    arrived.take_all()
    assert (workspace.training_data / "again" / "b.PNG").exists()


def test_a_large_file_goes_on_at_the_part_where_it_broke_off(
    volume: RunningVolume,
    workspace: Workspace,
    arrived: ArrivedUploads,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", 1000)
    folder = tmp_path / "large"
    folder.mkdir()
    image = picture(size=(200, 150))
    (folder / "large.png").write_bytes(image)
    parts = -(-len(image) // 1000)
    assert parts > 8
    first = CountingSender(breaks_after=5)
    with client_of(volume, first) as client, pytest.raises(LorapodError, match="cannot be reached"):
        client.upload_dataset(folder, "large")
    second = CountingSender()
    with client_of(volume, second) as client:
        client.upload_dataset(folder, "large")

    assert len(second.puts) == parts - 5 + 1
    arrived.take_all()
    assert files_of(workspace.training_data / "large") == {"large.png": image}


def test_two_workers_add_an_upload_once(
    volume: RunningVolume, workspace: Workspace, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with volume.client() as client:
        client.upload_dataset(pictures, "twice")
    taken: list[str] = []
    receive = DatasetLibrary.receive_arrived

    def counted(library: DatasetLibrary, upload: Any, folder: Path) -> Any:
        taken.append(upload.training_name)
        return receive(library, upload, folder)

    monkeypatch.setattr(DatasetLibrary, "receive_arrived", counted)
    workers = [
        threading.Thread(target=ArrivedUploads(workspace, library_of(workspace)).take_all) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert taken == ["twice"]
    assert "b.PNG" in files_of(workspace.training_data / "twice")


@pytest.mark.parametrize(
    "harm",
    [
        lambda upload: (upload / MANIFEST).write_bytes((upload / MANIFEST).read_bytes()[:-40]),
        lambda upload: (upload / MANIFEST).unlink(),
    ],
    ids=["half a manifest", "no manifest"],
)
def test_what_is_not_published_is_left_alone(
    volume: RunningVolume,
    arrived: ArrivedUploads,
    pictures: Path,
    harm: Callable[[Path], object],
    request: pytest.FixtureRequest,
) -> None:
    workspace = Workspace(root=volume.folder)
    name = f"half{len(request.node.name)}"
    with volume.client() as client:
        client.upload_dataset(pictures, name)
    (upload,) = [path for path in uploads_of(workspace) if (path / FILES).is_dir()]
    harm(upload)
    volume.settle()

    arrived.take_all()

    assert not (workspace.training_data / name).exists()
    assert len(list((upload / FILES).iterdir())) == 5
    with volume.client() as client:
        client.upload_dataset(pictures, name)
    arrived.take_all()


def test_a_file_that_is_damaged_on_the_volume_is_refused_by_name(
    volume: RunningVolume, workspace: Workspace, arrived: ArrivedUploads, pictures: Path
) -> None:
    with volume.client() as client:
        client.upload_dataset(pictures, "damaged")
    (upload,) = [path for path in uploads_of(workspace) if (path / FILES).is_dir()]
    file = upload / FILES / "000000"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    (upload / FILES / "000001").unlink()

    arrived.take_all()

    rejected = json.loads((upload / RESULT).read_text())["answer"]["rejected"]
    told = {one["filename"]: one["error"] for one in rejected}
    assert "has not arrived" in told["b.caption"]
    assert "arrived damaged" in told["b.PNG"]


def test_an_upload_of_nothing_useful_is_refused_with_a_reason(
    volume: RunningVolume, workspace: Workspace, arrived: ArrivedUploads, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(b"<html>no picture</html>")
    with volume.client() as client:
        client.upload_dataset(tmp_path, "nothing")

    arrived.take_all()

    (upload,) = [path for path in uploads_of(workspace) if "nothing" in (path / RESULT).read_text()]
    assert "a.png" in json.loads((upload / RESULT).read_text())["error"]["error"]
    assert not (workspace.training_data / "nothing").exists()
    with pytest.raises(InvalidInput, match=r"'nothing' over S3 was refused: .*a\.png"):
        library_of(workspace).find(DatasetRef(training_name="nothing"))
    with volume.client() as client:
        (told,) = VolumeDatasets(client.volume.view).arriving()
    assert (told.training_name, "a.png" in (told.error or "")) == ("nothing", True)


def test_what_a_training_reads_is_replaced_after_it(
    volume: RunningVolume, workspace: Workspace, arrived: ArrivedUploads, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(picture(size=(64, 64)))
    with volume.client() as client:
        client.upload_dataset(tmp_path, "read")
        arrived.take_all()
        cache = workspace.training_data / "read" / "_latent_cache"
        cache.mkdir()
        (cache / "a_64x64.safetensors").write_bytes(b"cache")
        (tmp_path / "a.png").write_bytes(new := picture(size=(65, 64)))
        client.upload_dataset(tmp_path, "read")

    reading = library_of(workspace, find_reader=lambda *_: "train_0123456789ab")
    ArrivedUploads(workspace, reading).take_all()
    assert (workspace.training_data / "read" / "a.png").read_bytes() != new

    arrived.take_all()
    assert (workspace.training_data / "read" / "a.png").read_bytes() == new


def test_a_name_that_no_dataset_can_have_is_refused_before_a_byte_is_sent(
    volume: RunningVolume, pictures: Path
) -> None:
    http = CountingSender()
    with client_of(volume, http) as client, pytest.raises(LorapodError, match="not a plain name"):
        client.upload_dataset(pictures, "../cats")
    assert http.sent == []


def test_a_file_that_changes_while_it_is_sent_is_not_published(
    volume: RunningVolume, workspace: Workspace, pictures: Path
) -> None:
    def grow(_: object) -> None:
        (pictures / "b.PNG").write_bytes(b"other")

    with volume.client() as client, pytest.raises(TransferFailed, match="changed while"):
        client.upload_dataset(pictures, "grows", on_progress=grow)

    assert not [path for path in uploads_of(workspace) if (path / MANIFEST).exists()]
