"""What every engine promises."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.engine_cases import CASES, EngineCase, opened

from lorapod.engines.port import Engine, GenerationStopped
from lorapod.errors import WorkerError
from lorapod.kinds import FileKind, kind_of
from lorapod.testing.engine import RecordedRun

#: Within so long an engine ends that was told to.
STOP_S = 10.0


@pytest.fixture(
    params=[
        pytest.param(case, id=case.name, marks=[getattr(pytest.mark, mark) for mark in case.marks])
        for case in CASES
    ]
)
def case(request: pytest.FixtureRequest) -> EngineCase:
    found: EngineCase = request.param
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def engine(case: EngineCase, root: Path) -> Iterator[Engine]:
    with opened(case, root) as found:
        yield found


def test_it_says_what_it_is(engine: Engine) -> None:
    status = engine.probe()

    assert status.available, status.detail
    assert status.detail
    assert engine.name
    assert engine.min_gpu_memory_bytes >= 0


def test_it_makes_the_files_that_it_names(case: EngineCase, engine: Engine, root: Path) -> None:
    generation = case.generation(root, "generate_000000000001", case.quick)
    run = RecordedRun()

    assert list(engine.prepare(generation)) == []
    made = engine.generate(generation, run)

    assert made.files
    assert len({file.path for file in made.files}) == len(made.files)
    for file in made.files:
        assert file.path.is_relative_to(generation.folder)
        assert file.path.stat().st_size
        assert kind_of(file.path.name) in {FileKind.IMAGE, FileKind.VIDEO, FileKind.OTHER}
    assert all(seconds >= 0 for seconds in made.timings.values())
    assert run.reported, "it never said how far it was"


def test_the_same_seed_makes_the_same(case: EngineCase, engine: Engine, root: Path) -> None:
    if not case.repeatable:
        pytest.skip(f"{case.name} does not promise it")
    fields = [case.quick, case.quick, {**case.quick, "seed": 8_000_000}]

    made = [
        engine.generate(case.generation(root, f"generate_00000000000{index}", each), RecordedRun())
        for index, each in enumerate(fields)
    ]

    first, again, other = ([file.path.read_bytes() for file in result.files] for result in made)
    assert first == again
    assert first != other


def test_preparing_writes_nothing(case: EngineCase, engine: Engine, root: Path) -> None:
    engine.prepare(case.generation(root, "generate_000000000001", case.quick))

    assert [path for path in (root / "output").rglob("*") if path.is_file()] == []


def test_what_cannot_be_generated_is_refused_before_the_start(
    case: EngineCase, engine: Engine, root: Path
) -> None:
    with pytest.raises(WorkerError) as refused:
        engine.prepare(case.generation(root, "generate_000000000001", case.bad))

    assert "Traceback" not in refused.value.message


def test_it_ends_when_it_is_told_to(case: EngineCase, engine: Engine, root: Path) -> None:
    run = RecordedRun()
    began_s = time.monotonic()
    stopper = threading.Timer(0.5, run.stop.set)
    stopper.start()

    with pytest.raises(GenerationStopped):
        engine.generate(case.generation(root, "generate_000000000001", case.long), run)

    assert time.monotonic() - began_s < 0.5 + STOP_S
    after = case.generation(root, "generate_000000000002", case.quick)
    assert engine.generate(after, RecordedRun()).files, "it is of no use after a stop"


def test_it_fails_with_a_sentence_and_goes_on(case: EngineCase, engine: Engine, root: Path) -> None:
    if not case.failing:
        pytest.skip(f"nothing makes {case.name} fail on purpose")
    failing = case.generation(root, "generate_000000000001", case.failing)

    with pytest.raises(WorkerError) as failure:
        engine.generate(failing, RecordedRun())

    assert failure.value.message
    assert "Traceback" not in failure.value.message
    after = case.generation(root, "generate_000000000002", case.quick)
    assert engine.generate(after, RecordedRun()).files


def test_it_gives_the_gpu_up_and_takes_it_again(case: EngineCase, engine: Engine, root: Path) -> None:
    engine.release()
    engine.generate(case.generation(root, "generate_000000000001", case.quick), RecordedRun())

    engine.release()
    engine.release()

    assert not engine.probe().resident
    again = case.generation(root, "generate_000000000002", case.quick)
    assert engine.generate(again, RecordedRun()).files
