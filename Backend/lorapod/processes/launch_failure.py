"""What it means for a process that its child could not be started."""

from __future__ import annotations

import errno

from lorapod.errors import ErrorCode, WorkerError
from lorapod.trainers.port import Failure


def launch_failure(error: OSError | WorkerError) -> Failure:
    """The failure, as the record tells it."""
    if isinstance(error, WorkerError):
        return Failure(code=error.code, message=error.message, hint=error.hint)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure(
            code=ErrorCode.INSUFFICIENT_STORAGE,
            message="The workspace's disk is full, so the training could not be started.",
            hint="Delete old outputs or attach a larger volume.",
        )
    return Failure(
        code=ErrorCode.INTERNAL,
        message=f"The trainer could not be started: {error.strerror or type(error).__name__}.",
    )
