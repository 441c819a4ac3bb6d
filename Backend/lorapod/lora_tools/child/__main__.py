"""`python -m lorapod.lora_tools.child JOB.json`: run one tool once. The answer is a file; stdout tells the progress."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from lorapod.errors import WorkerError
from lorapod.library_errors import code_of, reason_of, system_error
from lorapod.lora_tools.job import LoraToolAnswer, read_job, write_answer

#: Tools whose matrices are as thin as a LoRA's: threads that wait for each other cost more than they compute, and on a
#: busy machine many times as much.
_THIN = frozenset({"resize", "convert"})


def main(arguments: Sequence[str]) -> int:
    """Run one job and return the exit code."""
    # A stop ends it at once: the worker removes what it has written.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    job = read_job(Path(arguments[0]))
    try:
        import torch

        from lorapod.lora_tools.child.work import run

        if job.kind in _THIN:
            torch.set_num_threads(1)
        answer = run(job)
    except Exception as error:  # noqa: BLE001 - the edge of the process: every error becomes an answer
        traceback.print_exc()
        answer = _failed(error)
    write_answer(answer, job.answer)
    return 1 if answer.error else 0


def _failed(error: Exception) -> LoraToolAnswer:
    if isinstance(error, OSError):
        error = system_error(error, "The new LoRA could not be written")
    if isinstance(error, WorkerError):
        return LoraToolAnswer(error=error.message, code=error.code, hint=error.hint)
    return LoraToolAnswer(error=f"The tool failed: {reason_of(error)[:300]}.", code=code_of(error))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
