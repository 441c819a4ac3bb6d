"""A worker of this version on a workspace that an earlier one wrote: `scripts/keep_workspace.py` wrote those that are kept."""

from __future__ import annotations

import asyncio
import json
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.servers.consumer import Consumer
from tests.servers.rabbitmq import RunningRabbitMQ
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from tests.tiny_models import ENVIRONMENT, place_tiny

from lorapod import work_marker
from lorapod.actions.action import RunPodJob
from lorapod.events import courier, lane
from lorapod.settings import Settings
from lorapod.storage.mirror import artifact, mirror, mirrors
from lorapod.worker import Worker

KEPT = Path(__file__).parents[1] / "data" / "workspaces"
ARCHIVES = sorted(path.name.removesuffix(".tar.gz") for path in KEPT.glob("*.tar.gz"))
SOON_S = 90.0
LEASE_S = 3.0

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.timeout(240),
]


@dataclass(kw_only=True)
class Upgraded:
    """A worker of today on a workspace of then."""

    version: str
    root: Path
    processes: Mapping[str, str]
    worker: Worker
    runner: asyncio.Runner
    consumer: Consumer

    def ask(self, kind: str, **fields: Any) -> dict[str, Any]:
        event = {"id": "job", "input": {"type": kind, **fields}}
        return self.runner.run(self.worker.answer(event, RunPodJob(job_id="job")))

    def status(self, name: str) -> dict[str, Any]:
        return self.ask("process_status", process_id=self.processes[name])

    def eventually(self, condition: Callable[[], Any], what: str) -> Any:
        """The first true answer of `condition`."""
        deadline = time.monotonic() + SOON_S
        while not (found := condition()):
            assert time.monotonic() < deadline, f"not within {SOON_S:g} s: {what}"
            time.sleep(0.05)
        return found

    def until(self, name: str, *statuses: str) -> dict[str, Any]:
        """The process, once it has one of these statuses."""

        def reached() -> Any:
            now = self.status(name)
            return now if now["status"] in statuses else None

        return dict(self.eventually(reached, f"{name} is {' or '.join(statuses)}"))


