from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.actions.desk import SECRETS, Desk

from lorapod.lora_tools import task
from lorapod.lora_tools.job import LoraToolAnswer, LoraToolJob


@pytest.fixture(scope="module", autouse=True)
def quick_lora_tools() -> Iterator[None]:
    """The LoRA tools of these workers copy a file: their child needs seconds for its imports."""

    def copy(job: LoraToolJob, _path: Path, _run: object) -> LoraToolAnswer:
        shutil.copy(job.sources[0], job.target)
        return LoraToolAnswer(rank=4, modules=1, key_format="diffusers", dtypes=["F16"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "_run_child", copy)
        yield


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with (
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner() as runner,
        pytest.MonkeyPatch.context() as patch,
    ):
        outside = Path(folder).resolve()
        for name, secret in SECRETS.items():
            patch.setenv(name, secret)
        # What is written by a relative path lands beside the workspace, where it is found.
        patch.chdir(outside)
        desk = Desk(outside, runner)
        yield desk
        desk.worker.close()
