"""What single-purpose handlers are sent, through the real SDK loop and the local endpoint; only the trainer is a script."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from tests.error_log import error_log
from tests.integration.endpoint_caller import Caller, eventually
from tests.integration.processes.test_uploads import in_bucket
from tests.servers.http_thread import serving
from tests.servers.receiver import receiving
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.servers.supabase_storage import SERVICE_KEY, Held, SupabaseStandIn, running_supabase
from tests.unit.datasets.library_bench import packed, picture

import handler
from lorapod.endpoint import EndpointConfig, LocalEndpoint
from lorapod.sessions import PREFIX
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

ROOT = Path(__file__).parents[2]
SINGLE_PURPOSE = ROOT / "tests/integration/single_purpose_worker.py"
GENERAL = ROOT / "tests/integration/script_worker.py"
SESSION = re.compile(rf"{PREFIX}\d+(_\d+)?")
PICTURES = {f"cats/{number}.png": picture(size=(64 + number, 64)) for number in range(3)}
CAPTIONS = {f"cats/{number}.txt": f"cat {number}".encode() for number in range(3)}


@pytest.fixture(scope="module")
def dataset_url() -> Iterator[str]:
    """A signed address of a zip, whose path says nothing of what it is."""
    content = packed(PICTURES | CAPTIONS)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=content) if request.query.get("signature") else web.HTTPForbidden()

    def app() -> web.Application:
        built = web.Application()
        built.router.add_get("/downloads/dataset", answer)
        return built

    with serving(app) as port:
        yield f"http://127.0.0.1:{port}/downloads/dataset?signature=abc"


@pytest.fixture
def supabase() -> Iterator[SupabaseStandIn]:
    with running_supabase() as server:
        server.buckets = {"training-datasets": {}, "training-outputs": {}}
        for name, content in (PICTURES | CAPTIONS).items():
            server.buckets["training-datasets"][name.replace("cats", "my-dataset-folder")] = Held(
                content, "application/octet-stream", {}
            )
        yield server


class Volume:
    """A volume, and an endpoint of one worker on it."""

    def __init__(self, root: Path, endpoint: LocalEndpoint, caller: Caller) -> None:
        self.root = root
        self.endpoint = endpoint
        self.caller = caller

    async def send(self, job_input: Any) -> str:
        status, answer = await self.caller.call("POST", "/run", {"input": job_input})
        assert status == 200, answer
        return str(answer["id"])

    async def end(self, job_input: Any) -> dict[str, Any]:
        """The whole status of a job that has ended."""
        job_id = await self.send(job_input)

        async def over() -> Any:
            answer = await self.caller.status(job_id)
            return answer if answer["status"] in {"COMPLETED", "FAILED"} else None

        return dict(await eventually(over, f"job {job_id} ends"))

    async def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        answer = await self.end({"type": kind, **fields})
        assert answer["status"] == "COMPLETED", answer
        return dict(answer["output"])

    async def process_of(self, job_id: str) -> str:
        async def update() -> Any:
            output = (await self.caller.status(job_id)).get("output") or {}
            return output.get("process_id")

        return str(await eventually(update, "a progress update"))

    async def until_training(self, process_id: str, step: int = 5) -> dict[str, Any]:
        async def reached() -> Any:
            now = await self.ask("process_status", process_id=process_id)
            return now if now["progress"]["step"] > step else None

        return dict(await eventually(reached, f"{process_id} trains"))

    def sessions(self, parent: str = "") -> list[str]:
        return sorted(path.name for path in (self.root / parent).glob(f"{PREFIX}*"))

    def files(self, folder: str) -> set[str]:
        return {
            path.relative_to(self.root / folder).as_posix()
            for path in (self.root / folder).rglob("*")
            if path.is_file()
        }


def serve(root: Path, command: Path, **changes: Any) -> LocalEndpoint:
    environment = {
        "NETWORK_VOLUME_PATH": str(root),
        "ALLOW_PRIVATE_URLS": "true",
        "LEASE_S": "3",
        "PROGRESS_INTERVAL_S": "0.5",
        "DISK_MIN_FREE_BYTES": "0",
        "CANCEL_GRACE_S": "5",
        "PYTHONPATH": f"{ROOT / 'Backend'}:{ROOT / 'SimpleBackend'}",
        **changes.pop("environment", {}),
    }
    config = {"command": [sys.executable, str(command)], "environment": environment, "ping_interval_s": 1}
    return LocalEndpoint(EndpointConfig(**{**config, "workers": 1, **changes}))


@pytest.fixture(params=[SINGLE_PURPOSE, GENERAL], ids=["single-purpose", "general"])
async def volume(
    request: pytest.FixtureRequest, tmp_path: Path, supabase: SupabaseStandIn
) -> AsyncIterator[Volume]:
    root = tmp_path / "volume"
    environment = {"SUPABASE_URL": supabase.url, "SUPABASE_SERVICE_KEY": SERVICE_KEY}
    async with (
        serve(root, request.param, environment=environment) as endpoint,
        Caller(endpoint.url) as caller,
    ):
        yield Volume(root, endpoint, caller)


@pytest.fixture
async def single(tmp_path: Path) -> AsyncIterator[Volume]:
    """Without Supabase's variables; what the worker writes stands in `volume.log`."""
    root = tmp_path / "volume"
    async with (
        serve(root, SINGLE_PURPOSE, log_folder=error_log.watch(tmp_path / "logs")) as endpoint,
        Caller(endpoint.url) as caller,
    ):
        yield Volume(root, endpoint, caller)


