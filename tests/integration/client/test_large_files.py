"""Files larger than a reply, there and back through the real worker and the local endpoint."""

from __future__ import annotations

import hashlib
import random
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.unit.datasets.library_bench import MP4_HEAD

from lorapod.client import Client, JobFailed
from lorapod.client.serving import serving
from lorapod.clock import SystemClock
from lorapod.endpoint import EndpointConfig
from lorapod.processes.store.file import open_file_store
from lorapod.records.record import ProcessRecord, TrainingDetails
from lorapod.records.status import ProcessStatus
from lorapod.workspace import Workspace

ROOT = Path(__file__).parents[3]
LARGE_BYTES = 60_000_000
PROCESS_ID = "train_0123456789ab"
BLOCK = random.Random(3).randbytes(1_000_000)
LORA = BLOCK * 20 + b"end"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """With a training that has ended."""
    workspace = Workspace.create(tmp_path_factory.mktemp("workspace"))
    clock = SystemClock()
    record = ProcessRecord(
        process_id=PROCESS_ID,
        type="train",
        training=TrainingDetails(trainer="builtin"),
        name="cat",
        folder="cat",
        status=ProcessStatus.COMPLETED,
        created_at=clock.now(),
        worker_id="w",
    )
    open_file_store(workspace.processes, clock).records.create(record)
    run = record.run_folder(workspace)
    run.mkdir(parents=True)
    (run / "cat.safetensors").write_bytes(LORA)
    (run / "cat_000000500.safetensors").write_bytes(LORA[::-1])
    workspace.log_path(PROCESS_ID).write_text("step 1\n" * 1000)
    return workspace


@pytest.fixture(scope="module")
def client(workspace: Workspace, s3_server: RunningS3) -> Iterator[Client]:
    config = EndpointConfig(
        command=[sys.executable, str(ROOT / "Backend/rp_handler.py")],
        environment={
            "WORKSPACE_PATH": str(workspace.root),
            "WARM_TRAINER": "false",
            "DISK_MIN_FREE_BYTES": "0",
            "BUCKET_ENDPOINT_URL": s3_server.url,
            "BUCKET_NAME": BUCKET,
            "BUCKET_ACCESS_KEY_ID": KEY_ID,
            "BUCKET_SECRET_ACCESS_KEY": SECRET_KEY,
        },
    )
    with serving(config) as endpoint, Client(endpoint.url) as client:
        yield client


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_sixty_megabytes_there_and_back(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    film = folder / "film.mp4"
    blocks = b"".join(number.to_bytes(4, "big") + BLOCK for number in range(60))
    film.write_bytes((MP4_HEAD + blocks)[:LARGE_BYTES])
    uploaded = client.upload_dataset(folder, "films")
    assert (uploaded.rejected, uploaded.total_bytes) == ((), LARGE_BYTES)
    seen: list[int] = []
    back = client.download(
        "training_data/films/film.mp4",
        tmp_path / "back.mp4",
        on_progress=lambda progress: seen.append(progress.received_bytes),
    )
    assert sha256(back) == sha256(film)
    # In more parts than one, and no more than it takes.
    assert len(seen) == 5


def test_all_that_a_process_made_as_one_zip(client: Client, workspace: Workspace, tmp_path: Path) -> None:
    path = client.bulk_download(process_ids=[PROCESS_ID], to=tmp_path / "cat.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read(f"{PROCESS_ID}/cat.safetensors") == LORA
        assert archive.read(f"{PROCESS_ID}/cat_000000500.safetensors") == LORA[::-1]
        assert archive.read(f"{PROCESS_ID}/training.log") == workspace.log_path(PROCESS_ID).read_bytes()


def test_a_file_by_an_address_that_needs_no_credentials(client: Client, s3_server: RunningS3) -> None:
    answer = client.address(PROCESS_ID)
    fetched = httpx.get(answer.url or "")
    assert fetched.status_code == 200
    assert hashlib.sha256(fetched.content).hexdigest() == answer.sha256 == hashlib.sha256(LORA).hexdigest()
    assert SECRET_KEY not in (answer.url or "")
    # Other tests share this bucket's files, and this one only its own.
    own = f"lorapod-shared/{answer.sha256}/"
    listed = s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix=own)
    (stored,) = listed["Contents"]
    assert stored["Key"] == f"{own}cat.safetensors"
    again = client.address(PROCESS_ID)
    assert again.answer()["expires_at"] > answer.answer()["expires_at"]
    (still,) = s3_server.client().list_objects_v2(Bucket=BUCKET, Prefix=own)["Contents"]
    assert still["LastModified"] == stored["LastModified"]
    with pytest.raises(JobFailed) as caught:
        client.address("output/missing")
    assert caught.value.code == "not_found"


def test_the_page_says_what_works(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/howto/large-files.md").read_text(encoding="utf-8")
    first, *examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "Client(" in first
    monkeypatch.chdir(tmp_path)
    Path("loras").mkdir()
    Path("films").mkdir()
    Path("films/one.mp4").write_bytes(MP4_HEAD + BLOCK)
    known = {"client": client}
    for example in examples:
        exec(compile(example, "large-files.md", "exec"), known)  # noqa: S102 - the page is the test
    assert Path("loras/cat.safetensors").read_bytes() == LORA
    assert zipfile.is_zipfile("cat.zip")
    assert capsys.readouterr().out.startswith("http")
