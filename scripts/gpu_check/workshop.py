"""A workspace with a base model and a dataset, and workers on it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from line_worker import LineWorker
from lorapod.client.demo_recipe import DEMO_BASE
from lorapod.client.drawing.creature import draw_creatures
from lorapod.volume.loss_log import FILE_NAME

_DATASET = "creatures"
_MODEL = "demo_base"


class NotMeasuredError(Exception):
    """A figure that this machine cannot give; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where the measures work."""

    root: Path
    #: False for a dry run without a GPU: the figures are then those of the processor.
    cuda: bool
    steps: int
    resolution: int
    #: How often each is measured; the best counts.
    rounds: int = 2
    #: A folder or an id of the Hub.
    model: str = _MODEL
    arch: str = "sd1"
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        """Return the root of the workers' files."""
        return self.root / "workspace"

    @property
    def dataset(self) -> Path:
        """Return the folder of the images."""
        return self.workspace / "training_data" / _DATASET

    def prepare(self) -> None:
        """Put the model and the images into the workspace."""
        draw_creatures(self.dataset)
        if self.model == _MODEL:
            shutil.copytree(DEMO_BASE, self.workspace / "models" / _MODEL)

    def settings(self, **changes: str) -> dict[str, str]:
        """Return the environment of a worker."""
        values = {
            "PYTHONPATH": str(Path(__file__).parents[2] / "Backend"),
            "WORKSPACE_PATH": str(self.workspace),
            "SCRATCH_PATH": str(self.root / "scratch"),
            "TRAIN_WAIT": "false",
            "ALLOW_CPU": "true",
            "DISK_MIN_FREE_BYTES": "0",
            "MIN_FREE_MEMORY_BYTES": "0",
            **({} if self.cuda else {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}),
        }
        return {**os.environ, **values, **self.variables, **changes}

    @contextmanager
    def worker(self, **changes: str) -> Iterator[LineWorker]:
        """Run a worker for one block."""
        worker = LineWorker(self.settings(**changes))
        try:
            worker.ask("ping")
            yield worker
        finally:
            worker.stop()

    def config(self, name: str, steps: int | None = None) -> dict[str, Any]:
        """Return the config of a training without samples, so that its steps are all that it does."""
        process = {
            "type": "diffusion_trainer",
            "network": {"type": "lora", "linear": 8, "linear_alpha": 8},
            "save": {"dtype": "float16", "save_every": 1_000_000},
            "datasets": [{"resolution": self.resolution}],
            "train": {"batch_size": 1, "steps": steps or self.steps, "lr": 1e-4, "disable_sampling": True},
            "model": {"name_or_path": self.model, "arch": self.arch},
            "sample": {"prompts": [], "sample_every": 1_000_000},
        }
        return {"job": "extension", "config": {"name": name, "process": [process]}}

    def train(self, worker: LineWorker, name: str, steps: int | None = None) -> dict[str, Any]:
        """Train to the end; return its status, whatever that is."""
        return worker.ask(
            "train",
            config=self.config(name, steps),
            dataset={"training_name": _DATASET},
            trainer="builtin",
            wait=True,
        )

    def generate(self, worker: LineWorker) -> dict[str, Any]:
        """Draw one image with the diffusers engine."""
        return worker.ask(
            "generate",
            engine="diffusers",
            model=self.model,
            prompt="a mimo",
            width=self.resolution,
            height=self.resolution,
            steps=10,
            seed=1,
            wait=True,
        )


def completed(process: Mapping[str, Any], workspace: Path) -> Path:
    """Return the folder of a training that completed.

    Raises:
        NotMeasuredError: it did not.
    """
    if process.get("status") != "completed":
        raise NotMeasuredError(
            f"a training ended as {process.get('status')}: {process.get('failure') or process}"
        )
    return workspace / "output" / str(process["process_id"]) / str(process["name"])


def step_times(folder: Path) -> list[float]:
    """Return when each step of a training that has ended was done, in seconds since the epoch."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as log:
        return [moment for (moment,) in log.execute("SELECT wall_time FROM steps ORDER BY step")]


def steps_a_second(folder: Path) -> float:
    """Return the speed of a training, without its first tenth.

    Raises:
        NotMeasuredError: it logged too few steps.
    """
    times = step_times(folder)
    times = times[len(times) // 10 :]
    if len(times) < 3 or times[-1] <= times[0]:
        raise NotMeasuredError(f"only {len(times)} steps were logged")
    return (len(times) - 1) / (times[-1] - times[0])


def used_bytes(worker: LineWorker, *, cuda: bool) -> float:
    """Return the memory in use: of the GPU, or without one what the worker and its children hold of the RAM."""
    if cuda:
        return float(sum(gpu["memory_used_bytes"] or 0 for gpu in worker.ask("health")["gpu"]))
    own = psutil.Process(worker.pid)
    return float(sum(process.memory_info().rss for process in (own, *own.children(recursive=True))))


def run_program(program: str, *arguments: str, environment: Mapping[str, str]) -> None:
    """Run a small Python program to its end."""
    subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=dict(environment),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
