from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from lorapod.client import Client, ConflictError, EndpointUnreachable, UploadProgress
from lorapod.client import upload as upload_module
from lorapod.client.calls import RUN_BODY_MAX_BYTES
from lorapod.testing.fake_queue import FakeQueue


class WorkerDataset:
    """`upload_training_data`, `list_files` and `download_file` as the worker answers them."""

    def __init__(self, queue: FakeQueue) -> None:
        self.files: dict[str, bytes] = {}
        self.partial: dict[str, bytes] = {}
        queue.actions["upload_training_data"] = self.upload
        queue.actions["list_files"] = self.list_files
        queue.actions["download_file"] = self.describe

    def upload(self, wish: dict[str, Any]) -> dict[str, Any]:
        assert wish["files"], "the worker refuses a request without a file"
        answers, rejected = [], []
        for entry in wish["files"]:
            name, data = entry["filename"], base64.b64decode(entry["content"])
            if name.startswith("bad"):
                rejected.append({"filename": name, "code": "invalid_input", "error": "It is no picture."})
                continue
            if "offset" in entry:
                known = self.partial.get(name, b"")
                if entry["offset"] > len(known):
                    expected = {"field": "offset", "expected_offset": len(known)}
                    return {"error": "Not next.", "code": "conflict", "details": [expected]}
                self.partial[name] = max(known, known[: entry["offset"]] + data, key=len)
                whole = self.partial[name]
            else:
                whole = data
            if len(whole) == entry.get("size_bytes", len(whole)):
                assert hashlib.sha256(whole).hexdigest() == entry["sha256"]
                self.files[name] = whole
            answers.append({"filename": name, "received_bytes": len(whole)})
        return {
            "training_name": wish["training_name"],
            "path": f"training_data/{wish['training_name']}",
            "files": answers,
            "images": sum(name.endswith(".png") for name in self.files),
            "captions": sum(name.endswith(".txt") for name in self.files),
            "images_without_caption": [],
            "total_bytes": sum(map(len, self.files.values())),
            "rejected": rejected,
        }

    def list_files(self, wish: dict[str, Any]) -> dict[str, Any]:
        if not self.files:
            return {"error": "There is no such folder.", "code": "not_found"}
        return {
            "files": [
                {
                    "name": name,
                    "path": f"{wish['path']}/{name}",
                    "size_bytes": len(data),
                    "kind": "image",
                    "modified_at": "2026-01-31T12:00:00.000Z",
                }
                for name, data in self.files.items()
            ]
        }

    def describe(self, wish: dict[str, Any]) -> dict[str, Any]:
        return {"sha256": hashlib.sha256(self.files[wish["file_path"].rsplit("/", 1)[1]]).hexdigest()}


@pytest.fixture
def dataset(queue: FakeQueue) -> WorkerDataset:
    return WorkerDataset(queue)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_module, "PART_BYTES", 1000)
    monkeypatch.setattr(upload_module, "_ASK_FIRST_BYTES", 500)


def write(folder: Path, **files: bytes) -> None:
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)


def uploads(queue: FakeQueue) -> list[list[str]]:
    """File names by request."""
    return [
        [entry["filename"] for entry in wish["files"]]
        for wish in queue.inputs
        if wish["type"] == "upload_training_data"
    ]


def test_a_folder_arrives_with_its_captions(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, a_png=b"picture", a_txt=b"a caption", notes_docx=b"?", **{".hidden": b"no"})
    (tmp_path / "below").mkdir()
    seen: list[UploadProgress] = []

    result = client.upload_dataset(tmp_path, "style", trigger_word="sks", on_progress=seen.append)

    assert dataset.files == {"a.png": b"picture", "a.txt": b"a caption"}
    assert (result.images, result.captions, result.path) == (1, 1, "training_data/style")
    assert result.skipped == ("notes.docx",)
    assert seen == [UploadProgress(files=2, total_files=2, sent_bytes=16, total_bytes=16)]
    assert queue.inputs[0]["trigger_word"] == "sks"
    assert queue.inputs[0]["files"][0]["content_type"] == "image/png"


