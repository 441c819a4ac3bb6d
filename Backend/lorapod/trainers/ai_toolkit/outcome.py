"""Judges an exit of AI Toolkit.

Exit code 0 is not proof of success, because AI Toolkit also exits with 0 after SIGINT. Success means that the result on
disk is younger than this run, and that no `Job stopped` was printed.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import ErrorCode
from lorapod.processes.launch import ChildExit
from lorapod.processes.progress import Failure
from lorapod.trainers.port import Outcome
from lorapod.weights import SUFFIX

#: How far the clock of a file server may be behind this machine's.
CLOCK_SKEW_S = 60.0

#: Signals that somebody sent to end it, for example the platform; an error of the training never sends them.
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_STOPPED = re.compile(r"^\s*Job (?:stopped|returning to queue)\s*$")
_ERROR_LINE = re.compile(r"^Error running job: (?P<message>.*)")
_LONGEST_MESSAGE = 300


@dataclass(frozen=True, kw_only=True)
class _Pattern:
    """A known error message of AI Toolkit or of a library."""

    words: re.Pattern[str]
    code: ErrorCode
    message: str
    hint: str


def _known(words: str, code: ErrorCode, message: str, hint: str) -> _Pattern:
    return _Pattern(words=re.compile(words, re.IGNORECASE), code=code, message=message, hint=hint)


#: The first match counts; `{0}` is the group of the pattern.
_PATTERNS = (
    _known(
        r"CUDA out of memory|OOM during training step 3 times|CUDA error: out of memory|cudaErrorMemoryAllocation",
        ErrorCode.OUT_OF_MEMORY,
        "The GPU ran out of memory",
        "Use a smaller resolution, batch size or rank, quantize the model, or take a larger GPU.",
    ),
    _known(
        r"DefaultCPUAllocator: can't allocate memory|\bMemoryError\b|Cannot allocate memory",
        ErrorCode.INSUFFICIENT_MEMORY,
        "The worker ran out of memory",
        "Set num_workers to 0 in the datasets, or take a machine with more memory.",
    ),
    _known(
        r"No space left on device|Disk quota exceeded|errno 28\b|errno 122\b|database or disk is full",
        ErrorCode.INSUFFICIENT_STORAGE,
        "The disk is full",
        "Delete old outputs with `delete` (`lorapod rm`), keep fewer checkpoints (save.max_step_saves_to_keep) or attach a larger volume.",
    ),
    _known(
        r"GatedRepoError|Cannot access gated repo|Access to model (\S+) is restricted",
        ErrorCode.INVALID_INPUT,
        "The model {0} is gated, and this worker's HuggingFace token may not read it",
        "Accept the model's licence on HuggingFace with the account of the worker's HF_TOKEN.",
    ),
    _known(
        r"401 Client Error|403 Client Error|RepositoryNotFoundError|Repository Not Found|Invalid user token",
        ErrorCode.INVALID_INPUT,
        "HuggingFace does not have this model, or the worker's token may not read it",
        "Check model.name_or_path, and the worker's HF_TOKEN if the model is private or gated.",
    ),
    _known(
        r"Cannot load model (\S+): model is not cached locally|LocalEntryNotFoundError|OfflineModeIsEnabled"
        r"|cannot find the requested files in the (?:local|disk) cache",
        ErrorCode.UPSTREAM_ERROR,
        "The model {0} is not on this worker and could not be downloaded",
        "Check model.name_or_path; if it is right, HuggingFace cannot be reached or HF_HUB_OFFLINE is set.",
    ),
    _known(
        r'pretrained_model_name_or_path "([^"]+)" is neither a valid local path',
        ErrorCode.NOT_FOUND,
        "The model {0} does not exist",
        "Set model.name_or_path to a path in the workspace or a HuggingFace id.",
    ),
    _known(
        r"incomplete metadata, file not fully covered|SafetensorError|HeaderTooLarge|InvalidHeaderDeserialization"
        r"|MetadataIncompleteBuffer",
        ErrorCode.CONFLICT,
        "A safetensors file is damaged or truncated",
        "If it is the base model, download it again; a damaged checkpoint is set aside by `resume`.",
    ),
    _known(
        r"no (?:images|videos) found in (\S+)",
        ErrorCode.INVALID_INPUT,
        "The dataset {0} has no readable image",
        "Upload JPEG, PNG or WebP images.",
    ),
    _known(
        r"\[Errno 2\] No such file or directory: '([^']+)'",
        ErrorCode.NOT_FOUND,
        "A file or folder is missing: {0}",
        "Check the paths in the config.",
    ),
    _known(
        r"(Unknown job type \S+|Unknown process type: \S+|Unknown optimizer type \S+|Sampler \S+ not supported"
        r"|Scheduler must be [\w, ]+|Environment variable \S+ not set|Missing \"[^\"]+\" key"
        r"|could not convert string to float: '[^']*')",
        ErrorCode.INVALID_INPUT,
        "AI Toolkit does not accept the config: {0}",
        "Correct the config and train again.",
    ),
    _known(
        r"Found no NVIDIA driver|CUDA driver version is insufficient|no kernel image is available|CUDA-capable device"
        r"|CUDA error: (?!out of memory)([^\n]{1,80})|Torch not compiled with CUDA",
        ErrorCode.GPU_UNAVAILABLE,
        "The GPU does not work with this worker's PyTorch",
        "Use a machine with a newer driver or another GPU type; the log has the details.",
    ),
    _known(
        r"ModuleNotFoundError: No module named '([^']+)'|ImportError: (.{1,80})",
        ErrorCode.INTERNAL,
        "AI Toolkit's Python environment is incomplete: {0}",
        "Install AI Toolkit's requirements for the Python in AI_TOOLKIT_PYTHON.",
    ),
)


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
    known = _known_failure(child.last_lines)
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
    said = _last_error(child.last_lines)
    return Failure(
        code=ErrorCode.INTERNAL,
        message=f"AI Toolkit failed with exit code {child.exit_code}{f': {said}' if said else ''}.",
        hint="The log has the details.",
    )


def _known_failure(lines: Sequence[str]) -> Failure | None:
    """Return the failure of the last line with a known message; earlier errors were survived, or led to this one."""
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    for line in (*reversed(errors), *reversed(_last_traceback(lines))):
        for pattern in _PATTERNS:
            if match := pattern.words.search(line):
                what = next((group for group in match.groups() if group), "")
                message = " ".join(pattern.message.format(_short(what)).split())
                return Failure(code=pattern.code, message=f"{message}.", hint=pattern.hint)
    return None


def _last_traceback(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines from the last traceback on, because earlier errors were caught; without a traceback, all lines."""
    for place in range(len(lines) - 1, -1, -1):
        if lines[place].startswith("Traceback (most recent call last)"):
            return lines[place:]
    return lines


def _last_error(lines: Sequence[str]) -> str:
    """Return the reason that AI Toolkit gave, else the last line of a traceback."""
    for line in reversed(lines):
        if match := _ERROR_LINE.match(line):
            return _short(match["message"])
    for line in reversed(lines):
        if re.match(r"[\w.]+(?:Error|Exception|Interrupt)\b", line):
            return _short(line)
    return ""


def _short(text: str) -> str:
    text = " ".join(text.split()).rstrip(".")
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 3]}..."


def final_weights(run_folder: Path, name: str) -> Path | None:
    """Return the result of a complete run, weights or a model folder without a step in the name, or None."""
    for ending in (SUFFIX, f"_LoRA{SUFFIX}", ".pt", ""):
        path = run_folder / f"{name}{ending}"
        if path.exists():
            return path
    return None
