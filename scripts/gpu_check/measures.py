"""The measures, each with its reference in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark_figures.figure import Figure
from gpu_check.workshop import (
    NotMeasuredError,
    Workshop,
    completed,
    run_program,
    step_times,
    steps_a_second,
    used_bytes,
)
from line_worker import LineWorker
from lorapod.settings import Settings
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.port import TrainingRequest
from lorapod.yaml_config.text import dump_config

#: What a person would write who has no engine: one process an image.
_PLAIN = """
import sys
import torch
from diffusers import AutoPipelineForText2Image
model, side, device = sys.argv[1], int(sys.argv[2]), sys.argv[3]
dtype = torch.float16 if device == "cuda" else torch.float32
pipeline = AutoPipelineForText2Image.from_pretrained(model, torch_dtype=dtype).to(device)
pipeline.set_progress_bar_config(disable=True)
generator = torch.Generator("cpu").manual_seed(1)
pipeline("a mimo", width=side, height=side, num_inference_steps=10, generator=generator)
"""
#: Takes all of the GPU's memory but this, and says so; gives it back when its stdin is closed.
_LEFT_BYTES = 300_000_000
_HOG = """
import sys
import torch
free, _ = torch.cuda.mem_get_info()
held = torch.empty(max(0, free - int(sys.argv[1])), dtype=torch.uint8, device="cuda")
print("held", flush=True)
sys.stdin.read()
"""


def speed(workshop: Workshop) -> Sequence[Figure]:
    """Steps a second of a managed training, against the same child without a worker, in turns."""
    managed, bare = [], []
    with workshop.worker() as worker:
        for turn in range(workshop.rounds):
            bare.append(steps_a_second(_train_bare(workshop, f"bare{turn}")))
            done = workshop.train(worker, f"managed{turn}")
            managed.append(steps_a_second(completed(done, workshop.workspace)))
    return [
        Figure(
            what=f"Steps of a managed training at {workshop.resolution} px",
            value=max(managed),
            unit="a second",
            against="the trainer alone",
            reference=max(bare),
            ratio_at_least=0.97,
        )
    ]


def first_step(workshop: Workshop) -> Sequence[Figure]:
    """Seconds from the request to the first step, with and without a process that has the trainer imported."""
    with workshop.worker(WARM_TRAINER="false") as worker:
        cold = min(_first_step_s(workshop, worker, f"cold{turn}") for turn in range(workshop.rounds))
    with workshop.worker(WARM_TRAINER="true") as worker:
        completed(workshop.train(worker, "imports", 2), workshop.workspace)
        warm = min(_first_step_s(workshop, worker, f"warm{turn}") for turn in range(workshop.rounds))
    return [
        Figure(
            what="From a request to the first step, warm",
            value=warm,
            unit="s",
            against="cold",
            reference=cold,
            ratio_at_most=1,
        )
    ]


def engine(workshop: Workshop) -> Sequence[Figure]:
    """Seconds for an image of the diffusers engine, against a fresh process for each."""
    model = workshop.workspace / "models" / workshop.model
    arguments = (
        str(model if model.exists() else workshop.model),
        str(workshop.resolution),
        "cuda" if workshop.cuda else "cpu",
    )
    plain = [
        _seconds(lambda: run_program(_PLAIN, *arguments, environment=workshop.settings()))
        for _ in range(workshop.rounds)
    ]
    with workshop.worker() as worker:
        first = _seconds(lambda: workshop.generate(worker))
        further = [_seconds(lambda: workshop.generate(worker)) for _ in range(3)]
    reference = min(plain)
    against = "a fresh process with diffusers"
    return [
        Figure(what="First image of the engine", value=first, unit="s", against=against, reference=reference),
        Figure(
            what="Each further image of the engine",
            value=statistics.median(further),
            unit="s",
            against=against,
            reference=reference,
            ratio_at_most=0.5,
        ),
    ]


def memory_for_a_training(workshop: Workshop) -> Sequence[Figure]:
    """Bytes that the engine holds after an image, and that are free again once a training has had the GPU."""
    kind = "GPU memory" if workshop.cuda else "RAM"
    with workshop.worker(WARM_TRAINER="false") as worker:
        before = used_bytes(worker, cuda=workshop.cuda)
        workshop.generate(worker)
        held = used_bytes(worker, cuda=workshop.cuda) - before
        completed(workshop.train(worker, "freed", 2), workshop.workspace)
        left = used_bytes(worker, cuda=workshop.cuda) - before
    return [
        Figure(
            what=f"{kind} that the engine gives back for a training",
            value=(held - left) / 1e6,
            unit="MB",
            against="what it held",
            reference=held / 1e6,
            ratio_at_least=0.9 if workshop.cuda else None,
        )
    ]


def out_of_memory(workshop: Workshop) -> Sequence[Figure]:
    """How a training ends that finds the GPU's memory taken, and whether the next one works.

    Raises:
        NotMeasuredError: there is no GPU, or the training did not end as `out_of_memory`.
    """
    if not workshop.cuda:
        raise NotMeasuredError("the memory of a GPU cannot be filled without one")
    with workshop.worker() as worker:
        completed(workshop.train(worker, "before", 2), workshop.workspace)
        with _memory_taken(workshop.settings()):
            began = time.monotonic()
            failed = workshop.train(worker, "full", 50)
            took_s = time.monotonic() - began
        code = (failed.get("failure") or {}).get("code")
        if failed.get("status") != "failed" or code != "out_of_memory":
            raise NotMeasuredError(f"it ended as {failed.get('status')} with {code}, not as out_of_memory")
        completed(workshop.train(worker, "after", 2), workshop.workspace)
    return [
        Figure(
            what="A training without memory ends as `out_of_memory`, and the next one completes",
            value=took_s,
            unit="s",
        )
    ]


MEASURES: Mapping[str, Callable[[Workshop], Sequence[Figure]]] = {
    "speed": speed,
    "first-step": first_step,
    "engine": engine,
    "memory-for-a-training": memory_for_a_training,
    "out-of-memory": out_of_memory,
}


def _train_bare(workshop: Workshop, name: str) -> Path:
    """Run the trainer's own child to its end, with nothing around it."""
    trainer = BuiltinTrainer(settings=Settings(workspace_path=workshop.workspace))
    folder = workshop.root / "bare" / name
    folder.mkdir(parents=True)
    request = TrainingRequest(
        process_id="train_000000000000",
        config=workshop.config(name),
        dataset=workshop.dataset,
        training_folder=folder,
        scratch=folder,
        workspace=workshop.workspace,
    )
    plan = trainer.prepare(request)
    config_path = folder / "config.yaml"
    config_path.write_text(dump_config(plan.config), encoding="utf-8")
    spec = trainer.launch(plan, config_path)
    done = subprocess.run(
        spec.argv,
        cwd=spec.cwd,
        env={**workshop.settings(), **spec.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NotMeasuredError(f"the trainer alone failed: {done.stdout[-300:]}{done.stderr[-300:]}")
    return plan.run_folder


def _first_step_s(workshop: Workshop, worker: LineWorker, name: str) -> float:
    began = time.time()
    done = workshop.train(worker, name, 3)
    return step_times(completed(done, workshop.workspace))[0] - began


def _seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


@contextmanager
def _memory_taken(environment: Mapping[str, str]) -> Iterator[None]:
    """Hold nearly all of the GPU's memory for one block."""
    argv = [sys.executable, "-c", _HOG, str(_LEFT_BYTES)]
    with subprocess.Popen(
        argv, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as hog:
        assert hog.stdout is not None
        assert hog.stdin is not None
        if hog.stdout.readline().strip() != "held":
            raise NotMeasuredError("the GPU's memory could not be filled")
        try:
            yield
        finally:
            hog.stdin.close()
