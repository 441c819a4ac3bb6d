"""How much sooner the first step comes from a warm trainer than from a cold one, same config, same run."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import time
from collections.abc import Iterator, Mapping

import pytest
from tests.benchmarks.report import Report
from tests.integration.builtin_runs import DEADLINE_S, ENVIRONMENT, PROCESS_ID, Bench, config

from lorapod.processes.starting import ColdStarter, Starter
from lorapod.processes.template.pool import TemplatePool
from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.port import Trainer, TrainingRequest
from lorapod.yaml_config.text import dump_config

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

#: The first step of a warm training may take so much of a cold one's.
BOUND = 0.30
ROUNDS = 3

_STEP = re.compile(rb"bench: [^\r\n]*\| [1-9]\d*/")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    opened = Bench.create(tmp_path_factory.mktemp("bench"))
    yield opened
    opened.close()


def first_step_s(starter: Starter, trainer: Trainer, bench: Bench, environment: Mapping[str, str]) -> float:
    """Seconds from the launch of a fresh training to the end of its first step."""
    output, scratch = bench.workspace.output / PROCESS_ID, bench.scratch / "bench"
    for folder in (output, scratch, bench.pictures / "_latent_cache"):
        shutil.rmtree(folder, ignore_errors=True)
    request = TrainingRequest(
        process_id=PROCESS_ID,
        config=config("bench", train={"steps": 3, "disable_sampling": True}),
        dataset=bench.pictures,
        training_folder=output,
        scratch=scratch,
        workspace=bench.workspace.root,
    )
    plan = trainer.prepare(request)
    scratch.mkdir(parents=True)
    output.mkdir(parents=True)
    config_path = scratch / "config.yaml"
    config_path.write_text(dump_config(plan.config))
    spec = trainer.launch(plan, config_path)
    starter.await_ready(trainer.warm, environment, lambda: False)
    began = time.perf_counter()
    child = starter.start_child(spec, environment, warm=trainer.warm, fence_s=600)
    took, seen = None, b""
    with selectors.DefaultSelector() as selector:
        for stream in child.streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and (ready := selector.select(DEADLINE_S)):
            for key, _ in ready:
                if not (chunk := os.read(key.fd, 65536)):
                    selector.unregister(key.fileobj)
                seen += chunk
            if took is None and _STEP.search(seen):
                took = time.perf_counter() - began
    child.end_group()
    assert child.reap().exit_code == 0, seen.decode(errors="replace")
    assert took is not None
    return took


def measure(trainer: Trainer, bench: Bench, report: Report) -> None:
    environment = {
        **Settings().trainer_environment(),
        **ENVIRONMENT,
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    }
    pool = TemplatePool()
    began = time.perf_counter()
    pool.await_ready(trainer.warm, environment, lambda: False)
    assert pool.template_pids()
    report(f"Imports of {trainer.name}, once a worker", time.perf_counter() - began, "s")
    times: dict[Starter, list[float]] = {ColdStarter(): [], pool: []}
    try:
        for _ in range(ROUNDS):
            for starter, taken in times.items():
                taken.append(first_step_s(starter, trainer, bench, environment))
    finally:
        pool.close()
    # The fastest of each: what else the machine does only ever adds.
    cold, warm = (min(taken) for taken in times.values())
    report(
        f"First step of {trainer.name}, warm",
        warm,
        "s",
        against="cold",
        reference=cold,
        ratio_at_most=BOUND,
    )


def test_builtin(bench: Bench, report: Report) -> None:
    measure(BuiltinTrainer(settings=Settings()), bench, report)


@pytest.mark.ai_toolkit
def test_ai_toolkit(bench: Bench, report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_CPU", "1")
    trainer = AIToolkitTrainer(settings=Settings(), workspace=bench.workspace)
    if not trainer.probe().available:
        pytest.skip(f"no AI Toolkit: {trainer.probe().detail}")
    measure(trainer, bench, report)
