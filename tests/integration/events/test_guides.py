"""The programs on the pages about events run as they stand there."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.servers.rabbitmq import RunningRabbitMQ
from tests.unit.events.courier_bench import eventually

from lorapod.actions.action import RunPodJob
from lorapod.events.callback import signature
from lorapod.events.event_types import EventType
from lorapod.events.models import Event
from lorapod.events.port import Parcel
from lorapod.events.rabbitmq import RabbitMQSink
from lorapod.settings import Settings
from lorapod.testing.events import sample_event
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

GUIDES = Path(__file__).parents[3] / "docs/howto"


def programs(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (GUIDES / page).read_text(encoding="utf-8"), re.DOTALL)


async def test_the_consumer_prints_each_event_once(rabbitmq_server: RunningRabbitMQ, tmp_path: Path) -> None:
    (program,) = programs("rabbitmq.md")
    assert len([line for line in program.splitlines() if line.strip()]) <= 20
    path = tmp_path / "consumer.py"
    path.write_text(program)
    environment = {**os.environ, "RABBITMQ_URL": rabbitmq_server.url.get_secret_value()}
    consumer = await asyncio.create_subprocess_exec(
        sys.executable, str(path), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert consumer.stdout is not None
    try:

        def bound() -> bool:
            return "hartsy.training\texchange\twebsite" in rabbitmq_server.control("list_bindings")

        async with asyncio.timeout(60):
            while not await asyncio.to_thread(bound):  # noqa: ASYNC110 - another process does it
                await asyncio.sleep(0.1)
        sink = RabbitMQSink(rabbitmq_server.url, "hartsy.training")
        events = [sample_event(1, EventType.STARTED), sample_event(2), sample_event(2), sample_event(3)]
        await sink.deliver(Parcel(process_id=events[0].process_id, events=events))
        await sink.close()
        async with asyncio.timeout(20):
            lines = [(await consumer.stdout.readline()).decode().strip() for _ in range(3)]
    finally:
        consumer.terminate()
        await consumer.wait()
    assert lines == ["1 training.started None", "2 training.progress None", "3 training.progress None"]


def test_the_check_of_a_signature_takes_what_is_genuine_alone() -> None:
    module: dict[str, object] = {}
    exec(programs("other-transports.md")[0], module)  # noqa: S102 - the page's own program
    is_genuine = module["is_genuine"]
    assert callable(is_genuine)
    header = signature(SecretStr("secret of the endpoint"), b"{}")
    assert is_genuine(b"{}", header, "secret of the endpoint")
    assert not is_genuine(b"{ }", header, "secret of the endpoint")
    assert not is_genuine(b"{}", header, "another")


@pytest.fixture
def file_sink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the sink of the page writes; it can be imported."""
    program = programs("other-transports.md")[1]
    # The class itself, without its imports.
    assert len([line for line in program.partition("class FileSink")[2].splitlines() if line.strip()]) <= 30
    (tmp_path / "file_sink.py").write_text(program)
    target = tmp_path / "folder" / "events.jsonl"
    monkeypatch.setenv("EVENTS_FILE", str(target))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield target
    sys.modules.pop("file_sink", None)


async def test_the_sink_gets_every_event_even_where_it_could_not_write_at_first(
    file_sink: Path, tmp_path: Path
) -> None:
    settings = Settings(
        workspace_path=tmp_path / "workspace", event_sinks="file_sink:FileSink", disk_min_free_bytes=0
    )
    worker = Worker.create(settings, trainers=TrainerRegistry([ScriptTrainer()]))
    worker.start()
    event = {"id": "job", "input": {"type": "train", "config": {"steps": 3}, "wait": True}}
    answer = await worker.answer(event, RunPodJob(job_id="job"))
    assert answer["status"] == "completed"
    health = await worker.answer({"id": "job", "input": {"type": "health"}}, RunPodJob(job_id="job"))
    check = next(check for check in health["checks"] if check["name"] == "events:file")
    assert "the file cannot be written: No such file or directory" in check["detail"]
    file_sink.parent.mkdir()
    await eventually(lambda: file_sink.exists() and b"training.completed" in file_sink.read_bytes())
    await asyncio.to_thread(worker.close)
    content = await asyncio.to_thread(file_sink.read_bytes)
    told = [Event.model_validate_json(line) for line in content.splitlines()]
    kinds = [event.event_type for event in told if event.event_type is not EventType.PROGRESS]
    assert kinds == [EventType.STARTED, EventType.CHECKPOINT, EventType.COMPLETED]