def from_urls(url: str, **config: Any) -> dict[str, Any]:
    return {
        "internal_job_id": "12345",
        "config": yaml.safe_dump({"name": "hartsy-dreambooth", "steps": 4, **config}),
        "dataset_urls": [url, "https://example.invalid/the-second-does-not-count.zip"],
    }


def from_supabase(**config: Any) -> dict[str, Any]:
    return {
        "config": yaml.safe_dump({"name": "my_model", "steps": 4, **config}),
        "dataset_config": {"bucket_name": "training-datasets", "folder_path": "my-dataset-folder"},
        "upload_config": {"bucket_name": "training-outputs", "folder_path": "training-session-123456"},
    }


async def test_a_zip_is_trained_on_in_a_session_of_the_volume(volume: Volume, dataset_url: str) -> None:
    answer = await volume.end(from_urls(dataset_url))
    assert answer["status"] == "COMPLETED", answer
    output = answer["output"]
    (session,) = volume.sessions()
    assert SESSION.fullmatch(session)
    assert output == {
        "success": True,
        "message": "Training completed successfully",
        "session_id": session,
        "model_name": "hartsy-dreambooth",
        "job_id": "12345",
        "images_downloaded": 3,
        "files_uploaded": len(volume.files(f"{session}/output")),
    }
    assert {"config.yaml", "output/hartsy-dreambooth/hartsy-dreambooth.safetensors"} <= volume.files(session)
    assert volume.files(f"{session}/dataset") == {
        name.removeprefix("cats/") for name in (PICTURES | CAPTIONS)
    }
    written = yaml.safe_load((volume.root / session / "config.yaml").read_text())
    assert written["run_folder"] == str(volume.root / session / "output" / "hartsy-dreambooth")


async def test_supabase_to_supabase(volume: Volume, supabase: SupabaseStandIn) -> None:
    answer = await volume.end(from_supabase(save_every=2))
    assert answer["status"] == "COMPLETED", answer
    (session,) = volume.sessions("training")
    assert answer["output"] == {
        "success": True,
        "message": "Training completed successfully",
        "session_id": session,
        "model_name": "my_model",
        "upload_folder": "training-session-123456",
        "output_path": str(volume.root / "training" / session / "output"),
    }
    root = "training-session-123456/my_model"
    assert supabase.buckets["training-outputs"].keys() == {
        f"{root}/checkpoints/my_model.safetensors",
        f"{root}/checkpoints/my_model_000000002.safetensors",
        f"{root}/checkpoints/my_model_000000004.safetensors",
        f"{root}/logs/training.log",
    }
    assert volume.files(f"training/{session}/dataset") == {
        name.removeprefix("cats/") for name in (PICTURES | CAPTIONS)
    }


