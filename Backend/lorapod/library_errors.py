"""Turn exceptions of the system and of libraries into error codes and errors for callers."""

from __future__ import annotations

import errno

from lorapod.errors import ErrorCode, InsufficientStorage, InternalError, WorkerError

#: The system's error numbers for no space: on the disk, in a quota, in one file.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Parts of the messages of libraries that have no exception of their own.
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
    """Return the error code of an exception."""
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
    """Return the error that callers see; `what` says in half a sentence what failed."""
    if error.errno in DISK_FULL:
        return InsufficientStorage(
            "The workspace's disk is full.",
            hint="Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume, then try again.",
        )
    return InternalError(f"{what}: {error.strerror or type(error).__name__}.")


def reason_of(error: Exception) -> str:
    """Return why a library failed, in one line; if its message only points to a stack trace, its first cause."""
    cause: BaseException = error
    if "stacktrace above" in str(error):
        while (earlier := cause.__cause__ or cause.__context__) is not None:
            cause = earlier
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return " ".join(str(cause).split()).rstrip(".") or type(cause).__name__
