"""What earlier calls of `lorapod run` have done for a dataset, kept on this machine.

Nothing here is the only copy of anything: every request that starts a process has a key made of its content, so a worker that
gets it again finds the process of the first time. The file saves the questions, and the same upload twice.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ValidationError

#: Runs of one dataset that are remembered.
_MOST_RUNS = 50


class SentDataset(BaseModel):
    """A dataset as it was sent."""

    #: SHA-256 by the name in the folder.
    files: dict[str, str]
    #: Whether all of them have arrived.
    complete: bool = False
    #: How often the sending was begun.
    sends: int = 0


class RunProgress(BaseModel):
    """How far one run is: a folder's content with the options of its training."""

    #: Trainings that are gone; the next one has its own key.
    gone: int = 0
    #: Whether the worker has checked the training.
    checked: bool = False
    #: Whether the person wants missing captions written; None: they were not asked.
    captions: bool | None = None
    #: Whether every image has a caption.
    captioned: bool = False
    captioning: str | None = None
    training: str | None = None
    comparison: str | None = None
    #: Path on the worker, and step, of the checkpoint that was chosen.
    checkpoint: str | None = None
    step: int | None = None
    #: Why it was chosen.
    why: str = ""
    #: The worker's scores, if it has compared the checkpoints.
    recommended: bool = False
    #: Folder on this machine for the results, and the files there.
    folder: str | None = None
    lora: str | None = None
    grid: str | None = None
    report: str | None = None


class _Document(BaseModel):
    """The file."""

    version: Literal[1] = 1
    datasets: dict[str, SentDataset] = {}
    #: By the key of the run; the newest last.
    runs: dict[str, RunProgress] = {}


@dataclass(kw_only=True)
class RunState:
    """What is known of a dataset on one endpoint, and where it is kept."""

    path: Path
    on_unwritable: Callable[[str], None]
    document: _Document = field(default_factory=_Document)

    @classmethod
    def load(cls, path: Path, on_unwritable: Callable[[str], None]) -> Self:
        """Read the state; one that is missing, damaged or of another version is started from empty.

        `on_unwritable` is called with a sentence whenever it cannot be written; the worker's records do in its place.
        """
        try:
            document = _Document.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            document = _Document()
        return cls(path=path, document=document, on_unwritable=on_unwritable)

    @property
    def datasets(self) -> dict[str, SentDataset]:
        """The datasets that were sent, by name."""
        return self.document.datasets

    def run(self, key: str) -> RunProgress:
        """Return the run with this key, a new one if there is none, and make it the newest."""
        runs = self.document.runs
        found = runs.pop(key, None) or RunProgress()
        runs[key] = found
        for old in list(runs)[:-_MOST_RUNS]:
            del runs[old]
        return found

    def save(self) -> None:
        """Write the state in one step, if the disk takes it."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Not forced to the disk: what a power cut takes, the worker knows.
            beside.write_text(self.document.model_dump_json(), encoding="utf-8")
            beside.replace(self.path)
        except OSError as error:
            self.on_unwritable(f"what is done cannot be noted in {self.path.parent}: {error.strerror}.")
            with suppress(OSError):
                beside.unlink()


def state_path(endpoint_url: str, dataset: str) -> Path:
    """Return where the state of this dataset on this endpoint is: below `XDG_STATE_HOME`, by default `~/.local/state`."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home, "lorapod", "runs", f"{digest_of([endpoint_url, dataset])[:24]}.json")


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