async def test_checkpoints_are_sent_while_it_trains(volume: Volume, supabase: SupabaseStandIn) -> None:
    job_id = await volume.send(from_supabase(steps=5000, save_every=50))
    results = supabase.buckets["training-outputs"]
    first = "training-session-123456/my_model/checkpoints/my_model_000000050.safetensors"
    await eventually(lambda: first in results, "a checkpoint lies in the bucket")
    assert (await volume.caller.status(job_id))["status"] == "IN_PROGRESS"
    await volume.caller.call("POST", f"/cancel/{job_id}")
    assert not [key for key in results if key.endswith("config.yaml")]


async def test_a_training_that_fails_is_told_in_the_same_shape(volume: Volume, dataset_url: str) -> None:
    answer = await volume.end(from_urls(dataset_url, behaviour="crash"))
    assert answer["status"] == "FAILED"
    assert answer["error"] == "Error running job: something broke"
    assert answer["output"] == {"success": False, "session_id": volume.sessions()[0], "job_id": "12345"}


async def test_what_cannot_begin_leaves_nothing_behind(volume: Volume, dataset_url: str) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"config": "a: [1"}, "not valid YAML"),
        ({"config": {"steps": "many"}}, "config.steps"),
        ({"dataset_urls": []}, "dataset_urls"),
        ({"dataset_urls": ["ftp://example.com/a.zip"]}, "ftp"),
        ({"colour": "red"}, "colour: unknown field"),
    ]
    answers = await asyncio.gather(
        *(volume.end(from_urls(dataset_url) | changes) for changes, _told in refused)
    )
    for answer, (_changes, told) in zip(answers, refused, strict=True):
        assert answer["status"] == "FAILED"
        assert told in answer["error"]
        assert answer["output"] == {"success": False, "session_id": None, "job_id": "12345"}
    assert volume.sessions() == []


async def test_two_jobs_in_one_second_have_a_session_each(volume: Volume, dataset_url: str) -> None:
    answers = await asyncio.gather(*(volume.end(from_urls(dataset_url)) for _ in range(3)))
    sessions = [answer["output"]["session_id"] for answer in answers]
    assert sorted(sessions) == volume.sessions()
    assert len(set(sessions)) == 3
    for session in sessions:
        assert volume.files(f"{session}/dataset") == {
            name.removeprefix("cats/") for name in (PICTURES | CAPTIONS)
        }


async def test_cancelling_the_job_stops_the_training_with_a_checkpoint(
    volume: Volume, dataset_url: str
) -> None:
    job_id = await volume.send(from_urls(dataset_url, steps=5000))
    process_id = await volume.process_of(job_id)
    await volume.until_training(process_id)
    await volume.caller.call("POST", f"/cancel/{job_id}")

    async def cancelled() -> Any:
        now = await volume.ask("process_status", process_id=process_id)
        return now if now["status"] == "cancelled" else None

    end = await eventually(cancelled, "the training is cancelled")
    (session,) = volume.sessions()
    assert end["output_path"] == f"{session}/output"
    assert end["config_path"] == f"{session}/config.yaml"
    assert [Path(checkpoint["path"]).parent.as_posix() for checkpoint in end["checkpoints"]] == [
        f"{session}/output/hartsy-dreambooth"
    ]
    assert (await volume.ask("lora", process_id=process_id))["models"] == []


async def test_actions_find_what_lies_in_a_session(volume: Volume, dataset_url: str) -> None:
    job_id = await volume.send(from_urls(dataset_url, save_every=2, steps=100))
    process_id = await volume.process_of(job_id)
    await volume.caller.until(job_id, "COMPLETED")
    (session,) = volume.sessions()
    part = await volume.ask("download", process_id=process_id)
    assert part["file_path"] == f"{session}/output/hartsy-dreambooth/hartsy-dreambooth.safetensors"
    zipped = await volume.ask("bulk_download", process_ids=[process_id])
    assert zipped["file_count"] >= 4
    listed = await volume.ask("list_files", path=f"{session}/dataset")
    assert len(listed["files"]) == 6
    refused = await volume.end({"type": "resume", "process_id": process_id})
    assert refused["output"]["code"] == "conflict"