def test_folders_in_a_folder_are_sent_as_one_zip(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    folder = tmp_path / "my cats"
    for name in (
        "top.png",
        "10_cat/1.png",
        "10_cat/1.txt",
        "10_cat/notes.docx",
        "_latent_cache/1.png",
        ".git/x.png",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    (folder / "more.zip").write_bytes(b"packed")

    results = [client.upload_dataset(folder, "style") for _ in range(2)]

    assert results[0].skipped == ("10_cat/notes.docx",)
    assert uploads(queue)[0] == ["my cats.zip", "more.zip"]
    sent = dataset.files["my cats.zip"]
    with zipfile.ZipFile(io.BytesIO(sent)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            name: name.encode() for name in ("10_cat/1.png", "10_cat/1.txt", "top.png")
        }
    # The same folder is the same archive, so that an upload that broke off is continued.
    contents = [one["content"] for wish in queue.inputs if "files" in wish for one in wish["files"]]
    assert contents[0] == contents[2]


def test_a_name_that_begins_with_a_dot_is_sent(
    client: Client, dataset: WorkerDataset, tmp_path: Path
) -> None:
    (tmp_path / ".cat.png").write_bytes(b"a picture")
    (tmp_path / "._cat.png").write_bytes(b"what macOS notes about it")
    result = client.upload_dataset(tmp_path, "style")
    assert set(dataset.files) == {".cat.png"}
    assert not result.skipped


def test_one_zip_is_sent_as_it_is(client: Client, dataset: WorkerDataset, tmp_path: Path) -> None:
    (tmp_path / "cats.zip").write_bytes(b"a zip")
    (tmp_path / "other.png").write_bytes(b"not asked for")
    client.upload_dataset(tmp_path / "cats.zip", "style")
    assert dataset.files == {"cats.zip": b"a zip"}


def test_a_file_that_is_not_for_a_dataset_is_named(client: Client, tmp_path: Path) -> None:
    (tmp_path / "cats.rar").write_bytes(b"Rar!")
    with pytest.raises(FileNotFoundError, match=r"cats\.rar cannot be part of a dataset: .*zip"):
        client.upload_dataset(tmp_path / "cats.rar", "style")


def test_no_request_is_larger_than_the_queue_takes(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.png").write_bytes(bytes([number]) * 1_000_000)

    client.upload_dataset(tmp_path, "style")

    sizes = [len(request.content) for request in queue.requests]
    assert max(sizes) < RUN_BODY_MAX_BYTES
    assert sum(len(batch) for batch in uploads(queue)) == 30
    assert len(uploads(queue)) == 5
    assert len(dataset.files) == 30


def test_names_count_in_the_size_of_a_request(tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number:04}{'ä' * 100}.txt").write_bytes(b"x")
    batches = list(upload_module._batches(sorted(tmp_path.iterdir())))
    assert sum(map(len, batches)) == 200
    assert len(batches) == 1


def test_the_largest_part_with_the_longest_name_fits_a_request(tmp_path: Path) -> None:
    import json

    path = tmp_path / f"{'ä' * 120}.safetensors"
    entry = upload_module._entry(path, bytes(upload_module.PART_BYTES))
    assert len(json.dumps({"input": {"files": [entry]}})) < upload_module.BATCH_MAX_BYTES - 4_096


@pytest.mark.usefixtures("small_parts")
def test_a_large_file_goes_in_parts(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    content = bytes(range(250)) * 10
    write(tmp_path, big_zip=content, a_txt=b"small")
    seen: list[UploadProgress] = []

    client.upload_dataset(tmp_path, "style", on_progress=seen.append)

    assert dataset.files == {"big.zip": content, "a.txt": b"small"}
    parts = [wish["files"][0] for wish in queue.inputs if wish["type"] == "upload_training_data"][:3]
    assert [part["offset"] for part in parts] == [0, 1000, 2000]
    assert {part["size_bytes"] for part in parts} == {2500}
    assert seen[-1] == UploadProgress(files=2, total_files=2, sent_bytes=2505, total_bytes=2505)


@pytest.mark.usefixtures("small_parts")
def test_an_upload_that_broke_off_sends_only_what_is_missing(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, big_zip=bytes(3500), whole_png=b"w" * 900)
    dataset.files["whole.png"] = b"w" * 900
    dataset.partial["big.zip"] = bytes(2200)

    client.upload_dataset(tmp_path, "style")

    offsets = [entry.get("offset") for wish in queue.inputs for entry in wish.get("files", ())]
    assert offsets == [0, 2200, 3200]
    assert dataset.files["big.zip"] == bytes(3500)


@pytest.mark.usefixtures("small_parts")
def test_a_file_of_the_same_size_but_other_content_is_sent(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, a_png=b"n" * 900)
    dataset.files["a.png"] = b"o" * 900

    client.upload_dataset(tmp_path, "style")

    assert dataset.files["a.png"] == b"n" * 900


@pytest.mark.usefixtures("small_parts")
def test_of_a_dataset_that_is_all_there_only_the_smallest_file_is_sent(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, a_png=b"a" * 900, b_png=b"b" * 600, c_png=b"c" * 700)
    dataset.files |= {"a.png": b"a" * 900, "b.png": b"b" * 600, "c.png": b"c" * 700}
    seen: list[UploadProgress] = []

    result = client.upload_dataset(tmp_path, "style", on_progress=seen.append)

    assert result.images == 3
    assert uploads(queue) == [["b.png"]]
    assert seen[-1] == UploadProgress(files=3, total_files=3, sent_bytes=2200, total_bytes=2200)


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_lost_its_part_gets_it_again(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, big_zip=b"z" * 2500)
    forgotten = False

    def forget_once(progress: UploadProgress) -> None:
        nonlocal forgotten
        if not forgotten and progress.sent_bytes == 1000:
            forgotten = True
            dataset.partial.clear()

    client.upload_dataset(tmp_path, "style", on_progress=forget_once)
    assert forgotten
    assert dataset.files["big.zip"] == b"z" * 2500


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_will_not_take_the_next_part_is_not_asked_for_ever(
    client: Client, queue: FakeQueue, tmp_path: Path
) -> None:
    write(tmp_path, big_zip=b"z" * 2500)
    queue.actions["list_files"] = lambda _: {"files": []}
    queue.actions["upload_training_data"] = lambda _: {
        "error": "Not next.",
        "code": "conflict",
        "details": [{"field": "offset", "expected_offset": 0}],
    }
    with pytest.raises(ConflictError):
        client.upload_dataset(tmp_path, "style")
    assert len(uploads(queue)) == 4


def test_refused_files_are_told_and_the_rest_arrives(
    client: Client, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, bad_png=b"?", good_png=b"!")
    result = client.upload_dataset(tmp_path, "style")
    assert [entry.filename for entry in result.rejected] == ["bad.png"]
    assert set(dataset.files) == {"good.png"}


def test_an_endpoint_that_goes_away_is_an_error(
    client: Client, queue: FakeQueue, dataset: WorkerDataset, tmp_path: Path
) -> None:
    write(tmp_path, a_png=b"a")
    queue.trouble = [httpx.ConnectError("gone")] * 4
    with pytest.raises(EndpointUnreachable):
        client.upload_dataset(tmp_path, "style")


@pytest.mark.parametrize("name", ["missing", "."])
def test_nothing_to_send_is_told_before_anything_is_asked(
    client: Client, queue: FakeQueue, tmp_path: Path, name: str
) -> None:
    with pytest.raises(FileNotFoundError):
        client.upload_dataset(tmp_path / name, "style")
    assert queue.requests == []


def test_warnings_of_all_answers_and_the_last_look_at_the_dataset_are_returned(
    queue: FakeQueue, client: Client, dataset: WorkerDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_module, "BATCH_MAX_BYTES", 5_000)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"x" * 500)
    asked: list[dict[str, Any]] = []

    def upload(wish: dict[str, Any]) -> dict[str, Any]:
        asked.append(wish)
        name = wish["files"][0]["filename"]
        return dataset.upload(wish) | {
            "warnings": [f"{name} was renamed."],
            "dataset_warnings": [f"{len(asked)} images are small."],
            "fixed": [{"name": name, "what": "laid on white"}],
        }

    queue.actions["upload_training_data"] = upload
    uploaded = client.upload_dataset(tmp_path, "cat", fix=True)
    assert [one["fix"] for one in asked] == [True, True]
    assert uploaded.warnings == ("a.png was renamed.", "b.png was renamed.", "2 images are small.")
    assert [fixed.name for fixed in uploaded.fixed] == ["a.png", "b.png"]
