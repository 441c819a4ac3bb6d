"""A job that brings its own bucket (RunPod's `s3Config`), on a real S3 server; its credentials are looked for everywhere."""

from __future__ import annotations

import io
import json
import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.processes.test_uploads import eventually, in_bucket, on_disk, s3_settings
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.unit.datasets.library_bench import picture

from lorapod.actions.action import RunPodJob
from lorapod.journal import JournalFormatter
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.storage.mirror import artifact
from lorapod.storage.mirror.mirrors import MirroredProcess
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

ENDLESS = {"name": "cat", "steps": 100_000, "save_every": 10, "step_s": 0.01}


class Attempt:
    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.answers: list[dict[str, Any]] = []

    async def ask(self, type_: str, *, s3_config: Any = None, **fields: Any) -> dict[str, Any]:
        own = {} if s3_config is None else {"s3Config": s3_config}
        job = RunPodJob(job_id="1", progress=lambda update: self.answers.append(dict(update)))
        answer = await self.worker.answer({"id": "1", "input": {"type": type_, **fields}, **own}, job)
        self.answers.append(answer)
        return answer


@pytest.fixture
def s3_config(s3_server: RunningS3) -> dict[str, str]:
    return {
        "endpointUrl": s3_server.url,
        "accessId": KEY_ID,
        "accessSecret": SECRET_KEY,
        "bucketName": BUCKET,
    }


@pytest.fixture
def journal() -> Iterator[tuple[io.StringIO, logging.Handler]]:
    written = io.StringIO()
    handler, package = logging.StreamHandler(written), logging.getLogger("lorapod")
    before = package.level
    package.setLevel(logging.DEBUG)
    package.addHandler(handler)
    yield written, handler
    package.removeHandler(handler)
    package.setLevel(before)


@contextmanager
def working(root: Path, **settings: Any) -> Iterator[Attempt]:
    built = Settings(
        **{
            "workspace_path": root / "workspace",
            "scratch_path": root / "scratch",
            "disk_min_free_bytes": 0,
            "store_patience_s": 0.5,
            "lease_s": 2,
            "shutdown_grace_s": 5,
            "allow_private_urls": True,
            **settings,
        }
    )
    worker = Worker.create(built, trainers=TrainerRegistry([ScriptTrainer()]))
    worker.start()
    try:
        yield Attempt(worker)
    finally:
        worker.close()


