"""Judges an exit of AI Toolkit.

Exit code 0 is not proof of success, because AI Toolkit also exits with 0 after SIGINT. Success means that the result on
disk is younger than this run, and that no `Job stopped` was printed.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

from lorapod.errors import ErrorCode
from lorapod.processes.launch import ChildExit
from lorapod.records.progress import Failure
from lorapod.trainers.ai_toolkit.failures import known_failure, last_error
from lorapod.trainers.port import Outcome
from lorapod.weights import SUFFIX

#: How far the clock of a file server may be behind this machine's.
CLOCK_SKEW_S = 60.0

#: Signals that somebody sent to end it, for example the platform; an error of the training never sends them.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_STOPPED = re.compile(r"^\s*Job (?:stopped|returning to queue)\s*$")


def judge(run_folder: Path, name: str, child: ChildExit) -> Outcome:
    """Return what the exit meant, by the result on disk, the exit and the last lines of output."""
    stopped = any(_STOPPED.match(line) for line in child.last_lines)
    if child.exit_code == 0 and not stopped:
        if _finished(run_folder, name, child.launched_at):
            return Outcome(succeeded=True)
        if child.stop_requested:
            return Outcome(succeeded=False, stopped=True)
        return Outcome(succeeded=False, failure=_nothing_written(name))
    if stopped or child.signal in _STOP_SIGNALS or child.stop_requested:
        return Outcome(succeeded=False, stopped=True)
    return Outcome(succeeded=False, failure=failure_of(child))


def _finished(run_folder: Path, name: str, launched_at: float) -> bool:
    """Return whether the final weights are from this run: younger than the config that AI Toolkit wrote at its start."""
    final = final_weights(run_folder, name)
    if final is None:
        return False
    written = final.stat().st_mtime
    try:
        # Both times come from the clock of the same file system.
        begun = (run_folder / "config.yaml").stat().st_mtime
    except FileNotFoundError:
        begun = launched_at
    return written >= begun and written >= launched_at - CLOCK_SKEW_S


def _nothing_written(name: str) -> Failure:
    return Failure(
        code=ErrorCode.INTERNAL,
        message=f"AI Toolkit ended without an error, but without the final weights {name}.safetensors.",
        hint="See the end of its log.",
    )


def failure_of(child: ChildExit) -> Failure:
    """Return why AI Toolkit ended with an error, by its last lines."""
    known = known_failure(child.last_lines)
    if known is not None:
        return known
    if child.signal == signal.SIGKILL:
        return Failure(
            code=ErrorCode.INSUFFICIENT_MEMORY,
            message="AI Toolkit was killed from outside, most likely because the machine ran out of memory.",
            hint="Set num_workers to 0 in the datasets, use a smaller resolution, or take a machine with more memory.",
        )
    if child.signal is not None:
        return Failure(
            code=ErrorCode.INTERNAL,
            message=f"AI Toolkit was ended by {signal.Signals(child.signal).name}.",
            hint="See the end of its log.",
        )
    said = last_error(child.last_lines)
    return Failure(
        code=ErrorCode.INTERNAL,
        message=f"AI Toolkit failed with exit code {child.exit_code}{f': {said}' if said else ''}.",
        hint="The log has the details.",
    )


def final_weights(run_folder: Path, name: str) -> Path | None:
    """Return the result of a complete run, weights or a model folder without a step in the name, or None."""
    for ending in (SUFFIX, f"_LoRA{SUFFIX}", ".pt", ""):
        path = run_folder / f"{name}{ending}"
        if path.exists():
            return path
    return None
