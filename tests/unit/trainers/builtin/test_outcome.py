from __future__ import annotations

import json
import signal
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from lorapod.errors import ErrorCode
from lorapod.processes.launch import ChildExit
from lorapod.trainers.builtin.outcome import judge
from lorapod.trainers.builtin.run_folder import RunFolder
from lorapod.trainers.port import Outcome

STEPS = 20
BANNER = ["", "=" * 40, "Job stopped", "=" * 40]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(path=tmp_path, name="mine")


def finish(folder: RunFolder, step: int = STEPS) -> None:
    header = json.dumps({"__metadata__": {"training_info": json.dumps({"step": step})}}).encode()
    folder.final.write_bytes(struct.pack("<Q", len(header)) + header)


def outcome(
    folder: RunFolder,
    code: int | None,
    lines: Sequence[str] = (),
    *,
    killed: int | None = None,
    asked: bool = False,
) -> Outcome:
    child = ChildExit(exit_code=code, signal=killed, stop_requested=asked, launched_at=0.0, last_lines=lines)
    return judge(folder, STEPS, child)


def test_success_is_a_whole_lora_of_all_steps(folder: RunFolder) -> None:
    finish(folder)
    assert outcome(folder, 0) == Outcome(succeeded=True)


def test_exit_code_0_alone_is_no_success(folder: RunFolder) -> None:
    assert outcome(folder, 0).failure is not None
    finish(folder, step=STEPS - 1)
    assert outcome(folder, 0).failure is not None
    finish(folder)
    folder.final.write_bytes(folder.final.read_bytes()[:-1])
    assert outcome(folder, 0).failure is not None


def test_a_stop_is_no_failure(folder: RunFolder) -> None:
    stopped = Outcome(succeeded=False, stopped=True)
    assert outcome(folder, 0, BANNER) == stopped
    assert outcome(folder, 1, ["Error running job: Job stopped"]) == stopped
    assert outcome(folder, None, killed=signal.SIGTERM) == stopped
    assert outcome(folder, None, killed=signal.SIGKILL, asked=True) == stopped


def test_a_run_that_was_done_before_the_stop_came_has_succeeded(folder: RunFolder) -> None:
    finish(folder)
    assert outcome(folder, 0, asked=True).succeeded


def test_its_last_words_become_the_failure(folder: RunFolder) -> None:
    lines = ["Error code: insufficient_storage", "Error running job: [Errno 28] No space left on device"]
    failure = outcome(folder, 1, [*lines, "Traceback (most recent call last):"]).failure
    assert failure is not None
    assert failure.code is ErrorCode.INSUFFICIENT_STORAGE
    assert failure.message == "[Errno 28] No space left on device."
    assert "max_step_saves_to_keep" in failure.hint


@pytest.mark.parametrize(
    ("code", "killed", "expected"),
    [
        (None, signal.SIGKILL, ErrorCode.INSUFFICIENT_MEMORY),
        (None, signal.SIGSEGV, ErrorCode.INTERNAL),
        (3, None, ErrorCode.INTERNAL),
    ],
)
def test_without_last_words_the_exit_tells(
    folder: RunFolder, code: int | None, killed: int | None, expected: ErrorCode
) -> None:
    failure = outcome(folder, code, ["something"], killed=killed).failure
    assert failure is not None
    assert failure.code is expected
