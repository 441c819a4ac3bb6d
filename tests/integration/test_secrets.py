"""Secrets planted in every setting, and looked for in everything that a worker writes, answers and hands on."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.fault_server import Fault, FaultServer, serving
from tests.servers.receiver import receiving
from tests.unit.datasets.shelf import picture

from lorapod.actions.action import Job
from lorapod.journal import JournalFormatter
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

#: What stands for a secret; each variable's own is `<mark>-<name>`.
MARK = "planted-7f3a"

#: Of all secrets, the one that a trainer needs: gated models.
PASSED_ON = "HF_TOKEN"


def secret_variables() -> list[str]:
    settings = [
        name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    ]
    # Redis is asked for at once where this is set.
    settings.remove("STATE_URL")
    return [*settings, "RUNPOD_AI_API_KEY", "RUNPOD_API_KEY", "AWS_SECRET_ACCESS_KEY"]


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    package = logging.getLogger("lorapod")
    for name in secret_variables():
        monkeypatch.setenv(name, f"{MARK}-{name}")
    handler.setFormatter(JournalFormatter(Redactor(Settings().secret_values())))
    monkeypatch.setattr(package, "level", logging.DEBUG)
    package.addHandler(handler)
    yield written
    package.removeHandler(handler)


@pytest.fixture
async def worker(tmp_path: Path, journal: io.StringIO) -> AsyncIterator[Worker]:
    settings = Settings(
        workspace_path=tmp_path / "workspace",
        scratch_path=tmp_path / "scratch",
        allow_private_urls=True,
        disk_min_free_bytes=0,
    )
    opened = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    opened.start()
    yield opened
    await asyncio.to_thread(opened.close)


async def test_nothing_written_or_answered_holds_a_secret(
    worker: Worker, tmp_path: Path, journal: io.StringIO
) -> None:
    answers: list[dict[str, Any]] = []

    async def ask(**fields: Any) -> dict[str, Any]:
        updates: list[dict[str, Any]] = []
        job = Job(job_id="job", progress=lambda update: updates.append(dict(update)))
        answers.append(await worker.answer({"id": "job", "input": fields}, job))
        answers.extend(updates)
        return answers[-1 - len(updates)]

    async with serving(FaultServer(picture(size=(300, 300)))) as server, receiving() as receiver:
        dataset = {"urls": [server.url("/a.png", host="user:caller-7f3a@127.0.0.1") + "?token=caller-7f3a"]}
        trained = await ask(
            type="train",
            config={"steps": 2, "behaviour": "environment"},
            dataset=dataset,
            callback_url=f"{receiver.url}?token=caller-7f3a",
            callback_token=f"{MARK}-callback-token",
            wait=True,
        )
        assert trained["status"] == "completed", trained
        process_id = trained["process_id"]
        while not (receiver.posted and receiver.posted[-1].event["event_type"] == "training.completed"):  # noqa: ASYNC110 - it comes from a thread
            await asyncio.sleep(0.01)
        assert {posted.headers["Authorization"] for posted in receiver.posted} == {
            f"Bearer {MARK}-callback-token"
        }
        assert not any(MARK.encode() in posted.body for posted in receiver.posted)
        server.faults += [Fault(status=404)]
        server.etag = '"two"'
        failed = await ask(type="train", config={"steps": 2}, dataset=dataset, wait=True)
        assert failed["status"] == "failed", failed
    for action in ("process_status", "logs", "metrics"):
        await ask(type=action, process_id=process_id)
    await ask(type="health")
    await ask(type="schema")
    await ask(type="list_files", recursive=True)
    # Whoever guesses a secret gets it back masked, too.
    await ask(type=f"{MARK}-RUNPOD_API_KEY")
    await ask(type="download_file", file_path=f"{MARK}-SUPABASE_SERVICE_KEY")

    log = worker.services.workspace.log_path(process_id).read_text()
    environment = json.loads(next(line for line in log.splitlines() if line.startswith("{")))
    assert environment[PASSED_ON] == "***"
    assert not set(secret_variables()) - {PASSED_ON} & environment.keys()

    assert MARK not in json.dumps(answers)
    assert "caller-7f3a" not in json.dumps(answers)
    assert MARK not in journal.getvalue()
    assert "caller-7f3a" not in journal.getvalue()
    look_through(tmp_path)


def look_through(folder: Path) -> None:
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert {"record.json", "order.json", "config.yaml"} <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        assert MARK.encode() not in content, path
        # The address is needed again by a resume: the order alone has it.
        assert b"caller-7f3a" not in content or path.name == "order.json", path
