"""What exceptions of the system and of libraries stand for."""

from __future__ import annotations

import errno

from lorapod.errors import ErrorCode, InsufficientStorage, InternalError, WorkerError

#: The system's error numbers for no room: on the disk, in a quota, in one file.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: What libraries say that have no exception of their own for it, by the part that is sure.
_WORDS = (
    ("CUDA out of memory", ErrorCode.OUT_OF_MEMORY),
    ("can't allocate memory", ErrorCode.INSUFFICIENT_MEMORY),
    ("No space left on device", ErrorCode.INSUFFICIENT_STORAGE),
    ("PytorchStreamWriter failed writing", ErrorCode.INSUFFICIENT_STORAGE),
    ("disk is full", ErrorCode.INSUFFICIENT_STORAGE),
    ("CUDA error", ErrorCode.GPU_UNAVAILABLE),
    ("NVIDIA driver", ErrorCode.GPU_UNAVAILABLE),
)


def code_of(error: Exception) -> ErrorCode:
    """The kind of failure that an exception stands for."""
    if isinstance(error, WorkerError):
        return error.code
    if isinstance(error, MemoryError):
        return ErrorCode.INSUFFICIENT_MEMORY
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return ErrorCode.INSUFFICIENT_STORAGE
    if isinstance(error, FloatingPointError):
        return ErrorCode.INVALID_INPUT
    text = str(error)
    return next((code for words, code in _WORDS if words in text), ErrorCode.INTERNAL)


def system_error(error: OSError, what: str = "The worker's disk or network failed") -> WorkerError:
    """The error that callers see; `what` says in half a sentence what could not be done."""
    if error.errno in DISK_FULL:
        return InsufficientStorage(
            "The workspace's disk is full.",
            hint="Delete old outputs or attach a larger volume, then try again.",
        )
    return InternalError(f"{what}: {error.strerror or type(error).__name__}.")