def unpack(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack a kept workspace as if it had been written in `folder`: a volume is mounted at the same place each time."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    facts: dict[str, Any] = json.loads((folder / "kept.json").read_text("utf-8"))
    for path in (folder / "workspace").rglob("*"):
        if path.suffix in {".json", ".jsonl", ".yaml", ".log"}:
            path.write_text(
                path.read_text("utf-8").replace(facts["root"], str(folder / "workspace")), encoding="utf-8"
            )
    return facts


@pytest.fixture(scope="module", params=ARCHIVES)
def upgraded(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    s3_server: RunningS3,
    rabbitmq_server: RunningRabbitMQ,
) -> Iterator[Upgraded]:
    folder = tmp_path_factory.mktemp("upgrade")
    facts = unpack(KEPT / f"{request.param}.tar.gz", folder)
    place_tiny(folder / "workspace" / "models" / "tiny")
    exchange = f"upgrade-{request.param}"
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setattr(work_marker, "ABANDONED_S", 2.0)
        patch.setattr(lane, "LONGEST_WAIT_S", 1.0)
        patch.setattr(courier, "TICK_S", 0.1)
        patch.setattr(courier, "RENEW_S", 0.2)
        patch.setattr(artifact, "DEBOUNCE_S", 0.2)
        patch.setattr(mirror, "FIRST_WAIT_S", 0.2)
        patch.setattr(mirrors, "RENEW_S", 0.2)
        consumer = Consumer(rabbitmq_server, exchange)
        settings = Settings(
            workspace_path=folder / "workspace",
            scratch_path=folder / "scratch",
            rabbitmq_url=rabbitmq_server.url,
            rabbitmq_exchange=exchange,
            bucket_endpoint_url=s3_server.url,
            bucket_access_key_id=KEY_ID,
            bucket_secret_access_key=SECRET_KEY,
            bucket_name=BUCKET,
            allow_cpu=True,
            hf_hub_offline=True,
            lease_s=LEASE_S,
            disk_min_free_bytes=0,
            min_free_memory_bytes=0,
        )
        worker = Worker.create(settings)
        worker.start()
        yield Upgraded(
            version=request.param,
            root=folder / "workspace",
            processes=facts["processes"],
            worker=worker,
            runner=runner,
            consumer=consumer,
        )
        worker.close()


def test_every_process_is_listed_as_it_ended(upgraded: Upgraded) -> None:
    upgraded.until("killed", "interrupted")

    listed = {each["process_id"]: each["status"] for each in upgraded.ask("processes")["processes"]}

    assert listed == {
        process_id: {"generated": "completed", "compared": "completed", "killed": "interrupted"}.get(
            name, name
        )
        for name, process_id in upgraded.processes.items()
    }


def test_a_status_shows_what_was_kept_of_it(upgraded: Upgraded) -> None:
    done, failed, cancelled = (upgraded.status(name) for name in ("completed", "failed", "cancelled"))

    assert [each["step"] for each in done["checkpoints"]] == [2, 4]
    assert len(done["samples"]) == 2
    assert done["progress"]["step"] == 4
    assert done["dataset"]["images"] == 4
    assert "broken" in failed["failure"]["message"]
    assert cancelled["checkpoints"]
    losses = upgraded.ask("metrics", process_id=upgraded.processes["completed"])
    assert any(losses["series"].values())
    assert upgraded.ask("logs", process_id=upgraded.processes["failed"])["text"]
    if "compared" in upgraded.processes:
        assert upgraded.status("compared")["outcome"]["cells"]


def test_its_key_still_finds_a_training(upgraded: Upgraded) -> None:
    again = upgraded.ask(
        "train",
        preset="sd15",
        dataset={"training_name": "squares"},
        trainer="builtin",
        idempotency_key="key-done",
        wait=False,
    )

    assert again["process_id"] == upgraded.processes["completed"]


def test_its_dataset_is_there(upgraded: Upgraded) -> None:
    (dataset,) = upgraded.ask("datasets")["datasets"]

    assert dataset["training_name"] == "squares"
    assert (dataset["images"], dataset["captions"]) == (4, 4)


def test_what_was_not_delivered_is_delivered_in_order(upgraded: Upgraded) -> None:
    mine = upgraded.processes["completed"]

    def types() -> list[str]:
        return [
            body["event_type"].removeprefix("training.")
            for body in upgraded.consumer.drain()
            if body["process_id"] == mine
        ]

    upgraded.eventually(lambda: "completed" in types(), "the events of the completed training")

    told = [each for each in types() if each not in {"progress", "sample"}]
    assert told == ["started", "checkpoint", "checkpoint", "completed"]


def test_what_was_not_uploaded_is_uploaded(upgraded: Upgraded, s3_server: RunningS3) -> None:
    def keys() -> set[str]:
        with closing(s3_server.client()) as client:
            found = client.list_objects_v2(Bucket=BUCKET, Prefix="loras/done/").get("Contents", [])
        return {each["Key"].removeprefix("loras/done/") for each in found}

    wanted = {
        "checkpoints/done.safetensors",
        "checkpoints/done_000000002.safetensors",
        "logs/training.log",
        "logs/loss_log.db",
    }
    upgraded.eventually(lambda: wanted <= keys(), "the artifacts of the completed training")

    upgraded.eventually(
        lambda: not (upgraded.root / "processes" / ".uploads" / upgraded.processes["completed"]).exists(),
        "nothing is left to upload",
    )


@pytest.mark.parametrize("name", ["interrupted", "killed"])
def test_an_interrupted_training_goes_on_from_its_checkpoint(upgraded: Upgraded, name: str) -> None:
    process_id = upgraded.processes[name]
    upgraded.until(name, "interrupted")

    resumed = upgraded.ask("resume", process_id=process_id, wait=False)
    ended = upgraded.until(name, "completed", "failed", "interrupted", "cancelled")

    assert resumed["process_id"] == process_id
    assert ended["status"] == "completed", ended
    assert ended["progress"]["step"] == 12
    assert ended["resumed_from_step"] >= 2


def test_what_it_wrote_is_deleted(upgraded: Upgraded) -> None:
    process_id = upgraded.processes["completed"]
    if "compared" in upgraded.processes:
        upgraded.ask("delete", process_id=upgraded.processes["compared"])

    deleted = upgraded.ask("delete", process_id=process_id)

    assert "error" not in deleted, deleted
    assert upgraded.status("completed")["code"] == "not_found"
    assert not (upgraded.root / "output" / process_id).exists()
