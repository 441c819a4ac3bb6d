"""What a volume's owner looks at without a worker, beside a real worker on the same folder."""

from __future__ import annotations

import base64
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.documented import calls
from tests.servers.volume_server import SECRET_KEY, VOLUME, RunningVolume
from tests.unit.datasets.library_bench import picture
from typer.testing import CliRunner, Result

from lorapod.client import Client
from lorapod.client.assistant.calling import ToolCalls
from lorapod.client.assistant.tool_list import action_tools
from lorapod.client.cli import app
from lorapod.client.serving import serving
from lorapod.client.volume import Volume
from lorapod.client.volume_client import VolumeClient
from lorapod.dataset_reader.volume_datasets import VolumeDatasets
from lorapod.endpoint import EndpointConfig
from lorapod.processes.store.file import FileRecords
from lorapod.records.process_id import new_process_id
from lorapod.testing.records import make_record
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


def pictures(folder: Path) -> Path:
    """A dataset with captions of all kinds: read, empty, missing, and under a suffix that trainers do not read."""
    for number in range(5):
        (folder / f"{number} #ü.png").write_bytes(picture(size=(64, 64 + number)))
    (folder / "0 #ü.txt").write_text("eine Katze")
    (folder / "1 #ü.txt").write_text(" ")
    (folder / "2 #ü.TXT").write_text("second")
    return folder


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
        client.upload_dataset(pictures(tmp_path_factory.mktemp("pictures")), "cats")
        client.upload_dataset(pictures(tmp_path_factory.mktemp("others")), "other cats")
        training = client.train(
            dataset={"training_name": "cats"},
            config={"steps": 6, "save_every": 2, "name": "cat"},
            trainer="script",
        )
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
        ("datasets", {}),
        ("datasets", {"limit": 1}),
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
    for one in answer.get("datasets", ()):
        # S3 tells no time of a folder.
        one.pop("modified_at")
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


@pytest.mark.parametrize("words", [words for _, words in calls("docs/howto/look-without-a-worker.md")])
def test_a_command_of_the_page_asks_no_worker(run: Run, trained: Trained, words: str, tmp_path: Path) -> None:
    (tmp_path / "my-images").mkdir()
    (tmp_path / "my-images" / "new.png").write_bytes(picture(size=(64, 64)))
    before = trained.jobs

    # Other tests count the images of `cats`.
    own = words.replace("upload my-images cats", "upload my-images more")
    done = run(*shlex.split(own.replace("train_0123456789ab", trained.process_id))[1:])

    assert done.exit_code == 0, done.output
    assert trained.jobs == before


def test_the_queue_is_asked_where_that_is_wanted(run: Run, trained: Trained) -> None:
    (jobs, _) = trained.jobs

    done = run("status", trained.process_id, LORAPOD_VIA="queue")

    assert done.exit_code == 0
    assert READ not in done.output
    assert trained.jobs[0]["completed"] == jobs["completed"] + 1


def test_a_dataset_is_shown_as_far_as_its_files_tell(volume: RunningVolume, trained: Trained) -> None:
    asked: dict[str, Any] = {"training_name": "cats", "thumbnail_px": 0, "limit": 3}
    with volume.client() as client:
        found = client.call("dataset", **asked)
        rest = client.call("dataset", **asked, cursor=found["next_cursor"])

    wanted = trained.client.call("dataset", **asked)
    opened = {"width", "height"}
    for one, other in zip(found["items"], wanted["items"], strict=True):
        assert one == {name: value for name, value in other.items() if name not in opened} | {
            "flags": [flag for flag in other["flags"] if flag in {"no_caption", "empty_caption"}]
        }
    for name in ("path", "images", "videos", "captions", "total_bytes", "caption_ext", "next_cursor"):
        assert found[name] == wanted[name]
    assert found["problems"][-1]["code"] == "not_looked_into"
    assert len(rest["items"]) == 2


def test_thumbnails_are_shown_that_a_worker_has_made(volume: RunningVolume, trained: Trained) -> None:
    shown = trained.client.call("dataset", training_name="other cats", thumbnail_px=96)["items"]
    volume.settle()
    with volume.client() as client:
        view = client.volume.view
        page = VolumeDatasets(view).page("other cats", thumbnail_px=96)
        paths = [view.workspace.relative(one.thumbnail) for one in page.items if one.thumbnail is not None]
        found = list(view.contents(paths))

    wanted = [base64.b64decode(one["thumbnail"].partition(",")[2]) for one in shown]
    assert found == wanted
    assert len(found) == 5


