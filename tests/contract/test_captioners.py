"""What every captioner promises."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.contract.engine_cases import shared_pool
from tests.servers.toolkit_captioner import install_captioner
from tests.tiny_captioners import tiny_captioner
from tests.unit.datasets.library_bench import picture

from lorapod.captioners.ai_toolkit.adapter import AIToolkitCaptioner
from lorapod.captioners.port import Captioner, CaptionImage, CaptioningStopped, CaptionRequest
from lorapod.captioners.prompts import CaptionStyle
from lorapod.captioners.transformers.adapter import TransformersCaptioner
from lorapod.clock import SystemClock
from lorapod.errors import WorkerError
from lorapod.settings import Settings
from lorapod.testing.captioner import FakeCaptioner, RecordedCaptioning
from lorapod.workspace import Workspace

#: The environment variable with the real AI Toolkit's Python; its checkout is in `AI_TOOLKIT_PATH`.
_PYTHON = "AI_TOOLKIT_PYTHON"


@dataclass(frozen=True, kw_only=True)
class CaptionerCase:
    """One captioner, and models for it."""

    name: str
    open: Callable[[Workspace], Captioner]
    model: str
    #: One that takes a moment for each image; with `slow_tokens`.
    slow: str
    slow_tokens: int = 8
    #: One that is refused, and one that fails.
    refused: str = "../../etc"
    broken: str
    marks: tuple[str, ...] = ()


def _fake(_workspace: Workspace) -> Captioner:
    return FakeCaptioner()


def _transformers(workspace: Workspace) -> Captioner:
    shutil.copytree(tiny_captioner("blip"), workspace.models / "blip")
    other = workspace.models / "broken"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    (other / "model.safetensors").write_bytes(b"")
    return TransformersCaptioner(
        settings=Settings(workspace_path=workspace.root, hf_hub_offline=True),
        workspace=workspace,
        clock=SystemClock(),
        starter=shared_pool(),
    )


def _toolkit(workspace: Workspace) -> Captioner:
    # A stand-in: the real one needs an environment of two gigabytes of its own.
    for name in ("tiny", "slow", "broken"):
        (workspace.models / name).mkdir()
    root = install_captioner(workspace.root.parent / "ai-toolkit")
    settings = Settings(
        workspace_path=workspace.root, ai_toolkit_path=root, ai_toolkit_python=Path(sys.executable)
    )
    return AIToolkitCaptioner(settings=settings, workspace=workspace)


def _real_toolkit(workspace: Workspace) -> Captioner:
    root, python = os.environ.get("AI_TOOLKIT_PATH"), os.environ.get(_PYTHON)
    if root is None or python is None:
        pytest.skip(f"no AI Toolkit: set AI_TOOLKIT_PATH and {_PYTHON}")
    shutil.copytree(tiny_captioner("qwen"), workspace.models / "tiny")
    (workspace.models / "broken").mkdir()
    settings = Settings(
        workspace_path=workspace.root, ai_toolkit_path=Path(root), ai_toolkit_python=Path(python)
    )
    return AIToolkitCaptioner(settings=settings, workspace=workspace)


CASES = [
    CaptionerCase(name="fake", open=_fake, model="fake", slow="fake slow", broken="fake broken"),
    CaptionerCase(
        name="transformers",
        open=_transformers,
        model="blip",
        slow="blip",
        slow_tokens=300,
        broken="models/broken",
        marks=("torch",),
    ),
    CaptionerCase(
        name="ai-toolkit", open=_toolkit, model="models/tiny", slow="models/slow", broken="models/broken"
    ),
    CaptionerCase(
        name="real ai-toolkit",
        open=_real_toolkit,
        model="models/tiny",
        slow="models/tiny",
        slow_tokens=300,
        broken="models/broken",
        marks=("ai_toolkit", "slow"),
    ),
]


@pytest.fixture(
    params=[
        pytest.param(case, id=case.name, marks=[getattr(pytest.mark, mark) for mark in case.marks])
        for case in CASES
    ]
)
def case(request: pytest.FixtureRequest) -> CaptionerCase:
    found: CaptionerCase = request.param
    return found


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def captioner(case: CaptionerCase, workspace: Workspace) -> Iterator[Captioner]:
    opened = case.open(workspace)
    yield opened
    opened.close()


def asked(
    case: CaptionerCase, workspace: Workspace, process_id: str = "caption_000000000001"
) -> CaptionRequest:
    scratch = workspace.root.parent / "scratch" / process_id
    scratch.mkdir(parents=True, exist_ok=True)
    return CaptionRequest(
        process_id=process_id,
        model=case.model,
        style=CaptionStyle.NATURAL,
        prompt="a photo of",
        own_prompt=True,
        max_new_tokens=8,
        batch_size=None,
        scratch=scratch,
    )


def pictures(workspace: Workspace, count: int) -> list[CaptionImage]:
    folder = workspace.training_data / "cats"
    folder.mkdir(exist_ok=True)
    images = []
    for number in range(count):
        path = folder / f"{number}.png"
        path.write_bytes(picture(size=(48 + number, 48)))
        images.append(CaptionImage(name=path.name, pictures=[path], prompt="a photo of"))
    return images


def test_it_says_what_it_is(captioner: Captioner) -> None:
    status = captioner.probe()

    assert status.available, status.detail
    assert status.detail
    assert captioner.name


def test_each_image_is_reported_once_and_the_dataset_is_not_touched(
    case: CaptionerCase, captioner: Captioner, workspace: Workspace
) -> None:
    images, run, request = pictures(workspace, 3), RecordedCaptioning(), asked(case, workspace)
    two_frames = CaptionImage(
        name="clip.mp4", pictures=[images[0].pictures[0], images[1].pictures[0]], prompt="a photo of"
    )
    gone = CaptionImage(
        name="gone.png", pictures=[workspace.training_data / "cats" / "gone.png"], prompt="a photo of"
    )
    before = sorted((workspace.training_data / "cats").iterdir())

    assert list(captioner.prepare(request)) == []
    captioner.caption(request, iter([*images, gone, two_frames]), run)

    assert sorted(run.texts) == ["0.png", "1.png", "2.png", "clip.mp4"]
    assert all(text.strip() for text in run.texts.values())
    assert list(run.failures) == ["gone.png"]
    assert run.failures["gone.png"].endswith(".")
    assert sorted((workspace.training_data / "cats").iterdir()) == before


def test_it_captions_again_and_after_its_gpu_was_taken(
    case: CaptionerCase, captioner: Captioner, workspace: Workspace
) -> None:
    images = pictures(workspace, 1)
    texts = []
    for number in range(3):
        run, request = RecordedCaptioning(), asked(case, workspace, f"caption_00000000000{number}")
        captioner.caption(request, images, run)
        texts.append(run.texts["0.png"])
        if number == 1:
            captioner.release()
            assert not captioner.probe().resident
    assert len(set(texts)) == 1


def test_it_stops_soon_and_what_it_has_stays(
    case: CaptionerCase, captioner: Captioner, workspace: Workspace
) -> None:
    images, run = pictures(workspace, 40), RecordedCaptioning()
    request = replace(asked(case, workspace), model=case.slow, max_new_tokens=case.slow_tokens)

    def stop() -> None:
        while not run.texts:
            time.sleep(0.01)
        run.stop.set()

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(CaptioningStopped):
        captioner.caption(request, images, run)
    assert 1 <= len(run.texts) < 40
    assert run.failures == {}


def test_what_it_cannot_use_is_refused_before_the_start(
    case: CaptionerCase, captioner: Captioner, workspace: Workspace
) -> None:
    with pytest.raises(WorkerError) as refused:
        captioner.prepare(replace(asked(case, workspace), model=case.refused))
    assert refused.value.message.endswith(".")


def test_a_model_that_fails_is_one_sentence(
    case: CaptionerCase, captioner: Captioner, workspace: Workspace
) -> None:
    run = RecordedCaptioning()
    with pytest.raises(WorkerError) as failed:
        captioner.caption(replace(asked(case, workspace), model=case.broken), pictures(workspace, 1), run)
    assert "\n" not in failed.value.message
    assert run.texts == {}