async def test_its_bucket_serves_and_its_credentials_are_nowhere(
    tmp_path: Path,
    s3_server: RunningS3,
    s3_config: dict[str, str],
    journal: tuple[io.StringIO, logging.Handler],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What every child inherits and this one prints: so a secret of the job does stand in its output.
    monkeypatch.setenv("HF_HOME", f"/cache/{SECRET_KEY}")
    prefix = f"own-{tmp_path.name}"
    s3_server.put(f"{prefix}/pictures/a.png", picture(size=(300, 300)))
    written, handler = journal
    with working(tmp_path) as attempt:
        handler.setFormatter(JournalFormatter(attempt.worker.services.redactor))
        trained = await attempt.ask(
            "train",
            config={"name": "cat", "steps": 4, "save_every": 2, "behaviour": "environment"},
            dataset={"s3": {"prefix": f"{prefix}/pictures"}},
            upload={"s3": {"prefix": f"{prefix}/loras"}},
            wait=True,
            s3_config=s3_config,
        )
        assert (trained["status"], trained["dataset"]["images"]) == ("completed", 1), trained
        process_id = trained["process_id"]
        assert (trained["uploads"]["pending"], trained["uploads"]["failed"]) == (0, [])
        workspace = attempt.worker.services.workspace
        kept = in_bucket(s3_server, f"{prefix}/loras/")
        assert kept == on_disk(workspace, process_id)
        assert "/cache/***" in workspace.log_path(process_id).read_text()

        file_path = f"output/{process_id}/cat/cat.safetensors"
        one = await attempt.ask("download_file", file_path=file_path, s3_config=s3_config, **{"as": "url"})
        assert fetched(one["url"]) == (workspace.root / file_path).read_bytes()
        many = await attempt.ask(
            "bulk_download", process_ids=[process_id], s3_config=s3_config, **{"as": "url"}
        )
        assert len(fetched(many["url"])) == many["size_bytes"]
        # Whoever names it gets it back masked, while the job lasts.
        await attempt.ask("download_file", file_path=SECRET_KEY, s3_config=s3_config)
        await attempt.ask("process_status", process_id=process_id)
    # A presigned address holds the key's id by design, and never the secret.
    told = json.dumps([answer for answer in attempt.answers if "url" not in answer])
    assert KEY_ID not in told
    for text in (json.dumps(attempt.answers), written.getvalue()):
        assert SECRET_KEY not in text
    assert KEY_ID not in written.getvalue()
    look_through(tmp_path)


def look_through(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert SECRET_KEY.encode() not in content, path
            assert KEY_ID.encode() not in content, path


async def test_a_resume_needs_credentials_again(
    tmp_path: Path, s3_server: RunningS3, s3_config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact, "DEBOUNCE_S", 0.2)
    prefix = f"resumed-{tmp_path.name}"
    with working(tmp_path) as first:
        started = await first.ask(
            "train", config=ENDLESS, upload={"s3": {"prefix": prefix}}, wait=False, s3_config=s3_config
        )
        process_id = started["process_id"]
        await eventually(lambda: len(in_bucket(s3_server, f"{prefix}/")) >= 2)
    with working(tmp_path) as second:
        await ended(second, process_id, ProcessStatus.INTERRUPTED)
        refused = await second.ask("resume", process_id=process_id, wait=False)
        assert refused["code"] == "invalid_input"
        assert "stored nowhere" in refused["error"]
        assert "s3Config" in refused["hint"]
        other = await second.ask(
            "resume", process_id=process_id, s3_config={**s3_config, "bucketName": "another"}
        )
        assert "another bucket" in other["error"]
        resumed = await second.ask("resume", process_id=process_id, wait=False, s3_config=s3_config)
        assert resumed.get("process_id") == process_id, resumed
        await eventually(lambda: second.worker.services.processes.get(process_id).progress.step > 20)
    with working(tmp_path, **s3_settings(s3_server)) as third:
        await ended(third, process_id, ProcessStatus.INTERRUPTED)
        resumed = await third.ask("resume", process_id=process_id, wait=False)
        assert resumed.get("process_id") == process_id, resumed
        await eventually(
            lambda: third.worker.services.processes.get(process_id).status is ProcessStatus.RUNNING
        )
        await third.ask("cancel", process_id=process_id)
        await ended(third, process_id, ProcessStatus.CANCELLED)
        await eventually(lambda: third.worker.services.mirrors.finished(process_id))
        assert in_bucket(s3_server, f"{prefix}/") == on_disk(third.worker.services.workspace, process_id)


async def test_what_is_left_unsent_with_a_jobs_credentials_is_told(
    tmp_path: Path, s3_config: dict[str, str]
) -> None:
    nobody = {**s3_config, "endpointUrl": "http://127.0.0.1:9"}
    with working(tmp_path, upload_grace_s=0.2) as first:
        trained = await first.ask(
            "train",
            config={"steps": 1},
            upload={"s3": {"prefix": "x"}},
            wait=True,
            s3_config=nobody,
        )
        assert trained["status"] == "completed"
    with working(tmp_path) as second:
        process_id = trained["process_id"]
        mirrors = second.worker.services.mirrors
        mirrors._start_mirrors(process_id, MirroredProcess(still=True))
        await eventually(lambda: mirrors.finished(process_id))
        uploads = (await second.ask("process_status", process_id=process_id))["uploads"]
    assert any("stored nowhere" in failure["error"] for failure in uploads["failed"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"accessSecret": ""}, "accessSecret"),
        ({"endpointUrl": "ftp://host"}, "https and http"),
        ({"endpointUrl": "http://169.254.169.254"}, "public internet"),
    ],
)
async def test_a_wrong_s3_config_is_refused(
    tmp_path: Path, s3_config: dict[str, str], change: dict[str, str], told: str
) -> None:
    with working(tmp_path, allow_private_urls=False) as attempt:
        public = {**s3_config, "endpointUrl": "https://s3.example.com"}
        answer = await attempt.ask("ping", s3_config={**public, **change})
        assert told in answer["error"]
        assert "JSON object" in (await attempt.ask("ping", s3_config="mine"))["error"]
        assert (await attempt.ask("ping", s3_config={}))["pong"]
        assert (await attempt.ask("ping", s3_config=public))["pong"]


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:  # noqa: S310 - the server of this test
        content: bytes = answer.read()
        return content


async def ended(attempt: Attempt, process_id: str, status: ProcessStatus) -> None:
    await eventually(lambda: attempt.worker.services.processes.get(process_id).status is status)
