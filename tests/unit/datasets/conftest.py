from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.datasets.library_bench import LibraryBench


@pytest.fixture
def bench(tmp_path: Path) -> LibraryBench:
    return LibraryBench(tmp_path / "workspace")
