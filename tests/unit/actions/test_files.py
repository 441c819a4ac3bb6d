from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.datasets.library_bench import MP4_HEAD, picture
from tests.unit.datasets.test_fix import clear_png

from lorapod.actions.action import RunPodJob
from lorapod.actions.router import Router
from lorapod.actions.services import Services
from lorapod.clock import SystemClock
from lorapod.datasets.library import DatasetLibrary
from lorapod.errors import NotFound
from lorapod.files.archive_cache import ArchiveCache
from lorapod.files.digests import DigestBook
from lorapod.files.parts import REPLY_OVERHEAD_BYTES
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings
from lorapod.storage.port import ObjectStore
from lorapod.storage.shares import FileShares
from lorapod.testing.objects import MemoryObjects
from lorapod.workspace import Workspace

PROCESS_ID = "train_0123456789ab"
MAX_REPLY_BYTES = REPLY_OVERHEAD_BYTES + 4000


class FakeProcesses:
    """One process, in the state that the test gives it."""

    def __init__(self) -> None:
        self.status = ProcessStatus.COMPLETED

    def get(self, process_id: str) -> ProcessRecord:
        if process_id != PROCESS_ID:
            raise NotFound(f"There is no process {process_id!r}.")
        return ProcessRecord(
            process_id=PROCESS_ID,
            type="train",
            training=TrainingDetails(trainer="builtin"),
            name="matt",
            folder="matt",
            status=self.status,
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
            worker_id="w",
        )


class Bench:
    """The file actions on a workspace of their own."""

    def __init__(self, root: Path, **settings_of_test: Any) -> None:
        self.processes = FakeProcesses()
        self.workspace = Workspace.create(root)
        self.store = MemoryObjects()
        self.updates: list[Mapping[str, Any]] = []
        settings = Settings(
            workspace_path=root,
            max_reply_bytes=MAX_REPLY_BYTES,
            disk_min_free_bytes=0,
            **settings_of_test,
        )
        services = Services(
            settings=settings,
            clock=SystemClock(),
            started_at=datetime.now(UTC),
            workspace=self.workspace,
            scratch=cast("Any", None),
            redactor=Redactor(),
            processes=cast("Any", self.processes),
            trainers=cast("Any", SimpleNamespace(statuses=dict)),
            datasets=DatasetLibrary(workspace=self.workspace, settings=settings),
            remote_datasets=cast("Any", None),
            mirrors=cast("Any", None),
            digests=DigestBook(workspace=self.workspace),
            models=cast("Any", None),
            deletions=cast("Any", None),
            trash=cast("Any", None),
            volume=cast("Any", SimpleNamespace(latest=lambda: None)),
            retention=cast("Any", None),
            gallery=cast("Any", None),
            edits=cast("Any", None),
            engines=cast("Any", SimpleNamespace(statuses=dict)),
            captioners=cast("Any", SimpleNamespace(statuses=dict)),
            room=cast("Any", None),
            archives=ArchiveCache(workspace=self.workspace, max_bytes=100_000, keep_free_bytes=0),
            updates=cast("Any", None),
            shares=FileShares(settings=settings, clock=SystemClock(), open_store=self.open_store),
            telemetry=cast("Any", None),
            courier=cast("Any", None),
        )
        self._router = Router(services)

    @contextmanager
    def open_store(self, location: Any, *, job_s3: Any = None) -> Iterator[ObjectStore]:
        yield self.store

    async def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        answer = await self._router.answer(
            {"id": "j", "input": {"type": action, **fields}},
            RunPodJob(job_id="j", progress=self.updates.append),
        )
        assert len(json.dumps(answer)) <= MAX_REPLY_BYTES
        return answer

    def put(self, name: str, content: bytes) -> Path:
        path = self.workspace.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "workspace")


def weights(*names: str, notes: Mapping[str, str] | None = None) -> bytes:
    fields: dict[str, Any] = {"__metadata__": dict(notes or {})}
    for number, name in enumerate(names):
        fields[name] = {"dtype": "F16", "shape": [4, 2], "data_offsets": [number * 16, number * 16 + 16]}
    text = json.dumps(fields).encode()
    return struct.pack("<Q", len(text)) + text + bytes(16 * len(names))


LORA = weights(
    "a.lora_A.weight", "a.lora_B.weight", notes={"training_info": '{"step": 7}', "trigger_word": "ohwx"}
)


