"""`python -m lorapod.comparisons.embedding.child JOB.json`: measure once. The answer is a file; stdout tells the progress.

`… fetch HUB_ID PATTERN…` downloads a model; the last line of stdout is an error, if there is one.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lorapod.comparisons.embedding.job import EmbeddingAnswer, EmbeddingJob, read_job, write_answer
from lorapod.errors import WorkerError
from lorapod.library_errors import code_of, reason_of


def main(arguments: Sequence[str]) -> int:
    """Run one job and return the exit code."""
    # A stop ends it at once: the worker has nothing to save here.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if arguments[0] == "fetch":
        return _fetch(arguments[1], arguments[2:])
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # The files are here; nothing asks the Hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    job = read_job(Path(arguments[0]))
    if job.beside:
        _give_way()
    answer = _run(job)
    write_answer(answer, job.answer)
    return 1 if answer.error else 0


def _give_way() -> None:
    """Let other processes have the processor first, and be the first that ends if memory runs out."""
    os.nice(5)
    # Some containers do not allow it.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _run(job: EmbeddingJob) -> EmbeddingAnswer:
    try:
        from lorapod.comparisons.embedding.child.work import run

        return run(job)
    except WorkerError as error:
        return EmbeddingAnswer(error=error.message, code=error.code, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - the edge of the process: every error becomes an answer
        traceback.print_exc()
        return EmbeddingAnswer(error=f"The embedding failed: {reason_of(error)[:300]}.", code=code_of(error))


def _fetch(hub_id: str, patterns: Sequence[str]) -> int:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(hub_id, allow_patterns=list(patterns))
    except Exception as error:  # noqa: BLE001 - the edge of the process: every error becomes a line
        sys.stdout.write(f"{type(error).__name__}: {reason_of(error)[:300]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
