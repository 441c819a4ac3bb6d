"""How a child is started, and how it ended; trainers and engines fill these in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LaunchSpec:
    """How to start a child."""

    argv: tuple[str, ...]
    cwd: Path
    #: Added to the environment that every child inherits.
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WarmSpec:
    """How to keep a process ready that has a program's heavy modules imported, so that children are forked from it."""

    #: The interpreter and its options; a launch whose argv begins otherwise is started cold.
    python: tuple[str, ...]
    #: The working folder during the imports, and the first folder in which modules are looked for.
    cwd: Path
    #: A script that imports what is heavy and does nothing else: it must leave no thread behind and must not initialise
    #: CUDA. It does not see the launch's own environment, and it runs under `python`, which may lack this package.
    preload: Path
    #: Files, and folders of Python files, whose change makes the process out of date.
    sources: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class ChildExit:
    """How a child ended; trainers and engines judge what it meant."""

    #: None if a signal ended it.
    exit_code: int | None
    signal: int | None
    #: Whether the process had been asked to stop.
    stop_requested: bool
    #: When this run was launched, in seconds since the epoch, as file times are.
    launched_at: float
    #: The end of its output, oldest line first, without line ends.
    last_lines: Sequence[str]
