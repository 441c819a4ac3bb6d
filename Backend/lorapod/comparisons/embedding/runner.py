"""Run the embedding child for one scoring."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from lorapod.comparisons.embedding.job import (
    PROGRESS,
    EmbeddingAnswer,
    EmbeddingJob,
    read_answer,
    write_job,
)
from lorapod.comparisons.embedding.models import BACKEND, CHILD
from lorapod.errors import InsufficientMemory, InternalError, WorkerError, error_of
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.task import TaskRun, TaskStopped

_PROGRESS = re.compile(rf"{PROGRESS}(\d+) of (\d+)")


def run_embedding(
    job: EmbeddingJob, path: Path, run: TaskRun, report: Callable[[str], None]
) -> EmbeddingAnswer:
    """Run the child to its end.

    Args:
        job: what it does.
        path: where the job is written.
        run: the child is its.
        report: called with how far it is.

    Raises:
        TaskStopped: it was stopped.
        WorkerError: it failed.
        OSError: it could not be started.
    """
    write_job(job, path)

    def read(line: str) -> None:
        if (seen := _PROGRESS.search(line)) is not None:
            report(f"scoring: {seen[1]} of {seen[2]} images")

    spec = LaunchSpec(argv=(sys.executable, "-m", CHILD, str(path)), cwd=BACKEND)
    child = run.run_child(spec, read)
    if child.stop_requested:
        raise TaskStopped
    answer = read_answer(job.answer)
    if answer is None:
        raise _died(child)
    if answer.error is not None:
        raise error_of(answer.code, answer.error, hint=answer.hint)
    return answer


def _died(child: ChildExit) -> WorkerError:
    if child.signal == signal.SIGKILL:
        return InsufficientMemory(
            "The embedding was killed from outside, most likely because the machine ran out of memory."
        )
    return InternalError("The embedding ended without an answer; the log has its last words.")