async def whole(
    ask: Callable[..., Awaitable[dict[str, Any]]], action: str, **fields: Any
) -> tuple[bytes, str]:
    """The file in as many parts as it takes, and its announced digest."""
    data = b""
    while True:
        answer = await ask(action, offset=len(data), **fields)
        assert "error" not in answer, answer
        piece = base64.b64decode(answer["data"])
        assert len(piece) == answer["length"]
        data += piece
        assert answer["next_offset"] == len(data)
        if answer["eof"]:
            assert len(data) == answer["size_bytes"]
            return data, answer["sha256"]


async def test_the_seeds_upload_still_works(bench: Bench) -> None:
    content = base64.b64encode(picture("JPEG")).decode()
    file = {"filename": "IMG_1.jpg", "content": content, "content_type": "image/jpeg"}
    answer = await bench.ask("upload_training_data", training_name="matt", files=[file])
    assert answer["path"] == "training_data/matt"
    assert answer["images"] == 1
    assert answer["captions"] == 0
    assert answer["images_without_caption"] == ["IMG_1.jpg"]
    assert answer["rejected"] == []
    assert answer["files"][0] | {"sha256": ""} == {
        "filename": "IMG_1.jpg",
        "path": "training_data/matt/IMG_1.jpg",
        "size_bytes": len(picture("JPEG")),
        "received_bytes": len(picture("JPEG")),
        "complete": True,
        "sha256": "",
        "width": 8,
        "height": 6,
    }


async def test_an_upload_says_what_trainers_see_otherwise_and_what_was_fixed(bench: Bench) -> None:
    clear, sentence = clear_png(), "1 image has transparency, which trainers see as black: a.png."
    files = [{"filename": "a.png", "content": base64.b64encode(clear).decode()}]
    answer = await bench.ask("upload_training_data", training_name="matt", files=files)
    assert sentence in answer["dataset_warnings"]
    assert answer["fixed"] == []
    answer = await bench.ask("upload_training_data", training_name="matt", files=files, fix=True)
    assert answer["fixed"] == [{"name": "a.png", "what": "laid on white"}]
    assert sentence not in answer["dataset_warnings"]


async def test_an_upload_without_a_name_is_answered_with_one(bench: Bench) -> None:
    file = {"filename": "a.txt", "content": "YQ=="}
    answer = await bench.ask("upload_training_data", files=[file])
    assert (bench.workspace.training_data / answer["training_name"] / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"files": []},
        {"files": [{}]},
        {"files": [{"filename": "a.png"}]},
        {"files": [{"filename": "a.png", "content": 5}]},
        {"files": [{"filename": "a.png", "content": "YQ==", "offset": -1, "size_bytes": 1}]},
        {"files": [{"filename": "a.png", "content": "YQ==", "offset": 0}]},
        {"files": [{"filename": "a.png", "content": "YQ==", "sha256": "zz"}]},
        {"files": [{"filename": "a.png", "content": "YQ==", "nonsense": 1}]},
        {"files": [{"filename": "a.txt", "content": "YQ=="}], "trigger_word": " "},
        {"files": [{"filename": "a.txt", "content": "YQ=="}], "trigger_word": "a\nb"},
        {"files": [{"filename": "a.txt", "content": "YQ=="}], "training_nam": "matt"},
    ],
)
async def test_an_upload_that_is_not_one_is_refused(bench: Bench, fields: dict[str, Any]) -> None:
    answer = await bench.ask("upload_training_data", **fields)
    assert answer["code"] == "invalid_input"
    assert list(bench.workspace.training_data.iterdir()) == []


async def test_a_wrong_offset_is_a_conflict_with_the_expected_one(bench: Bench) -> None:
    file = {"filename": "a.mp4", "content": "YWJj", "offset": 6, "size_bytes": 12}
    answer = await bench.ask("upload_training_data", training_name="matt", files=[file])
    assert answer["code"] == "conflict"
    assert answer["details"][0]["expected_offset"] == 0


async def test_a_file_comes_back_in_parts(bench: Bench) -> None:
    content = bytes(range(256)) * 40
    bench.put("output/x/a.bin", content)
    data, sha256 = await whole(bench.ask, "download_file", file_path="/workspace/output/x/a.bin")
    assert data == content
    assert sha256 == hashlib.sha256(content).hexdigest()
    part = await bench.ask("download_file", file_path="output/x/a.bin", offset=256, length=4)
    assert base64.b64decode(part["data"]) == bytes(range(4))
    assert (part["next_offset"], part["eof"], part["filename"]) == (260, False, "a.bin")
    assert part["content_type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret", "unsafe_path"),
        ("/etc/passwd", "unsafe_path"),
        ("output/../../secret", "unsafe_path"),
        ("output/link", "unsafe_path"),
        ("a\0b", "unsafe_path"),
        ("n" * 5000, "unsafe_path"),
        ("", "invalid_input"),
        ("output/none", "not_found"),
        ("output", "invalid_input"),
        ("training_data/.incoming/parts/x", "not_found"),
        (7, "invalid_input"),
    ],
)
async def test_a_path_that_must_not_be_read_is_refused(
    bench: Bench, tmp_path: Path, path: Any, code: str
) -> None:
    (tmp_path / "secret").write_text("secret")
    (bench.workspace.output / "link").symlink_to(tmp_path / "secret")
    bench.put("training_data/.incoming/parts/x", b"half")
    answer = await bench.ask("download_file", file_path=path)
    assert answer["code"] == code
    listed = await bench.ask("list_files", path=path)
    assert listed.get("code", "") in {code, "", "not_found"}
    assert listed.get("files", []) == []


