"""Which steps were trained in which run, and whether a step before the last checkpoint was trained twice.

A *run* is the life of one child. A checkpoint *stands* when its trainer has said that it is written, or, for the
script, has witnessed it. The promise: the first step of a run comes after every step of which a checkpoint stood when
the run began. Steps after the last checkpoint are lost with the child that did them, and are trained again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.witness import WITNESS_NAME

_STARTED = re.compile(r"started .+ as process \d+")
_FOUND = re.compile(r"Found step (?P<step>\d+) in metadata")
_BAR = re.compile(r"%\|.*\| (?P<step>\d+)/\d+ \[.*loss: ")
_SAVED = re.compile(r"Saved checkpoint to .*_(?P<step>\d{9})\.safetensors")


@dataclass(kw_only=True)
class Run:
    """One child's life, as it told it."""

    #: The step that it went on from; None: it died before it told.
    begins_after: int | None = None
    #: Steps, where they were witnessed one by one.
    trained: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)


def repeated(runs: list[Run]) -> Iterator[str]:
    """What was trained although a checkpoint had it."""
    standing = 0
    for number, run in enumerate(runs, start=1):
        if not run.trained and run.begins_after is None:
            continue
        first = min(run.trained, default=(run.begins_after or 0) + 1)
        if first <= standing:
            yield f"run {number} trained step {first} again, of which a checkpoint of step {standing} stood"
        if run.trained and run.trained != list(range(first, first + len(run.trained))):
            yield f"run {number} left steps out: {run.trained}"
        standing = max([standing, *run.saved])


def told_by_log(path: Path) -> list[Run]:
    """The runs in a process's log. A killed worker loses the last lines: a checkpoint too few, never one too many."""
    runs: list[Run] = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        if _STARTED.search(line):
            runs.append(Run())
        elif runs and (found := _FOUND.search(line)):
            runs[-1].begins_after = int(found["step"])
        elif runs and runs[-1].begins_after is None and (bar := _BAR.search(line)):
            # Bars are thinned out in the log: at most so many steps were done by an earlier run.
            runs[-1].begins_after = int(bar["step"]) - 1
        elif runs and (saved := _SAVED.search(line)):
            runs[-1].saved.append(int(saved["step"]))
    return runs


def told_by_witness(path: Path) -> list[Run]:
    """The runs that the script's witness wrote down, nothing lost."""
    runs: dict[int, Run] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        entry = json.loads(line)
        run = runs.setdefault(entry["run"], Run())
        if entry["event"] == "step":
            run.trained.append(entry["step"])
        elif entry["event"] == "saved":
            run.saved.append(entry["step"])
    return list(runs.values())


def runs_of(workspace: Path, process_id: str) -> list[Run]:
    """The runs of one process, from the best source there is."""
    witness = workspace / "output" / process_id / WITNESS_NAME
    return (
        told_by_witness(witness)
        if witness.exists()
        else told_by_log(workspace / "logs" / f"{process_id}.log")
    )
