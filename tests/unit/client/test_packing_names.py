"""Names of files that are not UTF-8: they are told as skipped, and the others are sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lorapod.client.packing import FolderFiles


@pytest.mark.parametrize("below", ["", "inner"])
def test_a_name_that_is_not_utf_8_is_skipped(tmp_path: Path, below: str) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / "one.png").write_bytes(b"1")
    Path(os.fsdecode(os.fsencode(tmp_path / below) + b"/two\xff.png")).write_bytes(b"2")

    found = FolderFiles.of(tmp_path)
    with found.to_send() as paths:
        assert len(paths) == 1

    assert [path.name for path in (*found.top, *found.nested)] == ["one.png"]
    assert [Path(name).name for name in found.skipped] == ["two\ufffd.png"]
