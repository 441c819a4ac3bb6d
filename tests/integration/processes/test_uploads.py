"""Artifacts on their way to object stores, with real workers, children and servers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.servers.flaky_proxy import flaky_proxy
from tests.servers.hub import TOKEN, running_hub
from tests.servers.ports import free_port
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3, running_s3

from lorapod import work_marker
from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.storage.mirror import artifact, mirror, mirrors
from lorapod.storage.mirror.ledger import ledgers_of
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker
from lorapod.workspace import Workspace

SOON_S = 60.0
#: How long a server is away.
OUTAGE_S = 6.0
#: A checkpoint in eight parts.
LARGE_BYTES = 64 << 20
#: So much of it is carried before the way is held: it is then in the middle, however slow the machine is.
HELD_AFTER_BYTES = 24 << 20

#: Trains until it is killed, and says when it has begun.
DOOMED = """
import asyncio, sys
from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.storage.mirror import artifact
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

artifact.DEBOUNCE_S = 0.2
worker = Worker.create(Settings(), trainers=TrainerRegistry([ScriptTrainer()]))
worker.start()
config = {"name": "cat", "steps": 100_000, "save_every": 10, "step_s": 0.02}
wish = {"type": "train", "config": config, "upload": {"s3": {"prefix": sys.argv[1]}}, "wait": False}
print(asyncio.run(worker.answer({"input": wish}, RunPodJob(job_id="1")))["process_id"], flush=True)
import time
time.sleep(600)
"""


class Attempt:
    """A worker on the workspace, as requests see it."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.workspace: Workspace = worker.services.workspace

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        return await self.worker.answer({"input": {"type": type_, **fields}}, RunPodJob(job_id="1"))

    async def train(
        self, upload: Mapping[str, Any] | None, *, wait: bool = True, **config: Any
    ) -> dict[str, Any]:
        named = {} if upload is None else {"upload": upload}
        return await self.ask("train", config={"name": "cat", **config}, wait=wait, **named)


@contextmanager
def working(root: Path, **settings: Any) -> Iterator[Attempt]:
    """A worker that is stopped in good order afterwards."""
    built = Settings(
        workspace_path=root / "workspace",
        scratch_path=root / "scratch",
        disk_min_free_bytes=0,
        store_patience_s=0.5,
        lease_s=2,
        shutdown_grace_s=5,
        **settings,
    )
    worker = Worker.create(built, trainers=TrainerRegistry([ScriptTrainer()]))
    worker.start()
    try:
        yield Attempt(worker)
    finally:
        worker.close()


class Way:
    """A port of its own that leads to a server, and can be closed in the middle of everything."""

    def __init__(self, target_port: int) -> None:
        self._port = free_port()
        self._target_port = target_port
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None
        self._allowed_bytes: int | None = None
        self._released = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self._port)

    def hold(self, after_bytes: int) -> None:
        """Carry so many bytes more to the server, and nothing from then on."""
        self._allowed_bytes = after_bytes
        self._released.clear()

    def release(self) -> None:
        self._allowed_bytes = None
        self._released.set()

    def cut(self) -> None:
        """Refuse what comes, and reset what is on its way."""
        assert self._server is not None
        self.release()
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, there]
        await asyncio.gather(self._copy(reader, there, held=True), self._copy(there_reader, writer))

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool = False
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                if held and self._allowed_bytes is not None:
                    self._allowed_bytes -= len(data)
                    if self._allowed_bytes < 0:
                        await self._released.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


async def eventually(reached: Callable[[], bool], state: Callable[[], Awaitable[Any]] | None = None) -> None:
    """Wait for it; `state` says in the failure how things stand."""
    until = time.monotonic() + SOON_S
    while not await asyncio.to_thread(reached):
        if time.monotonic() >= until:
            pytest.fail(f"not within {SOON_S} s; {await state() if state else ''}")
        await asyncio.sleep(0.1)


def s3_settings(server: RunningS3) -> dict[str, str]:
    return {
        "bucket_endpoint_url": server.url,
        "bucket_access_key_id": KEY_ID,
        "bucket_secret_access_key": SECRET_KEY,
        "bucket_name": BUCKET,
    }


def in_bucket(server: RunningS3, prefix: str) -> dict[str, bytes]:
    with closing(server.client()) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {
            key.removeprefix(prefix): client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys
        }


