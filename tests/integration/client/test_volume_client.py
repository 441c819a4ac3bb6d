"""What a volume's owner looks at without a worker, beside a real worker on the same folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.servers.volume_server import SECRET_KEY, VOLUME, RunningVolume
from typer.testing import CliRunner, Result

from lorapod.client import Client
from lorapod.client.cli import app
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig
from lorapod.trainers.builtin.loss_log_writer import LossLogWriter
from lorapod.volume import loss_log

ROOT = Path(__file__).parents[3]
READ = f"Read from the volume {VOLUME} over S3; no worker was asked."
Run = Callable[..., Result]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A worker on the volume, and a completed training with samples and curves."""

    client: Client
    process_id: str

    @property
    def jobs(self) -> Any:
        """The endpoint's counts of jobs and workers."""
        health = self.client.health()
        return health["jobs"], sum(health["workers"].values())


@pytest.fixture(scope="module")
def trained(volume: RunningVolume, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    config = EndpointConfig(
        command=[sys.executable, str(ROOT / "tests/integration/script_worker.py")],
        environment={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "WORKSPACE_PATH": str(volume.folder),
            "DISK_MIN_FREE_BYTES": "0",
        },
    )
    with serving(config) as endpoint, Client(endpoint.url) as client:
        training = client.train(config={"steps": 6, "save_every": 2, "name": "cat"}, trainer="script")
        training.wait()
        run = volume.folder / "output" / training.process_id / "cat"
        (run / "samples").mkdir()
        for step in (2, 4):
            (run / "samples" / f"1767225600000__{step:09d}_0.jpg").write_bytes(bytes([step]) * 1000)
        log = LossLogWriter(run / loss_log.FILE_NAME, resumed_step=0)
        for step in range(6):
            log.write(step, {"loss/loss": 1 / (step + 1)})
        log.close()
        volume.settle()
        yield Trained(client=client, process_id=training.process_id)


@pytest.fixture
def run(volume: RunningVolume, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `lorapod` with the volume and the endpoint named, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str, **changes: str | None) -> Result:
        environment = {"LORAPOD_URL": trained.client.url, "COLUMNS": "300", **volume.environment, **changes}
        done = CliRunner().invoke(app, arguments, env=environment)
        assert SECRET_KEY not in done.output
        return done

    return invoke


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("process_status", {"log_tail": 3, "metrics": True}),
        ("metrics", {}),
        ("metrics", {"keys": ["loss/loss"], "since_step": 2, "stride": 2}),
        ("logs", {}),
        ("logs", {"offset": -10}),
    ],
)
def test_the_answers_about_a_process_are_the_workers(
    volume: RunningVolume, trained: Trained, action: str, fields: dict[str, Any]
) -> None:
    asked = {"process_id": trained.process_id, **fields}
    with volume.client() as client:
        found = client.call(action, **asked)

    assert comparable(found) == comparable(trained.client.call(action, **asked))


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("processes", {}),
        ("processes", {"status": "completed", "limit": 1}),
        ("list_files", {}),
        ("list_files", {"path": "output", "kind": "image"}),
        ("list_files", {"pattern": "*.safetensors", "limit": 2}),
    ],
)
def test_the_lists_are_the_workers(
    volume: RunningVolume, trained: Trained, action: str, fields: dict[str, Any]
) -> None:
    with volume.client() as client:
        found = client.call(action, **fields)

    assert comparable(found) == comparable(trained.client.call(action, **fields))


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what only a worker has; over S3, times of files are of milliseconds."""
    answer.pop("worker_id" if "processes" in answer else "", None)
    for one in (*answer.get("checkpoints", ()), *answer.get("files", ())):
        for name in {"created_at", "modified_at"} & one.keys():
            one[name] = one[name][:19]
    return answer


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (("status", "{id}"), "step 6/6"),
        (("processes",), "completed"),
        (("logs", "{id}"), "cat: 6/6 loss"),
        (("files", "output", "--kind", "model"), "cat_000000004.safetensors"),
        (("download", "{id}", "--to", "here/"), "here/cat.safetensors"),
        (("report", "{id}", "--to", "page.html"), "page.html"),
    ],
)
@pytest.mark.parametrize("via", ["auto", "volume"])
def test_a_command_reads_the_volume_and_asks_no_worker(
    run: Run, trained: Trained, arguments: tuple[str, ...], shown: str, via: str
) -> None:
    before = trained.jobs

    done = run(*(each.format(id=trained.process_id) for each in arguments), "--via", via)

    assert done.exit_code == 0, done.output
    assert shown in done.stdout
    assert READ in done.stderr
    assert trained.jobs == before


def test_the_queue_is_asked_where_that_is_wanted(run: Run, trained: Trained) -> None:
    (jobs, _) = trained.jobs

    done = run("status", trained.process_id, LORAPOD_VIA="queue")

    assert done.exit_code == 0
    assert READ not in done.output
    assert trained.jobs[0]["completed"] == jobs["completed"] + 2
