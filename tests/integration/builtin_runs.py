"""Real runs of the builtin trainer, started as a worker starts them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tiny_models import keep_tiny_ready, place_tiny

from lorapod.processes.launch import ChildExit
from lorapod.settings import Settings
from lorapod.testing.pictures import draw_dataset
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.builtin.run_folder import RunFolder
from lorapod.trainers.control_table import ControlTable
from lorapod.trainers.port import HeldOut, Outcome, StartWeights, TrainingPlan, TrainingRequest
from lorapod.workspace import Workspace
from lorapod.yaml_config.text import dump_config

DEADLINE_S = 90.0
PROCESS_ID = "train_0123456789ab"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


def fit_tiny(folder: Path) -> Path:
    """A tiny base model in `folder` that knows shapes."""
    command = [sys.executable, "-m", "lorapod.trainers.builtin.tiny", str(folder)]
    subprocess.run(
        command, check=True, capture_output=True, timeout=DEADLINE_S, env={**os.environ, **ENVIRONMENT}
    )
    return folder


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer of `condition`."""
    deadline = time.monotonic() + DEADLINE_S
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"no {what} within {DEADLINE_S:g} s"
        time.sleep(0.02)
    return answer


@dataclass(kw_only=True)
class Run:
    """One child."""

    plan: TrainingPlan
    trainer: BuiltinTrainer
    process: subprocess.Popen[bytes]
    launched_at: float
    output: Path
    errors: Path

    @property
    def stdout(self) -> str:
        return self.output.read_text("utf-8")

    @property
    def stderr(self) -> str:
        return self.errors.read_text("utf-8")

    @property
    def folder(self) -> RunFolder:
        return RunFolder(path=self.plan.run_folder, name=self.plan.name)

    @property
    def table(self) -> ControlTable:
        return ControlTable(self.plan.control_path, self.plan.process_id)

    @property
    def repaints(self) -> list[str]:
        """What the training's own bar showed."""
        return [line for line in re.split(r"[\r\n]", self.stderr) if line.startswith(f"{self.plan.name}: ")]

    def wait(self) -> int:
        """The exit code; negative for a signal."""
        return self.process.wait(DEADLINE_S)

    def reach(self, step: int) -> None:
        """Wait until so many steps are done."""

        def reached() -> bool:
            assert self.process.poll() is None, f"it ended: {self.stdout}{self.stderr}"
            row = self.table.read()
            return row is not None and row.step >= step

        wait_for(reached, f"step {step}")

    def interrupt(self) -> None:
        """As Ctrl+C."""
        self.process.send_signal(signal.SIGINT)

    def outcome(self, *, stop_requested: bool = False) -> Outcome:
        """What the adapter makes of the exit."""
        code = self.wait()
        child = ChildExit(
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            stop_requested=stop_requested,
            launched_at=self.launched_at,
            last_lines=self.stdout.splitlines()[-40:],
        )
        return self.trainer.outcome(self.plan, child)


@dataclass(kw_only=True)
class Bench:
    """A workspace with a base model and pictures, and the trainings in it."""

    workspace: Workspace
    model: Path
    pictures: Path
    scratch: Path
    runs: list[Run] = field(default_factory=list)

    @classmethod
    def create(cls, root: Path, *, fitted: bool = False) -> Bench:
        workspace = Workspace.create(root / "workspace")
        pictures = workspace.training_data / "shapes"
        draw_dataset(pictures)
        make = fit_tiny if fitted else place_tiny
        model = make(workspace.models / "tiny")
        return cls(workspace=workspace, model=model, pictures=pictures, scratch=root / "scratch")

    def keep_ready(self, hub_id: str) -> None:
        """Have the base model under a HuggingFace id too, as RunPod's cached model of the host."""
        keep_tiny_ready(self.scratch / "host", hub_id, self.scratch / "hf")

    def plan(
        self,
        name: str,
        *,
        start: StartWeights | None = None,
        held_out: HeldOut | None = None,
        **changes: Any,
    ) -> TrainingPlan:
        """A training of that name; `changes` are sections of the config, merged into the defaults."""
        request = TrainingRequest(
            process_id=PROCESS_ID,
            config=config(name, **changes),
            dataset=self.pictures,
            training_folder=self.workspace.output / PROCESS_ID,
            scratch=self.scratch / name,
            workspace=self.workspace.root,
            start=start,
            held_out=held_out,
        )
        return BuiltinTrainer(settings=Settings()).prepare(request)

    def start(self, plan: TrainingPlan) -> Run:
        """Launch the child."""
        trainer = BuiltinTrainer(settings=Settings())
        folder = self.scratch / f"run_{len(self.runs)}"
        folder.mkdir(parents=True)
        config_path = folder / "config.yaml"
        config_path.write_text(dump_config(plan.config), "utf-8")
        spec = trainer.launch(plan, config_path)
        output, errors = folder / "stdout", folder / "stderr"
        launched_at = time.time()
        with output.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                spec.argv,
                cwd=spec.cwd,
                env={
                    **os.environ,
                    **ENVIRONMENT,
                    "HF_HOME": str(self.scratch / "hf"),
                    **spec.environment,
                },
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        run = Run(
            plan=plan,
            trainer=trainer,
            process=process,
            launched_at=launched_at,
            output=output,
            errors=errors,
        )
        self.runs.append(run)
        return run

    def train(self, name: str, **changes: Any) -> Run:
        """Run a training to its end, which must be a good one."""
        run = self.start(self.plan(name, **changes))
        assert run.wait() == 0, run.stdout + run.stderr
        return run

    def close(self) -> None:
        """End what a failed test left behind."""
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()


def config(name: str, **changes: Any) -> dict[str, Any]:
    """A config for the tiny model."""
    process: dict[str, Any] = {
        "type": "diffusion_trainer",
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
        "save": {"dtype": "float16", "save_every": 0},
        "datasets": [{"resolution": 64}],
        "train": {"batch_size": 2, "lr": 1e-3, "gradient_checkpointing": False},
        "model": {"name_or_path": "tiny", "arch": "sd1"},
        "sample": {"width": 64, "height": 64, "sample_steps": 2, "guidance_scale": 1.0, "sampler": "ddim"},
    }
    for section, values in changes.items():
        process[section] = {**process[section], **values} if isinstance(values, Mapping) else values
    return {"job": "extension", "config": {"name": name, "process": [process]}}
