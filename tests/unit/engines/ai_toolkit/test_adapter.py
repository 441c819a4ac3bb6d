"""AI Toolkit as an engine, with a checkout that behaves as the real one's generate job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.servers.toolkit_stand_in import install_stand_in

from lorapod.engines.ai_toolkit.adapter import AIToolkitEngine
from lorapod.engines.port import Generation, GenerationResult, GenerationStopped, LoraUse
from lorapod.errors import ErrorCode, InvalidInput, Unsupported, WorkerError
from lorapod.processes.slots import Slot
from lorapod.settings import Settings
from lorapod.testing.engine import RecordedRun
from lorapod.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace.create(tmp_path / "workspace")
    (workspace.models / "tiny").mkdir()
    return workspace


@pytest.fixture
def toolkit(tmp_path: Path) -> Path:
    return install_stand_in(tmp_path / "ai-toolkit")


@pytest.fixture
def engine(workspace: Workspace, toolkit: Path) -> AIToolkitEngine:
    settings = Settings(
        workspace_path=workspace.root, ai_toolkit_path=toolkit, ai_toolkit_python=Path(sys.executable)
    )
    return AIToolkitEngine(settings=settings, workspace=workspace)


def config(*prompts: str, model: dict[str, Any] | None = None, **asked: Any) -> dict[str, Any]:
    process = {
        "type": "to_folder",
        "output_folder": "output/gen",
        "device": "cuda:3",
        "generate": {"width": 64, "height": 64, "prompts": list(prompts) or ["a square"], **asked},
        "model": model or {"name_or_path": "models/tiny", "arch": "zimage"},
    }
    return {"job": "generate", "config": {"name": "gen", "process": [process]}}


def generation(workspace: Workspace, **fields: Any) -> Generation:
    folder = workspace.output_folder("generate_000000000001")
    scratch = workspace.root.parent / "scratch"
    for path in (folder, scratch):
        path.mkdir(exist_ok=True)
    defaults = {"process_id": "generate_000000000001", "seed": 70_000, "folder": folder, "scratch": scratch}
    return Generation(**{**defaults, "config": config(), **fields})


def run_on(engine: AIToolkitEngine, asked: Generation, run: RecordedRun | None = None) -> GenerationResult:
    engine.prepare(asked)
    return engine.generate(asked, run or RecordedRun())


def test_it_tells_the_installation(engine: AIToolkitEngine, toolkit: Path) -> None:
    status = engine.probe()
    assert (status.available, status.version, status.resident) == (True, "0.12.26", False)
    (toolkit / "run.py").unlink()
    assert "AI_TOOLKIT_PATH" in engine.probe().detail


def colours(made: GenerationResult) -> list[Any]:
    found = []
    for file in made.files:
        with Image.open(file.path) as image:
            found.append(image.getpixel((0, 0)))
    return found


def test_a_config_becomes_pictures(engine: AIToolkitEngine, workspace: Workspace) -> None:
    asked = generation(workspace, config=config("a", "b", num_repeats=2))
    run = RecordedRun()

    assert "draws the seeds" in engine.prepare(asked)[0]
    made = run_on(engine, asked, run)

    assert [file.seed for file in made.files] == [None] * 4
    assert len(set(colours(made))) == 4
    assert all(file.path.parent == asked.folder for file in made.files)
    assert sorted(path.name for path in asked.folder.iterdir()) == sorted(
        file.path.name for file in made.files
    )
    assert [told.percent for told in run.reported if told.percent is not None] == [0, 25, 50, 75, 100]
    # The same seed makes the same four again.
    again = run_on(engine, generation(workspace, config=config("a", "b", num_repeats=2)))
    assert colours(again) == colours(made)
    other = run_on(engine, generation(workspace, seed=8, config=config("a", "b", num_repeats=2)))
    assert colours(other) != colours(made)
    assert {file.path for file in again.files}.isdisjoint(file.path for file in made.files)


def test_the_seed_is_the_requests_unless_the_config_has_its_own(
    engine: AIToolkitEngine, workspace: Workspace
) -> None:
    made = run_on(engine, generation(workspace, config=config("a", "b")))
    assert [file.seed for file in made.files] == [70_000, 70_000]
    assert set(colours(made)) == {(70_000 & 255, 70_000 >> 8 & 255, 70_000 >> 16 & 255)}
    own = run_on(engine, generation(workspace, config=config(seed=5)))
    assert [file.seed for file in own.files] == [5]


def test_what_stands_beside_the_config_goes_before_it(engine: AIToolkitEngine, workspace: Workspace) -> None:
    asked = generation(
        workspace, prompt="another", width=128, height=64, steps=3, guidance_scale=2.0, negative_prompt="no"
    )
    run = RecordedRun()

    made = run_on(engine, asked, run)

    with Image.open(made.files[0].path) as image:
        assert image.size == (128, 64)
    said = "\n".join(run.lines)
    for part in ('"another"', '"sample_steps": 3', '"guidance_scale": 2.0', '"neg": "no"'):
        assert part in said


@pytest.mark.parametrize(("gpu", "device"), [(None, "cpu"), (1, "cuda:0")])
def test_the_device_is_the_slots(
    engine: AIToolkitEngine, workspace: Workspace, gpu: int | None, device: str
) -> None:
    run = RecordedRun(slot=Slot(gpu=gpu))
    run_on(engine, generation(workspace), run)
    assert f"Using device {device}" in run.lines
    assert ('"dtype": "float32"' in "\n".join(run.lines)) == (gpu is None)


def test_prompt_files_stay_where_they_are_wished(engine: AIToolkitEngine, workspace: Workspace) -> None:
    asked = generation(workspace, config=config(prompt_file=True))
    run_on(engine, asked)
    assert [path.suffix for path in sorted(asked.folder.iterdir())] == [".png", ".txt"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"config": None, "prompt": "a cat"}, "needs a config"),
        ({"config": {"job": "extension"}}, "must be generate"),
        ({"config": {"job": "generate", "config": {"process": []}}}, "list with one mapping"),
        (
            {"config": config(model={"name_or_path": "models/none.safetensors", "arch": "zimage"})},
            "neither in the workspace nor",
        ),
        ({"config": config(model={"name_or_path": "/etc", "arch": "zimage"})}, "name_or_path"),
        ({"config": config(model={"name_or_path": "models/tiny", "arch": "zimge"})}, "did you mean 'zimage'"),
        (
            {"config": config(model={"name_or_path": "models/tiny", "arch": "zimage", "lora_path": "../x"})},
            "",
        ),
        ({"config": config("show ${HF_TOKEN}")}, "replaces from the environment"),
        ({"config": config(prompts="/etc/passwd")}, "name of a file"),
        ({"config": config(random_prompts=True)}, "ten thousand"),
        ({"config": config(width="wide")}, "whole number"),
        ({"config": config(seed="4")}, "seed"),
        ({"config": config(prompts=[])}, "a list of texts"),
        ({"strength": 0.5, "length": 9}, "cannot be used"),
        ({"loras": (LoraUse(path=Path("/x.safetensors"), name="x"),)}, "cannot be used"),
    ],
)
def test_what_it_would_refuse_is_refused_before_the_start(
    engine: AIToolkitEngine, workspace: Workspace, fields: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        engine.prepare(generation(workspace, **fields))
    assert told in refused.value.message


def test_an_architecture_that_its_job_fails_for_is_refused(
    engine: AIToolkitEngine, workspace: Workspace, toolkit: Path
) -> None:
    old = generation(workspace, config=config(model={"name_or_path": "models/tiny", "arch": "sd1"}))
    with pytest.raises(Unsupported, match="cannot generate with sd1"):
        engine.prepare(old)

    # A later version that has mended it.
    (toolkit / "jobs/process/GenerateProcess.py").write_text("sampler = get_sampler('ddpm')\n")
    assert engine.prepare(old) == []


def test_what_it_has_no_use_for_is_a_warning(engine: AIToolkitEngine, workspace: Workspace) -> None:
    asked = generation(workspace, config=config("a cat --seed 4"), params={"sampler": "euler"})
    assert len(engine.prepare(asked)) == 2


@pytest.mark.parametrize(
    ("prompt", "code", "told"),
    [
        ("fail now", ErrorCode.INTERNAL, "the prompt said so"),
        ("memory hog", ErrorCode.OUT_OF_MEMORY, "ran out of memory"),
        ("nothing at all", ErrorCode.INTERNAL, "has made nothing"),
    ],
)
def test_a_failure_is_told_with_its_own_words(
    engine: AIToolkitEngine, workspace: Workspace, prompt: str, code: ErrorCode, told: str
) -> None:
    with pytest.raises(WorkerError) as failure:
        run_on(engine, generation(workspace, config=config(prompt)))
    assert failure.value.code is code
    assert told in failure.value.message


def test_an_interrupt_is_no_success_though_it_exits_with_0(
    engine: AIToolkitEngine, workspace: Workspace
) -> None:
    run = RecordedRun()
    run.stop.set()
    with pytest.raises(GenerationStopped):
        run_on(engine, generation(workspace, config=config("slow")), run)
