from __future__ import annotations

import errno

import pytest

from lorapod.errors import ErrorCode, NotFound
from lorapod.library_errors import DISK_FULL, code_of, reason_of, system_error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("gone"), ErrorCode.NOT_FOUND),
        (MemoryError(), ErrorCode.INSUFFICIENT_MEMORY),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorCode.INSUFFICIENT_STORAGE),
        (OSError(errno.EIO, "I/O error"), ErrorCode.INTERNAL),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), ErrorCode.OUT_OF_MEMORY),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            ErrorCode.INSUFFICIENT_MEMORY,
        ),
        (FloatingPointError("The loss at step 3 is not a number"), ErrorCode.INVALID_INPUT),
        (RuntimeError("?"), ErrorCode.INTERNAL),
    ],
)
def test_errors_have_a_code(error: Exception, code: ErrorCode) -> None:
    assert code_of(error) is code


@pytest.mark.parametrize("number", sorted(DISK_FULL))
def test_no_room_is_told_as_that(number: int) -> None:
    error = system_error(OSError(number, "?"), "The trainer could not be started")
    assert (error.code, error.message) == (ErrorCode.INSUFFICIENT_STORAGE, "The workspace's disk is full.")
    assert "volume" in error.hint


def test_what_could_not_be_done_is_told_with_the_reason() -> None:
    error = system_error(
        PermissionError(errno.EACCES, "Permission denied"), "The trainer could not be started"
    )
    assert (error.code, error.message) == (
        ErrorCode.INTERNAL,
        "The trainer could not be started: Permission denied.",
    )
    assert system_error(OSError()).message == "The worker's disk or network failed: OSError."


def test_an_error_that_points_to_a_stack_trace_gives_the_reason_of_its_first_cause() -> None:
    wrapped = OSError("It is not cached. Please check out the root cause in the stacktrace above.")
    wrapped.__cause__ = RuntimeError("connect")
    wrapped.__cause__.__context__ = OSError(-2, "Name or service not known")

    assert reason_of(wrapped) == "Name or service not known"
    assert reason_of(ValueError("two\n  lines.")) == "two lines"
    assert reason_of(ValueError()) == "ValueError"