async def test_comfyui_sees_what_was_trained_in_a_session_at_once(tmp_path: Path, dataset_url: str) -> None:
    root, comfyui = tmp_path / "volume", tmp_path / "comfyui"
    async with (
        serve(root, SINGLE_PURPOSE, environment={"COMFYUI_PATH": str(comfyui)}) as endpoint,
        Caller(endpoint.url) as caller,
    ):
        answer = await Volume(root, endpoint, caller).end(from_urls(dataset_url))
        assert answer["status"] == "COMPLETED", answer
        session = answer["output"]["session_id"]
        place = comfyui / "models/loras" / session / "hartsy-dreambooth/hartsy-dreambooth.safetensors"
        assert place.samefile(root / session / "output/hartsy-dreambooth/hartsy-dreambooth.safetensors")


async def test_a_killed_workers_training_goes_on_in_its_session_and_tells_its_site(
    tmp_path: Path, dataset_url: str
) -> None:
    root = tmp_path / "volume"
    async with (
        receiving() as site,
        serve(root, SINGLE_PURPOSE, workers=2, environment={"CALLBACK_PATH": "/events"}) as endpoint,
        Caller(endpoint.url) as caller,
    ):
        volume = Volume(root, endpoint, caller)
        told = {"callback_base_url": f"http://127.0.0.1:{site.port}/", "callback_token": "temporary-token"}
        job_id = await volume.send(from_urls(dataset_url, steps=400, save_every=20) | told)
        process_id = await volume.process_of(job_id)
        status = await volume.until_training(process_id, 30)
        (holder,) = [each.pid for each in endpoint.workers if each.worker_id == status["worker_id"]]
        assert holder is not None
        os.kill(holder, signal.SIGKILL)
        answer = await caller.until(job_id, "COMPLETED")
        assert answer["output"]["success"] is True
        assert volume.sessions() == [answer["output"]["session_id"]]
        end = await volume.ask("process_status", process_id=process_id)
        assert end["worker_id"] != status["worker_id"]
        assert end["resumed_from_step"] >= 20

        def completed() -> bool:
            return any(posted.event["event_type"] == "training.completed" for posted in site.posted)

        # The token lies on no disk: the second worker knows it from the job, which it got as well.
        await eventually(completed, "the site hears of the end")
        assert {posted.path for posted in site.posted} == {"/events"}
        assert {posted.headers["Authorization"] for posted in site.posted} == {"Bearer temporary-token"}
        kinds = [posted.event["event_type"] for posted in site.posted]
        assert "training.interrupted" in kinds
        assert kinds.count("training.started") == 2


async def test_a_stopped_worker_says_how_to_go_on(single: Volume, dataset_url: str) -> None:
    job_id = await single.send(from_urls(dataset_url, steps=5000, save_every=20))
    process_id = await single.process_of(job_id)
    await single.until_training(process_id)
    (worker,) = single.endpoint.workers
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)
    answer = await single.caller.until(job_id, "FAILED")
    assert answer["error"] == (
        "The training was interrupted: its worker was stopped. "
        f'Send {{"type": "resume", "process_id": "{process_id}"}} to continue from its last checkpoint.'
    )
    assert answer["output"] == {"success": False, "session_id": single.sessions()[0], "job_id": "12345"}


async def test_without_supabases_variables_nothing_begins(single: Volume) -> None:
    answer = await single.end(from_supabase())
    assert answer["status"] == "FAILED"
    assert "SUPABASE_URL" in answer["error"]
    assert "SUPABASE_SERVICE_KEY" in answer["error"]
    assert answer["output"] == {"success": False, "session_id": None, "job_id": None}
    assert single.sessions("training") == []


async def test_an_input_of_no_form_is_a_training_that_lacks_something(single: Volume) -> None:
    for job_input in ({"config": "name: a"}, {"anything": 1}):
        answer = await single.end(job_input)
        assert answer["status"] == "FAILED"
        assert "dataset_urls: is required" in answer["error"]
        assert answer["output"]["success"] is False