def test_an_upload_waits_for_a_worker_and_is_told_until_then(
    run: Run, trained: Trained, volume: RunningVolume, tmp_path: Path
) -> None:
    before = trained.jobs
    sent = run("upload", str(pictures(tmp_path)), "sent")
    listed = run("datasets")
    assert trained.jobs == before
    assert "5 images, 3 captions" in sent.stdout
    assert "Sent to the volume" in sent.stderr
    assert "8 files" in listed.stderr
    assert "'sent' wait for a worker" in listed.stderr
    assert "sent" not in listed.stdout

    names = [one["training_name"] for one in trained.client.call("datasets")["datasets"]]
    volume.settle()
    again = run("datasets")

    assert "sent" in names
    assert "sent" in again.stdout
    assert "wait for a worker" not in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dataset", "cats", "--trigger", "cat", "--via", "volume"), "`dataset` needs a worker"),
        (("download", "{id}", "--zip", "--via", "volume"), "`bulk_download` needs a worker"),
        (("download", "{id}", "--url", "--via", "volume"), "`download` needs a worker"),
        (("cancel", "{id}", "--via", "volume"), "`lorapod cancel` needs a worker"),
        (("train", "--dataset", "cats", "--via=volume"), "`lorapod train` needs a worker"),
    ],
)
def test_what_needs_a_worker_is_refused_where_only_the_volume_may_be_asked(
    run: Run, trained: Trained, arguments: tuple[str, ...], said: str
) -> None:
    before = trained.jobs

    done = run(*(each.format(id=trained.process_id) for each in arguments))

    assert done.exit_code == 2
    assert said in done.output
    assert trained.jobs == before


def test_a_wrong_key_is_told_and_no_worker_is_woken_instead(run: Run, trained: Trained) -> None:
    before = trained.jobs

    done = run("status", trained.process_id, RUNPOD_S3_SECRET_KEY="rps_wrong_but_secret")

    assert done.exit_code == 4
    assert "does not accept the S3 keys" in done.output
    assert "rps_wrong_but_secret" not in done.output
    assert trained.jobs == before


def test_a_volume_that_is_named_by_half_is_told(run: Run) -> None:
    done = run("processes", "--via", "volume", RUNPOD_S3_SECRET_KEY=None)

    assert done.exit_code == 2
    assert "RUNPOD_S3_SECRET_KEY is not set" in done.output


def test_a_file_that_is_not_there_is_named(run: Run) -> None:
    done = run("download", "output/none.safetensors", "--via", "volume")

    assert done.exit_code == 1
    assert "There is no file 'output/none.safetensors'" in done.output


@pytest.mark.parametrize(("heard_s", "said"), [(None, "has gone"), (900, "15 min ago"), (1, None)])
def test_a_process_whose_worker_is_silent_is_told_as_such(
    run: Run, volume: RunningVolume, heard_s: float | None, said: str | None
) -> None:
    records = FileRecords(volume.folder / "processes")
    record = make_record(process_id=new_process_id("train", datetime.now(UTC)), holder=f"holder-{heard_s}")
    records.create(record)
    if heard_s is not None:
        beat = volume.folder / "processes" / ".workers" / record.holder
        beat.write_text("{}")
        os.utime(beat, (time.time() - heard_s,) * 2)
    volume.settle()

    done = run("status", record.process_id, "--via", "volume")
    records.forget(record)

    assert done.exit_code == 0
    assert (said or "no worker was asked") in done.stderr
    assert ("may have died" in done.stderr) is (heard_s == 900)


async def test_an_assistant_sees_samples_and_wakes_no_worker(volume: RunningVolume, trained: Trained) -> None:
    async def quiet(_percent: float, _message: str) -> None:
        """Report nothing."""

    before = trained.jobs
    with VolumeClient(Volume(volume.access()), trained.client.url) as client:
        calls = ToolCalls(client)
        shown = await calls.call(action_tools()["process_status"], {"process_id": trained.process_id}, quiet)

    assert [base64.b64decode(image.data) for image in shown.images] == [bytes([4]) * 1000]
    assert trained.jobs == before
