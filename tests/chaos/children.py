"""Trainers' children as the kernel shows them, whoever started them and however."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True, order=True)
class Child:
    """The leader of a trainer's session."""

    process_id: str
    pid: int
    #: Clock ticks since boot at its start: with the pid, this names it beyond doubt.
    started: int


def find_children(workspace: Path) -> set[Child]:
    """The children that run now, of every process of a workspace.

    A child is a live process that leads its session and works in `processes/<id>` or `output/<id>`, whether it was
    started as a program or forked from one that was there before. Its guard works there too, but leads nothing.
    """
    found = set()
    for entry in os.scandir(PROC):
        if entry.name.isdigit() and (child := _child(int(entry.name), workspace)) is not None:
            found.add(child)
    return found


def leftovers(workspace: Path) -> list[str]:
    """What still runs of a workspace: workers and their helpers, children, guards; a line each."""
    mark = bytes(workspace)
    found = []
    for entry in os.scandir(PROC):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        folder = PROC / entry.name
        try:
            if _status(int(entry.name))[0] == "Z":
                continue
            told = [(folder / name).read_bytes() for name in ("cmdline", "environ")]
            told.append(bytes((folder / "cwd").readlink()))
        except OSError:
            continue
        if any(mark in text for text in told):
            found.append(f"{entry.name}: {told[0].replace(bytes(1), b' ').decode(errors='replace')}")
    return found


def _child(pid: int, workspace: Path) -> Child | None:
    try:
        folder = (PROC / str(pid) / "cwd").readlink()
        if workspace not in folder.parents:
            return None
        kind, *parts = folder.relative_to(workspace).parts
        if kind not in {"processes", "output"} or not parts:
            return None
        state, session, started = _status(pid)
        if session != pid or state == "Z" or b"guard.py" in (PROC / str(pid) / "cmdline").read_bytes():
            return None
    except OSError:
        return None
    return Child(process_id=parts[0], pid=pid, started=started)


def _status(pid: int) -> tuple[str, int, int]:
    """State, session and start of a process, from proc(5)."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[3]), int(fields[19])
