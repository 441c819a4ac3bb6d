from __future__ import annotations

import sys

import pytest
from tests.benchmarks.report import Report


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Report:
    """Writes one line of figures past pytest's capture."""

    def write(line: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {line}")

    return write
