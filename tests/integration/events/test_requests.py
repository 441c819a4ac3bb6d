"""From a request to what its caller hears."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from pydantic import SecretStr
from tests.servers.consumer import Consumer
from tests.servers.http_thread import serving
from tests.servers.rabbitmq import RunningRabbitMQ
from tests.servers.receiver import Receiver, receiving
from tests.unit.datasets.library_bench import packed, picture
from tests.unit.events.courier_bench import eventually

from lorapod.actions.action import RunPodJob
from lorapod.actions.callbacks import wanted_callback
from lorapod.events import lane
from lorapod.processes.order import Accepted
from lorapod.processes.stopping import StopReason, StopRequest
from lorapod.settings import Settings
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

TOKEN = "temporary-auth-token"
BEARER = f"Bearer {TOKEN}"

Ask = Callable[..., Any]


class Desk:
    """A worker, and whoever asks it."""

    def __init__(self, root: Path, **settings: Any) -> None:
        chosen = Settings(
            workspace_path=root / "workspace",
            scratch_path=root / "scratch",
            disk_min_free_bytes=0,
            **{"allow_private_urls": True, **settings},
        )
        self.worker = Worker.create(chosen, trainers=TrainerRegistry([ScriptTrainer()]))
        self.worker.start()

    async def ask(self, **fields: Any) -> dict[str, Any]:
        return await self.worker.answer({"id": "job", "input": fields}, RunPodJob(job_id="job"))

    async def close(self) -> None:
        await asyncio.to_thread(self.worker.close)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "FIRST_WAIT_S", 0.1)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def dataset_url() -> Iterator[str]:
    content = packed({f"{number}.png": picture(size=(64 + number, 64)) for number in range(3)})

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=content)

    def app() -> web.Application:
        built = web.Application()
        built.router.add_get("/dataset.zip", answer)
        return built

    with serving(app) as port:
        yield f"http://127.0.0.1:{port}/dataset.zip"


def kinds(receiver: Receiver) -> list[str]:
    names = [posted.event["event_type"].removeprefix("training.") for posted in receiver.posted]
    return [name for name in names if name != "progress"]


async def test_a_callback_hears_of_the_training(desk: Desk, receiver: Receiver) -> None:
    answer = await desk.ask(
        type="train",
        config={"steps": 3},
        job_id="12345",
        callback_url=receiver.url,
        callback_token=TOKEN,
        wait=True,
    )
    assert answer["status"] == "completed"
    await eventually(lambda: kinds(receiver) == ["started", "checkpoint", "completed"])
    assert {posted.headers["Authorization"] for posted in receiver.posted} == {BEARER}
    assert {posted.event["job_id"] for posted in receiver.posted} == {"12345"}


async def test_a_resume_keeps_the_callback_or_gets_another(desk: Desk, receiver: Receiver) -> None:
    asked = {"callback_url": receiver.url, "callback_token": TOKEN}
    started = await desk.ask(type="train", config={"steps": 1000, "save_every": 5}, **asked)
    await eventually(lambda: "checkpoint" in kinds(receiver))
    process_id = started["process_id"]
    for resume in ({}, {"callback_url": f"{receiver.url}/new", "callback_token": "another-token"}):
        await desk.ask(type="cancel", process_id=process_id)
        await eventually(lambda: kinds(receiver)[-1] == "cancelled")
        receiver.posted.clear()
        answer = await desk.ask(type="resume", process_id=process_id, **resume)
        assert "error" not in answer
        await eventually(lambda: kinds(receiver)[:1] == ["started"])
        assert receiver.posted[0].headers["Authorization"] == ("Bearer another-token" if resume else BEARER)
        assert receiver.posted[0].path == ("/events/new" if resume else "/events")
    await desk.ask(type="cancel", process_id=process_id)


async def test_a_job_that_comes_again_before_its_process_is_called_interrupted_brings_the_token_along(
    desk: Desk, receiver: Receiver
) -> None:
    services = desk.worker.services
    started = await desk.ask(type="train", config={"steps": 300, "save_every": 5}, callback_url=receiver.url)
    await eventually(lambda: "checkpoint" in kinds(receiver))
    record = services.processes.get(started["process_id"])
    again = asyncio.create_task(
        services.answers.answer(
            Accepted(record=record, retried=True),
            None,
            RunPodJob(job_id="job"),
            wait=True,
            callback=wanted_callback(
                receiver.url, SecretStr(TOKEN), settings=services.settings, courier=services.courier
            ),
        )
    )
    # As when its worker had died.
    stop = StopRequest(reason=StopReason.SHUTDOWN, save=True, grace_s=5)
    services.processes.supervisors[record.process_id].stop(stop)
    assert (await again).model_dump()["status"] == "completed"
    await eventually(lambda: "completed" in kinds(receiver))
    (begun,) = [posted for posted in receiver.posted if posted.event["data"].get("run") == 2]
    assert begun.headers["Authorization"] == BEARER


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"callback_url": "http://169.254.169.254/latest/meta-data"}, "unsafe_url"),
        ({"callback_url": "ftp://example.com/"}, "unsafe_url"),
        ({"callback_url": "http://10.0.0.1/hook"}, "unsafe_url"),
        ({"callback_token": TOKEN}, "invalid_input"),
    ],
)
async def test_a_callback_that_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, fields: dict[str, str], code: str
) -> None:
    desk = Desk(tmp_path, allow_private_urls=False)
    answer = await desk.ask(type="train", config={"steps": 3}, **fields)
    assert answer["code"] == code
    assert TOKEN not in str(answer)
    assert (await desk.ask(type="processes"))["count"] == 0
    await desk.close()


async def test_the_payload_of_a_single_purpose_handler_is_told_of_on_both_ways(
    tmp_path: Path, receiver: Receiver, rabbitmq_server: RunningRabbitMQ, dataset_url: str
) -> None:
    exchange = f"events-{secrets.token_hex(4)}"
    consumer = Consumer(rabbitmq_server, exchange)
    desk = Desk(
        tmp_path,
        rabbitmq_url=rabbitmq_server.url,
        rabbitmq_exchange=exchange,
        callback_path="/api/training/events",
        callback_secret=SecretStr("secret of the endpoint"),
    )
    answer = await desk.ask(
        internal_job_id="12345",
        config=yaml.safe_dump({"steps": 5, "name": "my-model"}),
        dataset_urls=[dataset_url],
        callback_base_url=f"http://127.0.0.1:{receiver.port}/",
        callback_token=TOKEN,
    )
    assert answer["success"] is True, answer
    await desk.close()
    bodies = await asyncio.to_thread(consumer.drain)
    assert {body["job_id"] for body in bodies} == {"12345"}
    assert [posted.event["event_id"] for posted in receiver.posted] == [body["event_id"] for body in bodies]
    assert {posted.path for posted in receiver.posted} == {"/api/training/events"}
    assert all(
        posted.headers["Authorization"] == BEARER and "X-Signature-256" in posted.headers
        for posted in receiver.posted
    )
    first, last = bodies[0], bodies[-1]
    session = answer["session_id"]
    assert first["data"]["config_path"] == f"{session}/config.yaml"
    assert (last["event_type"], last["data"]["progress"]) == ("training.completed", 100)
    assert f"{session}/output/my-model/my-model.safetensors" in last["data"]["artifacts"]


async def test_without_a_path_a_site_alone_is_no_callback(
    desk: Desk, receiver: Receiver, dataset_url: str
) -> None:
    answer = await desk.ask(
        internal_job_id="12345",
        config=yaml.safe_dump({"steps": 2}),
        dataset_urls=[dataset_url],
        callback_base_url=f"http://127.0.0.1:{receiver.port}",
        callback_token=TOKEN,
    )
    assert answer["success"] is True, answer
    assert receiver.posted == []