async def test_what_the_trainer_says_is_on_the_workers_own_output(
    single: Volume, dataset_url: str, tmp_path: Path
) -> None:
    await single.end(from_urls(dataset_url))
    shown = "".join(path.read_text() for path in (tmp_path / "logs").rglob("*") if path.is_file())
    lines = [line for line in shown.splitlines() if line.startswith("train_")]
    assert any("hartsy-dreambooth: 4/4 loss" in line for line in lines), shown
    assert any("fetching: 1 of 1 files" in line for line in lines)


async def test_many_words_of_a_caller_do_not_reach_the_answer_as_traceback(single: Volume) -> None:
    answer = await single.end({"config": ["x"] * 100, "dataset_urls": {"a": 1}, "internal_job_id": {"b": 2}})
    assert "Traceback" not in json.dumps(answer)
    assert answer["output"] == {"success": False, "session_id": None, "job_id": None}


@pytest.fixture
def local_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The handler in this process, as somebody tries it on a machine of his own."""
    monkeypatch.setenv("NETWORK_VOLUME_PATH", str(tmp_path / "volume"))
    monkeypatch.setenv("WORKSPACE_PATH", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "true")
    monkeypatch.setenv("DISK_MIN_FREE_BYTES", "0")
    monkeypatch.setenv("STREAM_TRAINER_LOG", "false")
    built = Worker.create(handler.settings(), trainers=TrainerRegistry([ScriptTrainer()]))
    built.start()
    monkeypatch.setattr(handler, "worker", lambda: built)
    yield
    built.close()


@pytest.mark.usefixtures("local_handler")
def test_the_plain_function_answers_when_the_training_has_ended(dataset_url: str, tmp_path: Path) -> None:
    answer = handler.handler({"id": "job-1", "input": from_urls(dataset_url)})
    assert answer["success"] is True
    assert (tmp_path / "volume" / answer["session_id"] / "output").is_dir()
    assert not (tmp_path / "elsewhere").exists()
    failed = handler.handler({"id": "job-2", "input": from_urls(dataset_url, behaviour="crash")})
    assert (failed["success"], failed["error"]) == (False, "Error running job: something broke")


@pytest.mark.usefixtures("local_handler")
async def test_the_plain_function_works_where_a_loop_runs_already(dataset_url: str) -> None:
    assert handler.handler({"input": from_urls(dataset_url)})["success"] is True
    assert handler.handler(None)["success"] is False


@pytest.mark.usefixtures("local_handler")
async def test_an_input_may_be_json_text(dataset_url: str) -> None:
    answer = await handler.async_handler({"id": "job-1", "input": json.dumps(from_urls(dataset_url))})

    assert answer["success"] is True, answer


@pytest.mark.usefixtures("local_handler")
async def test_a_job_may_bring_its_own_bucket(s3_server: RunningS3, tmp_path: Path) -> None:
    prefix = f"own-{tmp_path.name}"
    s3_server.put(f"{prefix}/pictures/a.png", picture(size=(300, 300)))
    fields = {
        "type": "train",
        "config": {"name": "cat", "steps": 2},
        "dataset": {"s3": {"prefix": f"{prefix}/pictures"}},
        "upload": {"s3": {"prefix": f"{prefix}/loras"}},
        "wait": True,
    }
    own = {
        "endpointUrl": s3_server.url,
        "accessId": KEY_ID,
        "accessSecret": SECRET_KEY,
        "bucketName": BUCKET,
    }
    answer = await handler.async_handler({"id": "job-1", "input": fields, "s3Config": own})
    assert answer.get("status") == "completed", answer
    sent = in_bucket(s3_server, f"{prefix}/loras/")
    assert any(name.endswith("cat.safetensors") for name in sent)
    wrong = await handler.async_handler({"input": from_urls("https://example.com/a.zip"), "s3Config": "mine"})
    assert "s3Config" in wrong["error"]


def test_the_trainers_words_are_shown_unless_somebody_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAM_TRAINER_LOG", raising=False)
    assert handler.settings().stream_trainer_log is True
    monkeypatch.setenv("STREAM_TRAINER_LOG", "false")
    assert handler.settings().stream_trainer_log is False
