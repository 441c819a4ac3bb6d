"""The main job, as a caller sees it: the real SDK loop behind the local endpoint, the real trainer, the real client."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from PIL import Image
from tests.client_faces import FACES, AwaitedFace, opened
from tests.error_log import error_log
from tests.tiny_models import place_tiny

import lorapod
from lorapod import weights
from lorapod.client import (
    Client,
    ConflictError,
    InvalidInputError,
    JobFailed,
    NotFoundError,
    ProcessEnded,
    Progress,
    RequestTooLarge,
    Training,
    TrainOptions,
    UploadedDataset,
    WaitTimeout,
)
from lorapod.client.drawing.creature import PROMPTS, draw_creatures
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig
from lorapod.kinds import FileKind

pytest.importorskip("diffusers", reason="needs the `builtin` extra")

pytestmark = [pytest.mark.acceptance, pytest.mark.torch, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
NAME = "creatures"
STEPS = 6


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a base model whose weights are random: what it draws is of no interest here."""
    root = tmp_path_factory.mktemp("workspace")
    place_tiny(root / "models" / "tiny")
    return root


@pytest.fixture(scope="module")
def client(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    config = EndpointConfig(
        command=[sys.executable, str(Path(lorapod.__file__).parent.parent / "rp_handler.py")],
        environment={
            "WORKSPACE_PATH": str(workspace),
            "OMP_NUM_THREADS": "1",
            "PROGRESS_INTERVAL_S": "0.5",
            "HF_HUB_OFFLINE": "1",
        },
        log_folder=error_log.watch(tmp_path_factory.mktemp("logs")),
        stop_grace_s=30.0,
    )
    with serving(config) as endpoint, Client(endpoint.url) as client:
        yield client


@pytest.fixture(scope="module")
def dataset(client: Client, tmp_path_factory: pytest.TempPathFactory) -> UploadedDataset:
    folder = tmp_path_factory.mktemp("pictures")
    draw_creatures(folder)
    (folder / "broken.png").write_text("no picture at all")
    return client.upload_dataset(folder, NAME)


@pytest.fixture(scope="module")
def training(client: Client, dataset: UploadedDataset) -> Training:
    """A training that has ended well."""
    training = client.train(
        config=config(), dataset={"training_name": NAME}, trainer="builtin", job_id="mine-1"
    )
    training.wait(interval_s=0.2, timeout_s=240)
    return training


def config(**train: Any) -> dict[str, Any]:
    process = {
        "type": "sd_trainer",
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
        "save": {"dtype": "float16", "save_every": 3, "max_step_saves_to_keep": 4},
        "datasets": [{"caption_ext": "txt", "resolution": [64]}],
        "train": {
            "batch_size": 2,
            "steps": STEPS,
            "lr": 1e-3,
            "gradient_checkpointing": False,
            "dtype": "fp32",
        }
        | train,
        "model": {"name_or_path": "models/tiny", "arch": "sd1"},
        "sample": {
            "sampler": "ddim",
            "sample_every": 3,
            "sample_steps": 2,
            "width": 64,
            "height": 64,
            "prompts": list(PROMPTS)[:2],
            "neg": "",
        },
    }
    return {"job": "extension", "config": {"name": NAME, "process": [process]}}


def test_a_dataset_arrives_whole_and_a_broken_picture_is_named(dataset: UploadedDataset) -> None:
    assert (dataset.images, dataset.captions) == (12, 12)
    assert dataset.images_without_caption == ()
    assert [refused.filename for refused in dataset.rejected] == ["broken.png"]
    assert dataset.rejected[0].code == "invalid_input"


def test_a_training_is_attached_and_runs_to_its_end(client: Client, training: Training) -> None:
    process = training.status(log_tail=5)

    assert training.attached
    assert process.status == "completed"
    assert process.progress.step == process.progress.total_steps == STEPS
    assert process.exit_code == 0
    assert process.job_id == "mine-1"
    assert 1 <= len(process.log_tail or ()) <= 5
    assert {sample.step for sample in process.samples} == {0, 3, 6}
    assert {sample.index for sample in process.samples} == {0, 1}
    final = [checkpoint for checkpoint in process.checkpoints if checkpoint.final]
    assert [checkpoint.path for checkpoint in final] == [
        f"output/{training.process_id}/{NAME}/{NAME}.safetensors"
    ]


def test_the_job_itself_answers_the_whole_status(client: Client, training: Training) -> None:
    job = client.status(training.job_id or "")

    assert job.status == "COMPLETED"
    assert job.output["process_id"] == training.process_id
    assert job.output["status"] == "completed"
    assert job.output["dataset"]["images"] == 12


def test_logs_and_metrics_tell_of_every_step(training: Training) -> None:
    log = training.logs()
    losses = training.metrics(keys=["loss/loss"])["loss/loss"]

    assert f"{STEPS}/{STEPS}" in log
    steps = [step for step, _ in losses]
    assert steps == sorted(set(steps))
    assert steps[-1] == STEPS
    assert len(steps) >= STEPS - 1  # AI Toolkit's own log leaves the first step out
    assert all(0 < loss < 100 for _, loss in losses)
    assert training.metrics(since_step=4)["loss/loss"][0][0] == 5


def test_the_lora_comes_back_as_it_is_on_the_worker(
    training: Training, workspace: Path, tmp_path: Path
) -> None:
    arrived = training.download(tmp_path)

    original = workspace / "output" / training.process_id / NAME / f"{NAME}.safetensors"
    assert arrived == tmp_path / f"{NAME}.safetensors"
    assert hashlib.sha256(arrived.read_bytes()).digest() == hashlib.sha256(original.read_bytes()).digest()
    header = weights.read_header(arrived)
    assert header.is_lora
    assert header.whole
    assert header.rank == 4
    assert weights.step_of(header) == STEPS


def test_files_are_listed_and_fetched_by_their_paths(
    client: Client, training: Training, tmp_path: Path
) -> None:
    images = client.list_files(f"output/{training.process_id}", kind="image")
    sheet = next(file for file in images if file.name == "dataset.png")
    samples = [file for file in images if file is not sheet]
    models = client.list_files(kind="model", pattern="*.safetensors", limit=1)

    assert sheet.path == f"output/{training.process_id}/dataset.png"
    assert len(samples) == 6
    assert f"output/{training.process_id}/{NAME}/{NAME}_000000003.safetensors" in {
        file.path for file in models
    }
    fetched = client.download(samples[0].path, tmp_path)
    assert fetched.read_bytes()[:3] == b"\xff\xd8\xff"
    assert fetched.stat().st_size == samples[0].size_bytes


def test_loras_and_processes_are_listed(client: Client, training: Training) -> None:
    loras = client.call("lora", process_id=training.process_id)["models"]
    processes = client.call("processes")["processes"]

    assert {lora["step"] for lora in loras} == {3, 6}
    assert training.process_id in {process["process_id"] for process in processes}


def test_a_request_sent_twice_trains_once(
    client: Client, dataset: UploadedDataset, training: Training
) -> None:
    wish: dict[str, Any] = {
        "config": config(),
        "dataset": {"training_name": NAME},
        "trainer": "builtin",
        "wait": False,
    }
    first = client.train(**wish, idempotency_key="once")
    second = client.train(**wish, idempotency_key="once")

    assert not first.attached
    assert first.process_id == second.process_id != training.process_id
    assert first.wait(interval_s=0.2, timeout_s=240).status == "completed"


class TestBothFaces:
    """The client with and without an event loop, on one worker."""

    @pytest.fixture(params=FACES)
    async def face(self, request: pytest.FixtureRequest, client: Client) -> AsyncIterator[AwaitedFace]:
        async with opened(request.param, client.url) as face:
            yield face

    async def test_a_training_is_found_read_and_fetched(
        self, face: AwaitedFace, training: Training, tmp_path: Path
    ) -> None:
        found = face.training(training.process_id)

        process = await found.status()
        assert (process.name, process.progress.step, process.resumable) == (NAME, STEPS, False)
        assert process.answer() == training.status().answer()
        assert await found.metrics() == training.metrics()
        assert await found.logs() == training.logs()
        listed = await face.list_files(f"output/{training.process_id}", kind="image")
        assert {file.kind for file in listed} == {FileKind.IMAGE}
        lora = await found.download(tmp_path / "lora.safetensors")
        assert weights.read_header(lora).rank == 4
        snapshot = await found.snapshot()
        assert len(snapshot.losses) == STEPS
        assert [sample.step for sample in snapshot.samples] == [0, 0, 3, 3, 6, 6]
        assert "data:image/webp" in snapshot._repr_html_()
        with pytest.raises(NotFoundError) as caught:
            await face.training("train_000000000000").status()
        assert caught.value.code == "not_found"

    async def test_a_training_is_checked_steered_and_resumed(
        self, face: AwaitedFace, dataset: UploadedDataset
    ) -> None:
        options: TrainOptions = {"dataset": {"training_name": NAME}, "trainer": "builtin", "wait": False}
        rehearsed = await face.dry_run(config=config(), **options)
        assert (rehearsed.accepted, rehearsed.trainer) == (True, "builtin")

        training = await face.train(config=config(steps=100_000), **options)
        asked: list[str] = []
        loop = asyncio.get_running_loop()
        begun = asyncio.Event()

        def look(now: Progress) -> None:
            if now.step:
                loop.call_soon_threadsafe(begun.set)
            asked.append(now.status)

        following = asyncio.create_task(training.wait(on_progress=look, interval_s=0.1, check=False))
        await begun.wait()
        assert (await training.save()).requested
        assert (await training.sample()).requested
        with pytest.raises(ConflictError):
            await training.resume()
        await training.cancel()
        ended = await following
        assert (ended.status, asked[-1], ended.resumable) == ("cancelled", "cancelled", True)

        resumed = await training.resume(wait=False)
        assert resumed.process_id == training.process_id
        with pytest.raises(WaitTimeout):
            await resumed.wait(timeout_s=0.0, interval_s=0.1)
        await resumed.cancel(save=False)
        assert (await resumed.wait(check=False, interval_s=0.1)).status in {"cancelled", "completed"}


def test_the_page_about_python_says_what_works(
    client: Client,
    training: Training,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (ROOT / "docs/howto/python.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("my-images").mkdir()
    draw_creatures(Path("my-images"))
    small = 'preset="sd15", model="models/tiny", resolution=64, sample_prompts=[], trainer="builtin"'
    known: dict[str, object] = {}
    for example in examples:
        shown = example.replace("http://127.0.0.1:8080/v2/local", client.url)
        shown = shown.replace('preset="sdxl"', small).replace("steps=1500", "steps=2")
        shown = shown.replace("train_0123456789ab", training.process_id)
        shown = shown.replace(".wait(", ".wait(interval_s=0.2, ")
        exec(compile(shown, "python.md", "exec"), known)  # noqa: S102 -- the page is the test
    told = capsys.readouterr().out
    assert re.match(r"completed \d\.\d+ 0\n", told)
    assert re.search(r"completed: step 2 of 2, loss \d\.", told)
    assert re.search(r"^train_[0-9a-f]{12} \S+ completed$", told, re.MULTILINE)
    assert "There is no folder no-such-folder." in told
    assert "'field': 'steps'" in told
    assert [path.suffix for path in Path("loras").iterdir()] == [".safetensors"]


def test_a_cancelled_training_is_observed_to_end(client: Client, dataset: UploadedDataset) -> None:
    training = client.train(
        config=config(steps=100_000), dataset={"training_name": NAME}, trainer="builtin", name=None
    )
    # Cancelled in the midst of its work: a training that has begun to step.
    reached: list[int] = []

    def cancel_at_work(now: Progress) -> None:
        if now.step >= 1 and not reached:
            reached.append(now.step)
            training.cancel()

    with pytest.raises(ProcessEnded, match="cancelled"):
        training.wait(on_progress=cancel_at_work, interval_s=0.2, timeout_s=240)
    assert reached
    with pytest.raises(ConflictError, match="no final artifact"):
        training.download()


class TestPictures:
    """With the model that the LoRA was trained on."""

    ASKED: ClassVar[dict[str, Any]] = {
        "prompt": next(iter(PROMPTS)),
        "model": "models/tiny",
        "width": 64,
        "height": 64,
        "steps": 4,
        "seed": 11,
    }

    def picture(self, client: Client, **fields: Any) -> bytes:
        """The pixels of the only one."""
        answer = client.call("generate", **self.ASKED, **fields, timeout_s=240)
        assert answer["status"] == "completed"
        assert answer["engine"] == "diffusers"
        (view,) = answer["images"]
        assert (view["content_type"], view["width"], view["height"], view["seed"]) == (
            "image/png",
            64,
            64,
            11,
        )
        with Image.open(io.BytesIO(base64.b64decode(view["data"]))) as image:
            return image.tobytes()

    def test_a_lora_just_trained_is_used_by_its_process(self, client: Client, training: Training) -> None:
        own = {"process_id": training.process_id}
        plain = self.picture(client)
        drawn = self.picture(client, loras=[own])

        assert drawn != plain
        assert self.picture(client, loras=[own | {"weight": 0.5}]) not in {drawn, plain}
        assert self.picture(client, loras=[own]) == drawn
        path = f"output/{training.process_id}/{NAME}/{NAME}.safetensors"
        assert self.picture(client, loras=[{"path": path}]) == drawn

    def test_a_training_has_the_gpu_to_itself(
        self, client: Client, dataset: UploadedDataset, training: Training
    ) -> None:
        def engine() -> dict[str, Any]:
            found: dict[str, Any] = next(
                engine for engine in client.call("health")["engines"] if engine["name"] == "diffusers"
            )
            return found

        before = self.picture(client)
        assert engine()["resident"]
        other = client.train(config=config(), dataset={"training_name": NAME}, trainer="builtin")
        other.wait(interval_s=0.2, timeout_s=240)

        assert not engine()["resident"]
        assert self.picture(client) == before

    def test_what_does_not_fit_is_named(self, client: Client, training: Training) -> None:
        with pytest.raises(JobFailed, match="gpt2"):
            client.call("generate", **self.ASKED | {"model": "openai/gpt2"})
        with pytest.raises(JobFailed, match="no scheduler 'magic'"):
            client.call("generate", **self.ASKED, params={"scheduler": "magic"})


class TestRefusals:
    def test_an_unknown_type_is_answered_with_the_nearest(self, client: Client) -> None:
        with pytest.raises(InvalidInputError, match="proces_status") as caught:
            client.call("proces_status")
        assert caught.value.code == "unknown_type"
        assert "process_status" in str(caught.value) + json.dumps(caught.value.details)

    def test_an_unknown_field_is_answered_with_the_nearest(self, client: Client) -> None:
        with pytest.raises(InvalidInputError, match="did you mean 'preset'") as caught:
            client.call("train", prest="sd15")
        assert caught.value.details[0]["field"] == "prest"

    def test_what_the_trainer_cannot_do_is_refused_by_name(
        self, client: Client, dataset: UploadedDataset
    ) -> None:
        with pytest.raises(InvalidInputError, match="noise_schedule"):
            client.train(
                config=config(noise_schedule="x"), dataset={"training_name": NAME}, trainer="builtin"
            )

    def test_a_path_outside_the_workspace(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(JobFailed) as caught:
            client.download("../../etc/passwd", tmp_path)
        assert caught.value.code == "unsafe_path"
        assert list(tmp_path.iterdir()) == []

    def test_a_process_and_a_file_that_are_not_there(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            client.process_status("train_000000000000")
        with pytest.raises(NotFoundError):
            client.download("output/nothing.safetensors", tmp_path)

    def test_a_body_that_the_queue_does_not_take(self, client: Client) -> None:
        wish = {"type": "ping", "padding": "x" * 12_000_000}
        with pytest.raises(RequestTooLarge, match="upload_dataset"):
            client.run(wish)
        refused = httpx.post(f"{client.url}/run", json={"input": wish}, timeout=60)
        assert refused.status_code == 413
        assert "10 MB" in refused.json()["error"]
        assert client.call("ping")["pong"] is True
