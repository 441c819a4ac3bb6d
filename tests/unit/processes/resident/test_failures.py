from __future__ import annotations

import errno

from lorapod.errors import ErrorCode, InvalidInput
from lorapod.processes.resident.messages import Failed
from lorapod.processes.resident.serving import failed as failed_with_hint


def failed(error: Exception) -> Failed:
    return failed_with_hint(error, memory_hint="Ask for less.")


def test_our_own_errors_pass_as_they_are() -> None:
    answer = failed(InvalidInput("Too odd.", hint="Even it."))
    assert (answer.code, answer.message, answer.hint) == (ErrorCode.INVALID_INPUT, "Too odd.", "Even it.")
    assert not answer.fatal


def test_memory_has_a_hint() -> None:
    gpu = failed(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB\n  more"))
    assert gpu.code is ErrorCode.OUT_OF_MEMORY
    assert gpu.message == "The GPU ran out of memory: CUDA out of memory. Tried to allocate 2.00 GiB more"
    assert gpu.hint
    assert not gpu.fatal
    assert failed(MemoryError()).code is ErrorCode.INSUFFICIENT_MEMORY


def test_a_full_disk_is_called_so() -> None:
    answer = failed(OSError(errno.ENOSPC, "No space left on device"))
    assert answer.code is ErrorCode.INSUFFICIENT_STORAGE
    assert answer.message.startswith("The workspace's disk is full")
    assert answer.hint


def test_after_an_error_of_cuda_the_process_is_of_no_use() -> None:
    answer = failed(RuntimeError("CUDA error: device-side assert triggered"))
    assert answer.code is ErrorCode.GPU_UNAVAILABLE
    assert answer.fatal


def test_anything_else_is_a_short_sentence() -> None:
    answer = failed(KeyError("x" * 1000))
    assert answer.code is ErrorCode.INTERNAL
    assert answer.message.startswith("KeyError: ")
    assert len(answer.message) < 600
