from __future__ import annotations

import errno

import pytest

from lorapod.errors import ErrorCode, NotFound
from lorapod.library_errors import code_of


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
