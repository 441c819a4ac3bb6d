from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.actions.desk import SECRETS, Desk


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
