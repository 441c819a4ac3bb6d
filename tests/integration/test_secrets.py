"""Secrets planted in every setting, and looked for in everything that a worker writes, answers and hands on."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.servers.fault_server import Fault, FaultServer, serving
from tests.servers.receiver import receiving
from tests.unit.datasets.library_bench import picture
from tests.unit.models.model_files import put_model

from lorapod.actions.action import RunPodJob
from lorapod.engines.port import Generation, GenerationProgress, GenerationResult, GenerationRun
from lorapod.engines.registry import EngineRegistry
from lorapod.errors import UpstreamError
from lorapod.journal import JournalFormatter
from lorapod.safety.redaction import Redactor
from lorapod.settings import Settings
from lorapod.testing.engine import FakeEngine
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

#: What stands for a secret; each variable's own is `<mark>-<name>`.
MARK = "planted-7f3a"

#: Of all secrets, the one that a trainer needs: gated models.
PASSED_ON = "HF_TOKEN"


class GossipingEngine(FakeEngine):
    """Says its caller's key and its picture's address in all that an engine can say."""

    def prepare(self, generation: Generation) -> Sequence[str]:
        return [*super().prepare(generation), f"A warning of {key_of(generation)}."]

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        said = f"{key_of(generation)} and https://user:caller-7f3a@host/?token=caller-7f3a"
        run.log(f"I have {said}.")
        run.report(GenerationProgress(detail=f"With {said}.", node=said))
        logging.getLogger("lorapod.engines.gossip").warning("I have %s.", said)
        if "fail" in generation.params:
            raise UpstreamError(f"They refuse {said}.", hint=f"Look at {said}.")
        made = super().generate(generation, run)
        return replace(made, warnings=[f"They know {said}."])


def key_of(generation: Generation) -> str:
    key = generation.comfy_org_api_key
    return "no key" if key is None else key.get_secret_value()


def secret_variables() -> list[str]:
    settings = [
        name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)
    ]
    # Redis is asked for at once where this is set.
    settings.remove("STATE_URL")
    return [*settings, "RUNPOD_AI_API_KEY", "RUNPOD_API_KEY", "AWS_SECRET_ACCESS_KEY"]


def planted(name: str) -> str:
    # It has to be the URL of a service that Apprise knows.
    return f"json://user:{MARK}-{name}@127.0.0.1:9/" if name == "NOTIFY_URLS" else f"{MARK}-{name}"


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    package = logging.getLogger("lorapod")
    for name in secret_variables():
        monkeypatch.setenv(name, planted(name))
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
        callback_path="/events",
    )
    opened = Worker.create(
        settings, trainers=TrainerRegistry([ScriptTrainer()]), engines=EngineRegistry([GossipingEngine()])
    )
    # As the entries do it.
    logging.getLogger("lorapod").handlers[-1].setFormatter(JournalFormatter(opened.services.redactor))
    opened.start()
    yield opened
    await asyncio.to_thread(opened.close)


class Desk:
    """Asks a worker, and keeps all that it says."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.said: list[dict[str, Any]] = []

    async def ask(self, **fields: Any) -> dict[str, Any]:
        job = RunPodJob(
            job_id=f"job-{len(self.said)}", progress=lambda update: self.said.append(dict(update))
        )
        answer = await self._worker.answer({"id": job.job_id, "input": fields}, job)
        self.said.append(answer)
        return answer


async def test_nothing_written_or_answered_holds_a_secret(
    worker: Worker, tmp_path: Path, journal: io.StringIO
) -> None:
    desk = Desk(worker)
    ask = desk.ask

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

    listen_in(desk, journal)
    look_through(tmp_path, {"record.json", "order.json", "config.yaml"})


async def test_no_generation_tells_its_callers_secrets(
    worker: Worker, tmp_path: Path, journal: io.StringIO
) -> None:
    desk = Desk(worker)
    async with serving(FaultServer(picture(size=(64, 64)))) as server:
        wish = {
            "type": "generate",
            "prompt": "a square",
            "image": server.url("/a.png", host="user:caller-7f3a@127.0.0.1") + "?token=caller-7f3a",
            "comfy_org_api_key": f"{MARK}-comfy-key",
            "wait": True,
        }
        made = await desk.ask(**wish)
        assert made["images"], made
        assert "***" in str(made["warnings"])
        failed = await desk.ask(**wish, params={"fail": "it"})
        assert failed["error"].startswith("They refuse ***"), failed
        server.faults += [Fault(status=404)] * 9
        assert "error" in await desk.ask(**wish)
    for process in (await desk.ask(type="processes"))["processes"]:
        await desk.ask(type="process_status", process_id=process["process_id"])
        assert "***" in (await desk.ask(type="logs", process_id=process["process_id"]))["text"]
    listen_in(desk, journal)
    look_through(tmp_path, {"record.json", "order.json"})


async def test_no_download_of_a_model_tells_its_address(
    worker: Worker, tmp_path: Path, journal: io.StringIO
) -> None:
    desk = Desk(worker)
    weights = put_model(tmp_path / "weights.safetensors").read_bytes()
    async with serving(FaultServer(weights)) as server:
        source = server.url("/cat.safetensors", host="user:caller-7f3a@127.0.0.1") + "?token=caller-7f3a"
        wish = {"type": "download_model", "source": source, "wait": True}
        had = await desk.ask(**wish)
        assert had["status"] == "completed", had
        assert (await desk.ask(**wish, name="other", sha256="0" * 64))["status"] == "failed"
        server.faults += [Fault(status=404)] * 9
        assert (await desk.ask(**wish, name="third"))["status"] == "failed"
    listed = (await desk.ask(type="list_models"))["models"]
    assert [model["name"] for model in listed] == ["cat"]
    card = await desk.ask(type="describe_model", model="cat")
    assert "127.0.0.1" in str(card)
    for process in (await desk.ask(type="processes"))["processes"]:
        for action in ("process_status", "logs"):
            await desk.ask(type=action, process_id=process["process_id"])
    listen_in(desk, journal)
    look_through(tmp_path, {"record.json", "order.json"})


async def test_no_session_tells_its_callers_secrets(
    worker: Worker, tmp_path: Path, journal: io.StringIO
) -> None:
    desk = Desk(worker)
    async with serving(FaultServer(picture(size=(300, 300)))) as server, receiving() as receiver:
        wish = {
            "internal_job_id": 7,
            "config": "steps: 2\nbehaviour: environment\n",
            "dataset_urls": [server.url("/a.png", host="user:caller-7f3a@127.0.0.1") + "?token=caller-7f3a"],
            "callback_base_url": f"{receiver.url}?token=caller-7f3a",
            "callback_token": f"{MARK}-callback-token",
        }
        done = await desk.ask(**wish)
        assert done.get("success"), done
        server.faults += [Fault(status=404)] * 9
        server.etag = '"two"'
        assert (await desk.ask(**wish))["success"] is False
        await asyncio.to_thread(worker.close)
        assert not any(MARK.encode() in posted.body for posted in receiver.posted)
    listen_in(desk, journal)
    look_through(tmp_path, {"record.json", "order.json", "config.yaml"})


def listen_in(desk: Desk, journal: io.StringIO) -> None:
    for said in (json.dumps(desk.said), journal.getvalue()):
        assert MARK not in said
        assert "caller-7f3a" not in said


def look_through(folder: Path, there: set[str]) -> None:
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert there <= {path.name for path in written}
    for path in written:
        content = path.read_bytes()
        assert MARK.encode() not in content, path
        # The address is needed again by a resume: the order alone has it.
        assert b"caller-7f3a" not in content or path.name == "order.json", path