def count_in_bucket(server: RunningS3, prefix: str) -> int:
    with closing(server.client()) as client:
        return len(client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", []))


def open_uploads(server: RunningS3, prefix: str) -> int:
    """Uploads in parts that are on their way, or were left."""
    with closing(server.client()) as client:
        return len(client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", []))


def put_large_weights(workspace: Workspace, process_id: str, name: str = "cat_large") -> None:
    """A whole checkpoint that takes a while to send, beside those of the run."""
    data = random.Random(name).randbytes(LARGE_BYTES)
    tensor = {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}
    header = json.dumps({"weights": tensor}).encode()
    folder = workspace.output_folder(process_id) / "cat"
    staged = folder / ".staged-by-a-test"
    staged.write_bytes(len(header).to_bytes(8, "little") + header + data)
    staged.rename(folder / f"{name}.safetensors")


def on_disk(workspace: Workspace, process_id: str) -> dict[str, bytes]:
    """Every artifact under the key that it must have."""
    weights = (workspace.output_folder(process_id) / "cat").glob("*.safetensors")
    found = {f"cat/checkpoints/{path.name}": path.read_bytes() for path in weights}
    return {**found, "cat/logs/training.log": workspace.log_path(process_id).read_bytes()}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become tenths; what is tested is the order of things."""
    monkeypatch.setattr(artifact, "DEBOUNCE_S", 0.2)
    monkeypatch.setattr(mirror, "FIRST_WAIT_S", 0.2)
    monkeypatch.setattr(mirror, "LONGEST_WAIT_S", 0.5)
    monkeypatch.setattr(work_marker, "ABANDONED_S", 1.0)
    monkeypatch.setattr(mirrors, "RENEW_S", 0.2)


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    with working(tmp_path) as opened:
        yield opened


async def test_all_is_there_when_a_waiting_train_answers(attempt: Attempt) -> None:
    answer = await attempt.train({"local": {"path": "bucket"}}, steps=6, save_every=2)
    assert answer["status"] == "completed"
    assert answer["warnings"] == []
    bucket = attempt.workspace.root / "bucket"
    there = {
        path.relative_to(bucket).as_posix(): path.read_bytes() for path in bucket.rglob("*") if path.is_file()
    }
    assert there == on_disk(attempt.workspace, answer["process_id"])
    assert len(there) == 5
    uploads = answer["uploads"]
    assert (uploads["sent"], uploads["pending"], uploads["failed"]) == (5, 0, [])
    assert uploads["targets"] == [{"to": {"local": {"path": "bucket"}}, "root": "cat"}]


async def test_checkpoints_come_while_the_training_runs(attempt: Attempt) -> None:
    started = await attempt.train(
        {"local": {"path": "bucket"}}, wait=False, steps=100_000, save_every=10, step_s=0.01
    )
    weights = attempt.workspace.root / "bucket" / "cat" / "checkpoints"
    await eventually(lambda: len(list(weights.glob("*.safetensors"))) >= 2)
    status = await attempt.ask("process_status", process_id=started["process_id"])
    assert status["status"] == "running"
    assert status["uploads"]["sent"] >= 2
    await attempt.ask("cancel", process_id=started["process_id"], save=True)
    await eventually(lambda: attempt.worker.services.processes.get(started["process_id"]).status.final)
    await eventually(lambda: attempt.worker.services.mirrors.finished(started["process_id"]))
    kept = on_disk(attempt.workspace, started["process_id"])
    assert {path.name for path in weights.iterdir()} == {
        Path(key).name for key in kept if "checkpoints" in key
    }


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
async def test_a_repository_on_the_hub_has_a_card_that_its_owner_may_edit(tmp_path: Path) -> None:
    with running_hub() as hub, working(tmp_path, hf_endpoint=hub.url, hf_token=TOKEN) as attempt:
        upload = {"huggingface": {"repo_id": "me/cats"}}
        first = await attempt.train(upload, steps=4, save_every=2)
        assert (first["status"], first["uploads"]["failed"]) == ("completed", [])
        repo = hub.repos["me/cats"]
        card = repo.files("main")["README.md"].decode()
        assert "weight_name='cat/checkpoints/cat.safetensors'" in card
        edited = card.replace("# cat", "# My own words")
        repo.commits.append({**repo.files("main"), "README.md": edited.encode()})
        second = await attempt.train(upload, steps=6, save_every=2)
        assert (second["status"], second["uploads"]["failed"]) == ("completed", [])
        files = repo.files("main")
    assert files["README.md"].decode() == edited
    assert "cat/checkpoints/cat_000000004.safetensors" in files
    assert repo.messages.count("Upload README.md") in {1, 2}


async def test_an_endpoints_own_target_has_a_folder_for_each_process(tmp_path: Path) -> None:
    with working(tmp_path, upload_targets={"local": {"path": "bucket"}}) as attempt:
        first = await attempt.train(None, steps=1)
        second = await attempt.train({"local": {"path": "mine"}}, steps=1)
    assert (
        attempt.workspace.root / "bucket" / first["process_id"] / "cat/checkpoints/cat.safetensors"
    ).exists()
    assert (attempt.workspace.root / "mine/cat/checkpoints/cat.safetensors").exists()
    assert not (attempt.workspace.root / "bucket" / second["process_id"]).exists()


@pytest.mark.parametrize(
    ("upload", "told"),
    [
        ({"local": {"path": "output"}}, "artifacts are read from"),
        ({"local": {"path": "training/training_session_1/output"}}, "artifacts are read from"),
        ({"local": {"path": "../elsewhere"}}, "outside the workspace"),
        ({"s3": {"prefix": "x"}}, "BUCKET"),
        ({"supabase": {"bucket_name": "b", "folder_path": "f"}}, "SUPABASE"),
        ({}, "at least one"),
        ({"ftp": {}}, "ftp"),
    ],
)
async def test_a_target_that_cannot_be_used_is_refused_at_once(
    attempt: Attempt, upload: dict[str, Any], told: str
) -> None:
    answer = await attempt.train(upload, steps=1)
    assert told in str(answer)
    assert "process_id" not in answer


async def test_a_server_that_goes_away_delays_nothing_but_the_uploads(
    tmp_path: Path, s3_server: RunningS3
) -> None:
    way, prefix = Way(s3_server.port), f"away-{tmp_path.name}"
    await way.open()
    through = {**s3_settings(s3_server), "bucket_endpoint_url": way.url}
    with working(tmp_path, **through) as attempt:
        upload = {"s3": {"prefix": prefix}}
        started = await attempt.train(upload, wait=False, steps=100_000, save_every=10, step_s=0.01)
        process_id = started["process_id"]
        await eventually(lambda: count_in_bucket(s3_server, f"{prefix}/") >= 2)
        way.cut()
        await attempt.ask("cancel", process_id=process_id)
        await eventually(lambda: attempt.worker.services.processes.get(process_id).status.final)
        status = await attempt.ask("process_status", process_id=process_id)
        assert status["status"] == "cancelled"
        assert status["uploads"]["pending"] > 0
        assert not attempt.worker.services.mirrors.finished(process_id)
        await way.open()
        await eventually(lambda: attempt.worker.services.mirrors.finished(process_id))
        assert in_bucket(s3_server, f"{prefix}/") == on_disk(attempt.workspace, process_id)
        uploads = (await attempt.ask("process_status", process_id=process_id))["uploads"]
        assert (uploads["pending"], uploads["failed"]) == (0, [])
    way.cut()


@pytest.mark.slow
async def test_a_server_that_is_killed_in_the_middle_and_back_much_later_has_everything_once(
    tmp_path: Path,
) -> None:
    with running_s3() as server:
        way = Way(server.port)
        await way.open()
        with working(tmp_path, **{**s3_settings(server), "bucket_endpoint_url": way.url}) as attempt:
            started = await attempt.train(
                {"s3": {"prefix": "away"}}, wait=False, steps=100_000, save_every=100, step_s=0.05
            )
            process_id = started["process_id"]
            await eventually(lambda: count_in_bucket(server, "away/") >= 2)
            way.hold(HELD_AFTER_BYTES)
            await asyncio.to_thread(put_large_weights, attempt.workspace, process_id)
            await eventually(lambda: open_uploads(server, "away") > 0)
            server.kill()
            way.release()
            await asyncio.sleep(OUTAGE_S)
            step = attempt.worker.services.processes.get(process_id).progress.step
            await asyncio.to_thread(server.start)
            await eventually(lambda: attempt.worker.services.processes.get(process_id).progress.step > step)
            await attempt.ask("cancel", process_id=process_id)
            await eventually(lambda: attempt.worker.services.mirrors.finished(process_id))
            there = in_bucket(server, "away/")
            assert there == on_disk(attempt.workspace, process_id)
            assert "cat/checkpoints/cat_large.safetensors" in there
            assert open_uploads(server, "away") == 0
            uploads = (await attempt.ask("process_status", process_id=process_id))["uploads"]
            assert (uploads["pending"], uploads["failed"]) == (0, [])
        way.cut()


async def test_resets_at_every_part_and_answers_to_come_back_later_only_delay(
    tmp_path: Path, s3_server: RunningS3
) -> None:
    prefix = f"flaky-{tmp_path.name}"
    with flaky_proxy(s3_server.port) as proxy:
        through = {**s3_settings(s3_server), "bucket_endpoint_url": f"http://127.0.0.1:{proxy.port}"}
        with working(tmp_path, **through) as attempt:
            started = await attempt.train(
                {"s3": {"prefix": prefix}}, wait=False, steps=100_000, save_every=100, step_s=0.05
            )
            process_id = started["process_id"]
            state = partial(attempt.ask, "process_status", process_id=process_id)
            await eventually(lambda: count_in_bucket(s3_server, f"{prefix}/") >= 2, state)
            for status in ("503 Slow Down", "429 Too Many Requests"):
                proxy.answer(6, status)
                await asyncio.to_thread(put_large_weights, attempt.workspace, process_id, f"cat_{status[:3]}")
                await eventually(lambda: not proxy.due)
            proxy.reset(12, after_bytes=2_000_000)
            await asyncio.to_thread(put_large_weights, attempt.workspace, process_id)
            await eventually(lambda: not proxy.due)
            assert proxy.harmed >= 12 + 10
            await attempt.ask("cancel", process_id=process_id)
            await eventually(lambda: attempt.worker.services.mirrors.finished(process_id))
            there = in_bucket(s3_server, f"{prefix}/")
            assert there == on_disk(attempt.workspace, process_id)
            assert {f"cat/checkpoints/cat_{name}.safetensors" for name in ("503", "429", "large")} <= set(
                there
            )
            assert open_uploads(s3_server, prefix) == 0


async def test_what_is_late_is_told_and_sent_by_another_worker(tmp_path: Path, s3_server: RunningS3) -> None:
    nobody = free_port()
    prefix = f"late-{tmp_path.name}"
    away = {**s3_settings(s3_server), "bucket_endpoint_url": f"http://127.0.0.1:{nobody}"}
    with working(tmp_path, upload_grace_s=0.5, **away) as attempt:
        answer = await attempt.train({"s3": {"prefix": prefix}}, steps=1)
        assert answer["status"] == "completed"
        assert any("Not everything was uploaded" in warning for warning in answer["warnings"])
    with working(tmp_path, **s3_settings(s3_server)) as other:
        await eventually(lambda: other.worker.services.mirrors.finished(answer["process_id"]))
    assert in_bucket(s3_server, f"{prefix}/") == on_disk(other.workspace, answer["process_id"])


async def test_a_worker_that_is_killed_while_it_sends_is_succeeded(
    tmp_path: Path, s3_server: RunningS3
) -> None:
    prefix = f"killed-{tmp_path.name}"
    way = Way(s3_server.port)
    await way.open()
    through = {**s3_settings(s3_server), "bucket_endpoint_url": way.url}
    settings = {name.upper(): value for name, value in through.items()}
    environment = {
        "WORKSPACE_PATH": str(tmp_path / "workspace"),
        "SCRATCH_PATH": str(tmp_path / "doomed"),
        "DISK_MIN_FREE_BYTES": "0",
        "LEASE_S": "2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    doomed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DOOMED,
        prefix,
        env={**os.environ, **environment, **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert doomed.stdout is not None
        process_id = (await doomed.stdout.readline()).decode().strip()
        await eventually(lambda: count_in_bucket(s3_server, f"{prefix}/") >= 3)
        way.hold(HELD_AFTER_BYTES)
        await asyncio.to_thread(put_large_weights, Workspace.create(tmp_path / "workspace"), process_id)
        await eventually(lambda: open_uploads(s3_server, prefix) > 0)
    finally:
        doomed.kill()
        await doomed.wait()
        way.release()
    sent_before = in_bucket(s3_server, f"{prefix}/")
    with working(tmp_path, **through) as heir:
        before = {
            key: sent
            for _, ledger in ledgers_of(heir.workspace, process_id)
            for key, sent in ledger.sent.items()
        }
        await eventually(lambda: heir.worker.services.processes.get(process_id).status.final)
        resumed = await heir.ask("resume", process_id=process_id, wait=False)
        assert resumed.get("process_id") == process_id, resumed
        await eventually(lambda: heir.worker.services.processes.get(process_id).progress.step > 0)
        known = count_in_bucket(s3_server, f"{prefix}/")
        await eventually(lambda: count_in_bucket(s3_server, f"{prefix}/") > max(known, len(sent_before)))
        await heir.ask("cancel", process_id=process_id)
        await eventually(lambda: heir.worker.services.processes.get(process_id).status.final)
        await eventually(lambda: heir.worker.services.mirrors.finished(process_id))
        [(_, ledger)] = ledgers_of(heir.workspace, process_id)
    way.cut()
    there = in_bucket(s3_server, f"{prefix}/")
    assert there == on_disk(heir.workspace, process_id)
    assert set(ledger.sent) == set(there)
    assert "cat/checkpoints/cat_large.safetensors" in there
    assert open_uploads(s3_server, prefix) == 0
    # What the killed worker had sent was not sent again: the log alone has changed.
    assert {key for key in before if ledger.sent[key] != before[key]} <= {"cat/logs/training.log"}
