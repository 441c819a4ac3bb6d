"""What the child says of an exception that ended a load or a generation."""

from __future__ import annotations

from lorapod.engines.diffusers.messages import Failed
from lorapod.errors import ErrorCode, WorkerError
from lorapod.library_errors import code_of

_HINTS = {
    ErrorCode.OUT_OF_MEMORY: "Ask for a smaller image, use a smaller model, or take a larger GPU.",
    ErrorCode.INSUFFICIENT_MEMORY: "Use a smaller model, or take a machine with more memory.",
    ErrorCode.INSUFFICIENT_STORAGE: "Delete old outputs with `delete` (`lorapod rm`) or attach a larger volume.",
    ErrorCode.GPU_UNAVAILABLE: "Take a machine with a newer driver or another GPU type; the log has the details.",
}
_SENTENCES = {
    ErrorCode.OUT_OF_MEMORY: "The GPU ran out of memory",
    ErrorCode.INSUFFICIENT_MEMORY: "The machine ran out of memory",
    ErrorCode.INSUFFICIENT_STORAGE: "The workspace's disk is full",
}


def failed(error: Exception) -> Failed:
    """Return the message for an exception; it is fatal after a CUDA error: this process can then not use the GPU."""
    if isinstance(error, WorkerError):
        return Failed(code=error.code, message=error.message, hint=error.hint)
    code = code_of(error)
    reason = " ".join(str(error).split())[:500] or type(error).__name__
    sentence = _SENTENCES.get(code)
    return Failed(
        code=code,
        message=f"{sentence}: {reason}" if sentence else f"{type(error).__name__}: {reason}",
        hint=_HINTS.get(code, ""),
        fatal=code is ErrorCode.GPU_UNAVAILABLE,
    )
