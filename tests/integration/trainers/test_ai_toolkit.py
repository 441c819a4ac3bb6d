"""The adapter with a real AI Toolkit as a real child, on the processor, with a tiny model of random weights."""

from __future__ import annotations

import dataclasses
import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tests.tiny_models import place_tiny

from lorapod.errors import ErrorCode
from lorapod.processes.launch import ChildExit
from lorapod.processes.log import LineSplitter
from lorapod.records.progress import Observation
from lorapod.records.status import Phase
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.checkpoints import DAMAGED_FOLDER, make_ready
from lorapod.trainers.port import Outcome, TrainingRequest
from lorapod.volume.artifacts import checkpoints, samples
from lorapod.volume.loss_log import last_step, latest, read_series
from lorapod.weights import read_header, step_of
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import dump_config

ROOT = os.environ.get("AI_TOOLKIT_PATH", "")
DEADLINE_S = 120

pytestmark = [
    pytest.mark.ai_toolkit,
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not Path(ROOT, "run.py").is_file(), reason="no AI Toolkit: set AI_TOOLKIT_PATH to a checkout"
    ),
]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace.create(tmp_path_factory.mktemp("workspace"))
    place_tiny(workspace.models / "tiny")
    dataset = workspace.training_data / "circles"
    dataset.mkdir()
    for number in range(6):
        picture = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(picture).ellipse((8 + number, 8, 48 + number, 48), fill=(200, 30 * number, 20))
        picture.save(dataset / f"{number}.png")
        (dataset / f"{number}.txt").write_text("a circle")
    return workspace


@pytest.fixture
def trainer(workspace: Workspace) -> AIToolkitTrainer:
    return AIToolkitTrainer(settings=Settings(), workspace=workspace)


def config(**train: Any) -> dict[str, Any]:
    process = {
        "type": "sd_trainer",
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
        "save": {"dtype": "float32", "save_every": 1000, "max_step_saves_to_keep": 4},
        "datasets": [{"folder_path": "/path/to/images", "resolution": 64, "num_workers": 0}],
        "train": {"batch_size": 1, "lr": 1e-4, "gradient_checkpointing": False, "noise_scheduler": "ddpm"}
        | {"optimizer": "adamw", "dtype": "fp32", "disable_sampling": True}
        | train,
        "model": {"name_or_path": "models/tiny", "arch": "sd1"},
        "sample": {"sampler": "ddpm", "sample_every": 1000, "width": 64, "height": 64, "sample_steps": 1}
        | {"prompts": ["a circle"]},
    }
    return {"job": "extension", "config": {"name": "circles", "process": [process]}}


