"""The images that a captioning has captioned, so that a resumed run repeats and forgets no image."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

NAME = "captioned.jsonl"


class CaptionLedger:
    """A file with one name a line; it is only ever added to, by one process at a time."""

    def __init__(self, path: Path) -> None:
        """Use the file at `path`, which may not exist yet."""
        self._path = path
        self.names: set[str] = set(_read(path))
        #: Whether an earlier run has opened it.
        self.begun = path.exists()
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """Open the file for adding.

        Raises:
            OSError: it cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def add(self, name: str) -> None:
        """Note that an image has its caption; one that is lost in a power cut is captioned again.

        Raises:
            OSError: it cannot be written.
        """
        assert self._descriptor is not None, "the ledger is not open"
        self.names.add(name)
        # A line end before it too: a write that was cut off spoils no other name.
        os.write(self._descriptor, f"\n{json.dumps(name)}\n".encode())


def _read(path: Path) -> Iterator[str]:
    with suppress(FileNotFoundError):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                name = json.loads(line)
                if isinstance(name, str):
                    yield name
