from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.trainers.speed.test_forecasts import GPU, SDXL

from lorapod.records.forecast import Basis, Forecast
from lorapod.records.progress import Observation
from lorapod.trainers.speed import SpeedBook, SpeedRecorder
from lorapod.trainers.speed.meter import MIN_STEPS, SpeedMeter
from lorapod.trainers.speed.recorder import EVERY_S
from lorapod.workspace import Workspace


def meter(first_step: int = 0) -> SpeedMeter:
    return SpeedMeter(device=GPU, workload=SDXL, first_step=first_step)


def test_start_steps_and_the_rest_are_told_apart() -> None:
    run = meter()
    run.observe(Observation(), 0, 15.0)
    for step in range(1, 11):
        run.observe(Observation(steps_per_s=2.0), step, 20.0 + step / 2)
    # Samples are drawn for ten seconds; the trainer's own clock stands still.
    run.observe(Observation(steps_per_s=2.0), 20, 20.0 + 20 / 2 + 10.0)
    found = run.measured()
    assert found is not None
    assert (found.steps, found.steps_per_s, found.start_s) == (20, 2.0, 20.0)
    assert found.other_s_per_step == pytest.approx(10.0 / 20)


def test_one_slow_step_does_not_count() -> None:
    run = meter()
    for step, speed in enumerate((0.01, 2.0, 2.0, 2.1, 1.9, float("inf"), 0.0), start=1):
        run.observe(Observation(steps_per_s=speed), step, float(step))
    found = run.measured()
    assert found is not None
    assert found.steps_per_s == 2.0


def test_few_steps_say_nothing_and_those_of_earlier_runs_do_not_count() -> None:
    run = meter(first_step=500)
    for step in range(500, 500 + MIN_STEPS):
        run.observe(Observation(steps_per_s=2.0), step, 30.0)
    assert run.measured() is None
    run.observe(Observation(steps_per_s=2.0), 500 + MIN_STEPS, 30.0)
    found = run.measured()
    assert found is not None
    assert found.steps == MIN_STEPS


def test_what_is_measured_is_kept_while_it_runs_and_at_its_end(tmp_path: Path) -> None:
    book = SpeedBook(Workspace.create(tmp_path))
    recorder = SpeedRecorder("train_000000000001", meter(), book)
    expected = Forecast(steps_per_s=9.0, basis=Basis.RULE_OF_THUMB, gpu_memory_bytes=7, gpu=GPU)
    recorder.observe(Observation(steps_per_s=1.0), 1, EVERY_S + 1)
    assert recorder.forecast(expected) is expected
    assert book.measured(GPU, SDXL) == []
    recorder.observe(Observation(steps_per_s=1.0), 10, EVERY_S + 10)
    assert [one.steps for one in book.measured(GPU, SDXL)] == [10]
    own = recorder.forecast(expected)
    assert own is not None
    assert (own.steps_per_s, own.basis, own.gpu_memory_bytes, own.gpu) == (1.0, Basis.HERE, 7, GPU)
    recorder.observe(Observation(steps_per_s=1.0), 20, EVERY_S + 20)
    recorder.end(EVERY_S + 30)
    (kept,) = book.measured(GPU, SDXL)
    assert kept.steps == 20
    assert kept.other_s_per_step == pytest.approx(10 / 20)