async def test_without_an_object_store_there_are_no_addresses(bench: Bench) -> None:
    bench.put("output/a", b"x")
    answer = await bench.ask("download_file", file_path="output/a", **{"as": "url"})
    assert answer["code"] == "unsupported"
    assert "BUCKET_NAME" in answer["hint"]
    answer = await bench.ask("download_file", file_path="output/a", **{"as": "base64"})
    assert answer["data"] == "eA=="
    answer = await bench.ask("download_file", file_path="output/a", ass="base64")
    assert "did you mean 'as'?" in answer["error"]


async def test_the_final_artifact_of_a_process(bench: Bench) -> None:
    bench.put(f"output/{PROCESS_ID}/matt/matt.safetensors", LORA)
    data, _sha256 = await whole(bench.ask, "download", process_id=PROCESS_ID)
    assert data == LORA
    bench.processes.status = ProcessStatus.RUNNING
    answer = await bench.ask("download", process_id=PROCESS_ID)
    assert answer["code"] == "conflict"
    assert answer["details"] == [{"field": "process_id", "status": "running"}]
    assert (await bench.ask("download", process_id="train_ffffffffffff"))["code"] == "not_found"
    assert (await bench.ask("download", process_id="../x"))["code"] == "invalid_input"


async def test_listing_pages_filters_and_times(bench: Bench) -> None:
    for number in range(5):
        bench.put(f"output/p/{number}.png", b"x")
    bench.put("output/p/a.log", b"x")
    first = await bench.ask("list_files", path="output", kind="image", limit=3)
    assert [file["name"] for file in first["files"]] == ["0.png", "1.png", "2.png"]
    assert first["files"][0]["path"] == "output/p/0.png"
    assert first["files"][0]["kind"] == "image"
    assert first["files"][0]["modified_at"].endswith("Z")
    second = await bench.ask("list_files", path="output", kind="image", limit=3, cursor=first["next_cursor"])
    assert [file["name"] for file in second["files"]] == ["3.png", "4.png"]
    assert "next_cursor" not in second
    assert len((await bench.ask("list_files"))["files"]) == 6
    assert (await bench.ask("list_files", recursive=False))["files"] == []


async def test_loras_are_told_by_their_headers(bench: Bench) -> None:
    bench.put(f"output/{PROCESS_ID}/matt/matt.safetensors", LORA)
    bench.put("models/loras/other.safetensors", weights("b.lora_down.weight"))
    bench.put("models/whole_model.safetensors", weights("conv.weight"))
    bench.put("models/cut_off.safetensors", LORA[:-1])
    bench.put("models/text.safetensors", b"not weights at all")
    bench.put("models/.half.safetensors", LORA)
    models = (await bench.ask("lora"))["models"]
    assert [model["path"] for model in models] == [
        "models/loras/other.safetensors",
        f"output/{PROCESS_ID}/matt/matt.safetensors",
    ]
    assert models[1] | {"modified_at": ""} == {
        "path": f"output/{PROCESS_ID}/matt/matt.safetensors",
        "name": "matt",
        "size_bytes": len(LORA),
        "modified_at": "",
        "process_id": PROCESS_ID,
        "step": 7,
        "rank": 4,
        "trigger_word": "ohwx",
    }
    assert "process_id" not in models[0]
    assert len((await bench.ask("lora", process_id=PROCESS_ID))["models"]) == 1
    assert (await bench.ask("lora", process_id="train_ffffffffffff"))["code"] == "not_found"


async def test_clips_are_counted(bench: Bench) -> None:
    files = [
        {"filename": "a.mp4", "content": base64.b64encode(MP4_HEAD + bytes(200)).decode()},
        {"filename": "a.txt", "content": "YQ=="},
    ]
    answer = await bench.ask("upload_training_data", training_name="clips", files=files)
    assert (answer["images"], answer["videos"], answer["captions"]) == (0, 1, 1)
