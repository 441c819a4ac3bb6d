"""Judges an exit of the builtin trainer, by the lines with which the child ends and by its result on disk."""

from __future__ import annotations

import signal

from lorapod.errors import ErrorCode, InvalidInput, NotFound
from lorapod.processes.launch import ChildExit
from lorapod.records.progress import Failure
from lorapod.trainers.builtin.run_folder import RunFolder
from lorapod.trainers.port import Outcome
from lorapod.weights import read_header, step_of

#: How the last lines on stdout of a failed run begin; the second one is AI Toolkit's.
CODE_LINE = "Error code: "
ERROR_LINE = "Error running job: "
#: The text of the banner, or of the error line, after a stop.
STOPPED = "Job stopped"

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HINTS = {
    ErrorCode.OUT_OF_MEMORY: "Use a smaller resolution, batch size or rank, turn gradient checkpointing on, or take a larger GPU.",
    ErrorCode.INSUFFICIENT_MEMORY: "Use a smaller resolution or fewer images, or a machine with more memory.",
    ErrorCode.INSUFFICIENT_STORAGE: "Delete old outputs with `delete` (`lorapod rm`), keep fewer checkpoints (save.max_step_saves_to_keep) or attach a larger volume.",
    ErrorCode.UPSTREAM_ERROR: "Check model.name_or_path, the HuggingFace token (HF_TOKEN) and the network.",
    ErrorCode.GPU_UNAVAILABLE: "Take a machine with a newer driver or another GPU type; the log has the details.",
}


def judge(folder: RunFolder, total_steps: int, child: ChildExit) -> Outcome:
    """Return what the exit meant: success needs a whole final LoRA of all steps, whatever the exit code is."""
    lines = [line.strip() for line in child.last_lines]
    if STOPPED in lines or f"{ERROR_LINE}{STOPPED}" in lines:
        return Outcome(succeeded=False, stopped=True)
    if child.exit_code == 0 and _is_trained(folder, total_steps):
        return Outcome(succeeded=True)
    if child.stop_requested or child.signal in _STOP_SIGNALS:
        return Outcome(succeeded=False, stopped=True)
    return Outcome(succeeded=False, failure=_failure(child, lines))


def _is_trained(folder: RunFolder, total_steps: int) -> bool:
    try:
        header = read_header(folder.final)
    except (NotFound, InvalidInput):
        return False
    return header.whole and (step_of(header) or 0) >= total_steps


def _failure(child: ChildExit, lines: list[str]) -> Failure:
    said = _behind(ERROR_LINE, lines)
    if said is not None:
        code = _code(_behind(CODE_LINE, lines))
        return Failure(code=code, message=f"{said.rstrip('.')}.", hint=_HINTS.get(code, ""))
    if child.signal == signal.SIGKILL:
        return Failure(
            code=ErrorCode.INSUFFICIENT_MEMORY,
            message="The training was killed from outside, most likely because the machine ran out of memory.",
            hint=_HINTS[ErrorCode.INSUFFICIENT_MEMORY],
        )
    if child.signal is not None:
        how = f"was ended by {signal.Signals(child.signal).name}"
    elif child.exit_code == 0:
        how = "ended without an error, but without a trained LoRA"
    else:
        how = f"failed with exit code {child.exit_code}"
    return Failure(code=ErrorCode.INTERNAL, message=f"The training {how}.", hint="See the end of its log.")


def _behind(beginning: str, lines: list[str]) -> str | None:
    return next(
        (line.removeprefix(beginning) for line in reversed(lines) if line.startswith(beginning)), None
    )


def _code(text: str | None) -> ErrorCode:
    try:
        return ErrorCode(text or "")
    except ValueError:
        return ErrorCode.INTERNAL
