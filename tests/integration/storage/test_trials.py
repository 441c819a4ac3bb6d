"""Targets are tried before a training: with real workers, a real S3 server, and stand-ins for the rest."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hub import TOKEN, Repo, running_hub
from tests.servers.ports import free_port
from tests.servers.receiver import receiving
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.servers.supabase_storage import SERVICE_KEY, SupabaseStandIn, running_supabase
from tests.unit.events.courier_bench import eventually

from lorapod.actions.action import RunPodJob
from lorapod.settings import Settings
from lorapod.storage.mirror import artifact, trial
from lorapod.testing.trainer import ScriptTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.worker import Worker

# huggingface_hub calls its own HTTP library in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SUPABASE = {"supabase": {"bucket_name": "loras", "folder_path": "f"}}
HUB = {"huggingface": {"repo_id": "someone/cat-lora"}}
CALLBACK_TOKEN = "temporary-auth-token"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "DEBOUNCE_S", 0.2)


class Desk:
    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        return await self.worker.answer({"input": {"type": type_, **fields}}, RunPodJob(job_id="1"))

    async def train(self, upload: Any = None, *, name: str = "cat", **fields: Any) -> dict[str, Any]:
        named = {} if upload is None else {"upload": upload}
        config = {"name": name, "steps": 2, "step_s": 0}
        return await self.ask("train", **{"config": config, "wait": True, **named, **fields})

    def processes(self) -> list[str]:
        folder = self.worker.services.workspace.processes
        return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


@contextmanager
def working(root: Path, **settings: Any) -> Iterator[Desk]:
    chosen = Settings(
        workspace_path=root / "workspace",
        scratch_path=root / "scratch",
        disk_min_free_bytes=0,
        store_patience_s=0.2,
        upload_grace_s=20,
        shutdown_grace_s=5,
        **settings,
    )
    worker = Worker.create(chosen, trainers=TrainerRegistry([ScriptTrainer()]))
    worker.start()
    try:
        yield Desk(worker)
    finally:
        worker.close()


def of_supabase(url: str) -> dict[str, Any]:
    return {"supabase_url": url, "supabase_service_key": SERVICE_KEY}


def of_s3(server: RunningS3, **others: str) -> dict[str, Any]:
    return {
        "bucket_endpoint_url": server.url,
        "bucket_access_key_id": KEY_ID,
        "bucket_secret_access_key": SECRET_KEY,
        "bucket_name": BUCKET,
        **others,
    }


@pytest.fixture
def supabase() -> Iterator[SupabaseStandIn]:
    with running_supabase() as server:
        server.buckets["loras"] = {}
        yield server


@pytest.fixture
def desk(supabase: SupabaseStandIn, tmp_path: Path) -> Iterator[Desk]:
    with working(tmp_path, **of_supabase(supabase.url)) as desk:
        yield desk


@pytest.mark.parametrize(
    ("limits", "sentence", "hint"),
    [
        ({"buckets": {}}, "no Supabase bucket 'loras'", "Make it"),
        ({"file_size_limit": 3}, "does not accept a file of the size", "upload size limit"),
        ({"file_size_limit": 500_000}, "does not accept a file of the size", "upload size limit"),
        ({"refused_types": {"application/octet-stream"}}, "does not accept the content type", "MIME types"),
    ],
)
async def test_a_supabase_bucket_that_cannot_take_weights_is_refused_before_the_training(
    desk: Desk, supabase: SupabaseStandIn, limits: dict[str, Any], sentence: str, hint: str
) -> None:
    vars(supabase).update(limits)
    answer = await desk.train(SUPABASE)
    assert sentence in answer["error"]
    assert hint in answer["hint"]
    assert answer["details"][0]["field"] == "upload.supabase"
    rehearsed = await desk.train(SUPABASE, dry_run=True)
    assert not rehearsed["accepted"]
    assert sentence in rehearsed["refused"][0]["error"]
    assert desk.processes() == []


async def test_a_wrong_supabase_key_is_refused_before_the_training(
    supabase: SupabaseStandIn, tmp_path: Path
) -> None:
    wrong = {**of_supabase(supabase.url), "supabase_service_key": "wrong"}
    with working(tmp_path, **wrong) as desk:
        answer = await desk.train(SUPABASE)
        assert "refuses access" in answer["error"]
        assert desk.processes() == []


async def test_a_bucket_that_takes_weights_but_no_samples_is_a_warning(
    desk: Desk, supabase: SupabaseStandIn
) -> None:
    supabase.refused_types = {"image/jpeg"}
    answer = await desk.train(SUPABASE)
    assert answer["status"] == "completed"
    warned = [warning for warning in answer["warnings"] if "content type" in warning]
    assert len(warned) == 1
    assert "samples" in warned[0]


async def test_a_bucket_that_takes_only_small_files_is_a_warning(
    desk: Desk, supabase: SupabaseStandIn
) -> None:
    supabase.file_size_limit = 50 << 20
    answer = await desk.train(SUPABASE)
    assert answer["status"] == "completed"
    assert [warning for warning in answer["warnings"] if "256 MiB" in warning]
    assert supabase.uploads == {}


async def test_a_trial_leaves_nothing_behind(desk: Desk, supabase: SupabaseStandIn) -> None:
    rehearsed = await desk.train(SUPABASE, dry_run=True)
    assert rehearsed["accepted"]
    assert rehearsed["warnings"] == []
    assert any(method == "POST" for method, _ in supabase.requests)
    assert supabase.buckets == {"loras": {}}
    assert supabase.uploads == {}


@pytest.mark.parametrize(
    ("name", "root", "file"),
    [
        ("b\u00fccher #1", "bucher u231-", "bucher u231.safetensors"),
        ("\u732b", "u732b-", "u732b.safetensors"),
        ("\u72ac", "u72ac-", "u72ac.safetensors"),
    ],
)
async def test_a_name_that_supabase_does_not_take_is_mapped_and_reported(
    desk: Desk, supabase: SupabaseStandIn, name: str, root: str, file: str
) -> None:
    answer = await desk.train(SUPABASE, name=name)
    assert answer["status"] == "completed"
    uploads = answer["uploads"]
    assert (uploads["failed"], uploads["pending"]) == ([], 0)
    mapped = uploads["targets"][0]["root"]
    assert mapped.startswith(root)
    assert f"f/{mapped}/checkpoints/{file}" in supabase.buckets["loras"]
    assert [warning for warning in answer["warnings"] if name in warning and mapped in warning]


async def test_two_names_that_look_alike_stay_apart(desk: Desk) -> None:
    roots = [
        (await desk.train(SUPABASE, name=name))["uploads"]["targets"][0]["root"]
        for name in ("b\u00fccher", "bucher", "buch\u00e9r")
    ]
    assert roots[1] == "bucher"
    assert len(set(roots)) == 3


async def test_a_folder_that_supabase_does_not_take_is_refused_before_the_training(desk: Desk) -> None:
    answer = await desk.train({"supabase": {"bucket_name": "loras", "folder_path": "b\u00fccher"}})
    assert "does not accept the name" in answer["error"]
    assert desk.processes() == []


async def test_a_key_that_would_be_too_long_is_refused_before_the_training(desk: Desk) -> None:
    answer = await desk.train({"supabase": {"bucket_name": "loras", "folder_path": "f" * 1000}})
    assert "does not accept the name" in answer["error"]
    assert "1,024" in answer["hint"]
    assert desk.processes() == []


async def test_the_endpoints_own_targets_are_tried_too(supabase: SupabaseStandIn, tmp_path: Path) -> None:
    del supabase.buckets["loras"]
    with working(tmp_path, upload_targets=SUPABASE, **of_supabase(supabase.url)) as desk:
        assert "no Supabase bucket" in (await desk.train())["error"]
        supabase.buckets["loras"] = {}
        answer = await desk.train(name="b\u00fccher")
        assert answer["status"] == "completed"
        root = answer["uploads"]["targets"][0]["root"]
        assert root.startswith(f"{answer['process_id']}/bucher-")
        assert any(key.startswith(f"f/{root}/") for key in supabase.buckets["loras"])


async def test_a_resumed_training_is_tried_again(desk: Desk, supabase: SupabaseStandIn) -> None:
    config = {"name": "cat", "steps": 100_000, "step_s": 0.02}
    started = await desk.ask("train", config=config, upload=SUPABASE, wait=False)
    process_id = started["process_id"]
    await desk.ask("cancel", process_id=process_id)
    await eventually(lambda: desk.worker.services.processes.get(process_id).status.unfinished)
    supabase.buckets.clear()
    answer = await desk.ask("resume", process_id=process_id, wait=False)
    assert "no Supabase bucket" in answer["error"]


async def test_an_s3_bucket_that_refuses_is_found_before_the_training(
    tmp_path: Path, s3_server: RunningS3
) -> None:
    with working(tmp_path, **of_s3(s3_server, bucket_secret_access_key="wrong")) as desk:
        answer = await desk.train({"s3": {"prefix": "trials"}})
        assert "refuses access" in answer["error"]
        assert answer["details"][0]["field"] == "upload.s3"
        assert desk.processes() == []


async def test_a_trial_leaves_nothing_in_a_bucket(tmp_path: Path, s3_server: RunningS3) -> None:
    prefix = f"trial-{tmp_path.name}"
    with working(tmp_path, **of_s3(s3_server)) as desk:
        assert (await desk.train({"s3": {"prefix": prefix}}, dry_run=True))["accepted"]
    with closing(s3_server.client()) as client:
        assert client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"] == 0


async def test_a_store_that_is_away_delays_and_warns_but_refuses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TRIAL_S", 1.0)
    settings = {
        **of_supabase(f"http://127.0.0.1:{free_port()}"),
        "bucket_endpoint_url": f"http://127.0.0.1:{free_port()}",
        "bucket_access_key_id": KEY_ID,
        "bucket_secret_access_key": SECRET_KEY,
        "bucket_name": BUCKET,
    }
    with working(tmp_path, **settings) as desk:
        answer = await desk.train({**SUPABASE, "s3": {"prefix": "p"}}, wait=False)
        assert answer["process_id"]
        warned = " ".join(answer["warnings"])
        assert "upload.supabase" in warned
        assert "upload.s3" in warned


@pytest.mark.timeout(40)
async def test_a_store_that_never_answers_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "TRIAL_S", 0.5)
    # The kernel takes the connection, and nothing ever answers: the client itself would wait for a minute.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with working(tmp_path, **of_supabase(url)) as desk:
            answer = await desk.train(SUPABASE, dry_run=True)
            assert answer["accepted"]
            assert "did not answer within 0.5 s" in answer["warnings"][0]


@pytest.mark.parametrize("known", ["known", "new"])
@pytest.mark.parametrize(
    ("fault", "sentence"),
    [("read_only", "refuses access"), ("full", "has no room"), ("stranger", "refuses access")],
)
async def test_a_repository_that_cannot_be_written_is_refused_before_the_training(
    tmp_path: Path, fault: str, sentence: str, known: str
) -> None:
    with running_hub() as server:
        if known == "known":
            server.repos["someone/cat-lora"] = Repo(private=True)
        setattr(server, fault, True)
        with working(tmp_path, hf_endpoint=server.url, hf_token=TOKEN) as desk:
            answer = await desk.train(HUB)
            assert sentence in answer["error"]
            assert answer["details"][0]["field"] == "upload.huggingface"
            assert desk.processes() == []


async def test_the_trial_of_a_repository_is_no_commit(tmp_path: Path) -> None:
    with running_hub() as server, working(tmp_path, hf_endpoint=server.url, hf_token=TOKEN) as desk:
        assert (await desk.train(HUB, dry_run=True))["accepted"]
        assert server.repos == {}
        server.repos["someone/cat-lora"] = Repo(private=True)
        assert (await desk.train(HUB, dry_run=True))["accepted"]
        assert server.repos["someone/cat-lora"].messages == []
        assert server.preuploads == 1


async def test_a_folder_that_cannot_be_written_is_refused_before_the_training(tmp_path: Path) -> None:
    with working(tmp_path) as desk:
        (tmp_path / "workspace" / "shared").write_bytes(b"a file where the folder should be")
        answer = await desk.train({"local": {"path": "shared"}})
        assert "cannot be written" in answer["error"]
        assert desk.processes() == []


async def test_every_target_that_refuses_is_named(
    desk: Desk, supabase: SupabaseStandIn, tmp_path: Path
) -> None:
    supabase.buckets.clear()
    (tmp_path / "workspace" / "shared").write_bytes(b"a file")
    answer = await desk.train({**SUPABASE, "local": {"path": "shared"}})
    assert {detail["field"] for detail in answer["details"]} == {"upload.supabase", "upload.local"}


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_callback_that_refuses_is_a_warning(tmp_path: Path, status: int) -> None:
    async with receiving() as receiver:
        receiver.head = status
        with working(tmp_path, allow_private_urls=True) as desk:
            answer = await desk.train(callback_url=receiver.url, callback_token=CALLBACK_TOKEN, dry_run=True)
        assert answer["accepted"]
        assert str(status) in answer["warnings"][0]
        assert "callback" in answer["warnings"][0]
        assert [looked.headers["Authorization"] for looked in receiver.looks] == [f"Bearer {CALLBACK_TOKEN}"]
        assert receiver.posted == []
        assert CALLBACK_TOKEN not in str(answer)


async def test_a_callback_that_answers_is_no_warning(tmp_path: Path) -> None:
    async with receiving() as receiver:
        with working(tmp_path, allow_private_urls=True) as desk:
            answer = await desk.train(callback_url=receiver.url, dry_run=True)
        assert answer["warnings"] == []
        assert len(receiver.looks) == 1


async def test_a_callback_that_cannot_be_reached_is_a_warning(tmp_path: Path) -> None:
    with working(tmp_path, allow_private_urls=True) as desk:
        for url in (f"http://127.0.0.1:{free_port()}/hook", "https://no-such-host.invalid/hook"):
            answer = await desk.train(callback_url=url, dry_run=True)
            assert answer["accepted"]
            assert "cannot be reached" in answer["warnings"][0]


async def test_a_callback_whose_host_is_private_is_refused_before_the_training(tmp_path: Path) -> None:
    with working(tmp_path) as desk:
        answer = await desk.train(callback_url="http://localhost:1/hook")
        assert answer["code"] == "unsafe_url"
        assert desk.processes() == []