class Run:
    """One child of the adapter's launch spec, followed as a process manager follows it."""

    def __init__(
        self, trainer: AIToolkitTrainer, workspace: Workspace, folder: str, sent: dict[str, Any]
    ) -> None:
        process_id = f"train_{secrets.token_hex(6)}"
        self.trainer = trainer
        self.plan = trainer.prepare(
            TrainingRequest(
                process_id=process_id,
                config=sent,
                dataset=workspace.training_data / "circles",
                training_folder=workspace.output / folder,
                scratch=workspace.root / "scratch" / process_id,
                workspace=workspace.root,
            )
        )
        config_path = workspace.root / f"{process_id}.yaml"
        config_path.write_text(dump_config(self.plan.config))
        spec = trainer.launch(self.plan, config_path)
        self.launched_at = time.time()
        self.child = subprocess.Popen(
            spec.argv,
            cwd=spec.cwd,
            env={**Settings().trainer_environment(), "OMP_NUM_THREADS": "2", "PYTHONUNBUFFERED": "1"}
            | dict(spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.control = trainer.control(self.plan)
        self.lines: list[str] = []
        self.phases: list[Phase] = []
        #: The newest value of everything that was observed.
        self.seen: dict[str, Any] = {"step": 0}
        self._reader = trainer.reader(self.plan)
        self._selector = selectors.DefaultSelector()
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            self._selector.register(stream, selectors.EVENT_READ, LineSplitter())

    def follow(self, until: Callable[[], bool] = lambda: False) -> None:
        """Read on until the condition holds or both streams are closed."""
        deadline = time.monotonic() + DEADLINE_S
        while self._selector.get_map() and not until():
            assert time.monotonic() < deadline, "\n".join(self.lines[-40:])
            for key, _ in self._selector.select(0.05):
                chunk = os.read(key.fd, 65_536)
                for line in key.data.feed(chunk) if chunk else key.data.finish():
                    self.lines.append(line.text)
                    self._note(self._reader.line(line.text))
                if not chunk:
                    self._selector.unregister(key.fileobj)
            self._note(self._reader.poll())

    def interrupt(self) -> None:
        os.killpg(self.child.pid, signal.SIGINT)

    def end(self) -> Outcome:
        """Follow the child to its exit."""
        self.follow()
        code = self.child.wait(DEADLINE_S)
        self._note(self._reader.poll())
        for stream in (self.child.stdout, self.child.stderr):
            assert stream is not None
            stream.close()
        self._selector.close()
        child = ChildExit(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stop_requested=False,
            launched_at=self.launched_at,
            last_lines=self.lines[-200:],
        )
        return self.trainer.outcome(self.plan, child)

    def _note(self, observation: Observation | None) -> None:
        if observation is None:
            return
        if observation.phase is not None:
            self.phases.append(observation.phase)
        found = dataclasses.asdict(observation)
        self.seen.update({name: value for name, value in found.items() if value is not None})


def test_it_is_found(trainer: AIToolkitTrainer) -> None:
    status = trainer.probe()
    assert status.available
    assert status.version


def test_a_training_from_start_to_end(trainer: AIToolkitTrainer, workspace: Workspace) -> None:
    run = Run(trainer, workspace, "whole", config(steps=6, disable_sampling=False))
    outcome = run.end()
    assert outcome == Outcome(succeeded=True), "\n".join(run.lines[-40:])
    assert run.seen["step"] == run.seen["total_steps"] == 6
    assert run.seen["loss"] > 0
    assert run.seen["learning_rate"] == 1e-4
    order = [Phase.STARTING, Phase.LOADING_MODEL, Phase.PREPARING_DATASET, Phase.TRAINING, Phase.SAMPLING]
    # A short phase may fall between two looks at the control table.
    first_seen = [phase for phase in dict.fromkeys(run.phases) if phase is not Phase.SAVING]
    assert first_seen == [phase for phase in order if phase in first_seen]
    assert set(first_seen) >= {Phase.LOADING_MODEL, Phase.TRAINING, Phase.SAMPLING}
    folder = run.plan.run_folder
    (final,) = checkpoints(folder, "circles")
    assert final.final
    assert step_of(read_header(final.path)) == 6
    assert [(sample.step, sample.index) for sample in samples(folder)] == [(0, 0), (6, 0)]
    assert [step for step, _loss in read_series(folder / "loss_log.db")["loss/loss"]] == [1, 2, 3, 4, 5]
    assert latest(folder / "loss_log.db")["learning_rate"] == 1e-4


def test_save_stop_and_go_on_past_a_torn_checkpoint(trainer: AIToolkitTrainer, workspace: Workspace) -> None:
    run = Run(trainer, workspace, "resumed", config(steps=100_000))
    run.follow(lambda: run.seen["step"] >= 5 and run.phases[-1] is Phase.TRAINING)
    run.control.request_save()
    run.follow(lambda: not run.control.save_pending())
    run.interrupt()
    assert run.end() == Outcome(succeeded=False, stopped=True)
    assert run.child.returncode == 0
    folder = run.plan.run_folder
    (saved,) = checkpoints(folder, "circles")
    assert saved.step is not None
    # The interrupt can come after the save and before the table and the bar tell of its step.
    assert 5 <= saved.step <= run.seen["step"] + 1
    assert (folder / "optimizer.pt").stat().st_mtime >= saved.path.stat().st_mtime

    # The machine died while it wrote a later one.
    torn = folder / f"circles_{saved.step + 7:09d}.safetensors"
    torn.write_bytes(saved.path.read_bytes()[:-1000])

    assert make_ready(folder, "circles") == saved.step
    total = saved.step + 4
    again = Run(trainer, workspace, "resumed", config(steps=total))
    assert again.end() == Outcome(succeeded=True), "\n".join(again.lines[-40:])
    assert again.seen["resumed_from_step"] == saved.step
    assert again.seen["step"] == again.seen["total_steps"] == total
    assert step_of(read_header(folder / "circles.safetensors")) == total
    assert (folder / DAMAGED_FOLDER / torn.name).is_file()
    assert last_step(folder / "loss_log.db") == total - 1


def test_samples_on_request_and_a_stop_without_a_checkpoint(
    trainer: AIToolkitTrainer, workspace: Workspace
) -> None:
    run = Run(trainer, workspace, "dropped", config(steps=100_000))
    run.follow(lambda: run.seen["step"] >= 1)
    run.control.request_sample()
    run.follow(lambda: bool(samples(run.plan.run_folder)))
    assert Phase.SAMPLING in run.phases
    run.interrupt()
    assert run.end() == Outcome(succeeded=False, stopped=True)
    assert checkpoints(run.plan.run_folder, "circles") == []


def test_a_config_that_fails_late_is_told_in_a_sentence(
    trainer: AIToolkitTrainer, workspace: Workspace
) -> None:
    run = Run(trainer, workspace, "failed", config(steps=6, optimizer="foo"))
    failure = run.end().failure
    assert run.child.returncode == 1
    assert failure is not None
    assert failure.code is ErrorCode.INVALID_INPUT
    assert failure.message == "The config is not one that AI Toolkit takes: Unknown optimizer type foo."
