"""What a process needs of the sending of its artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lorapod.storage.model_card import TrainedModel
from lorapod.storage.s3_access import JobS3


class Mirroring(Protocol):
    """Sends artifacts to object stores while their training runs; called in a supervisor's thread, never waits."""

    def begin(
        self,
        process_id: str,
        generation: int,
        *,
        model: TrainedModel,
        run_folder: Path,
        upload: Mapping[str, Any] | None,
        job_s3: JobS3 | None = None,
    ) -> None:
        """A run is about to start.

        Args:
            process_id: which process.
            generation: which of its runs.
            model: what it makes.
            run_folder: where its trainer will write.
            upload: where artifacts go, as the order names it.
            job_s3: the job's own server, where `upload` names S3.

        Raises:
            OSError: what is to be sent cannot be noted.
            WorkerError: it cannot be sent there at all.
        """

    def end(self, process_id: str, generation: int, *, lost: bool) -> None:
        """A run is over, whether it had begun or not; `lost`: another worker has taken the process up."""


class NoMirroring:
    """Sends nothing."""

    def begin(
        self,
        process_id: str,
        generation: int,
        *,
        model: TrainedModel,
        run_folder: Path,
        upload: Mapping[str, Any] | None,
        job_s3: JobS3 | None = None,
    ) -> None:
        """Nothing to begin."""

    def end(self, process_id: str, generation: int, *, lost: bool) -> None:
        """Nothing has begun."""
