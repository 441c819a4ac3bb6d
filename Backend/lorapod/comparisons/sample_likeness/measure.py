"""The likeness of one run's samples, measured set by set by a child on the processor while the trainer goes on."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.atomic import write_atomically
from lorapod.comparisons.embedding.job import (
    CellJob,
    EmbeddingAnswer,
    EmbeddingJob,
    EmbeddingSource,
    read_answer,
    write_job,
)
from lorapod.comparisons.embedding.models import BACKEND, CHILD
from lorapod.comparisons.measured_images import some_of
from lorapod.comparisons.sample_likeness.sample_sets import SampleSets
from lorapod.errors import WorkerError
from lorapod.processes.child import Exit
from lorapod.processes.launch import LaunchSpec
from lorapod.processes.run import Run
from lorapod.processes.side_child import SideChild
from lorapod.volume.likeness_log import LikenessLog, dump_likeness, likeness_path

logger = logging.getLogger(__name__)

#: After so many failures in a row nothing is measured any more.
FAILURES_MAX = 3
#: Sets of samples that are measured at once: if the trainer is faster than the measuring, the rest waits for the next time.
SETS_MAX = 50


@dataclass(frozen=True, kw_only=True)
class MeasuringFolders:
    """Where a run's measuring keeps what it needs."""

    #: On local disk.
    scratch: Path
    #: Vectors of this training, and of others.
    vectors: Path
    earlier: Sequence[Path]


class SampleLikeness:
    """A `lorapod.trainers.early_stop.Measure`; for the supervisor's thread."""

    name = "likeness"
    more_is_better = True

    def __init__(
        self,
        run: Run,
        *,
        model: EmbeddingSource,
        dataset: Callable[[], Sequence[Path]],
        sets: SampleSets,
        log: LikenessLog,
        folders: MeasuringFolders,
    ) -> None:
        """Measure nothing yet; `log` has what earlier runs measured, `dataset` returns the images that it learns from."""
        self._run = run
        self._model = model
        self._dataset = dataset
        self._sets = sets
        self._log = log
        self._folders = folders
        self._child: SideChild | None = None
        #: The sets that the child measures.
        self._measured: Mapping[int, Sequence[Path]] = {}
        self._failures = 0
        self._was_put_off = False
        self._warnings: list[str] = []

    def curve(self) -> Sequence[tuple[int, float]]:
        """Return what was measured so far; begin to measure what is new."""
        if self._child is not None and (exit_ := self._child.poll()) is not None:
            lines, self._child = self._child.lines, None
            self._finish(exit_, lines)
        if self._child is None and self._failures < FAILURES_MAX:
            try:
                self._begin()
            except (WorkerError, OSError) as error:
                # The volume may not answer now; the next look tries again.
                self._put_off(str(error))
        return self._log.points

    def warnings(self) -> Sequence[str]:
        """Return what could not be measured since the last call."""
        told, self._warnings = self._warnings, []
        return told

    def close(self) -> None:
        """End the child if it still measures."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _begin(self) -> None:
        """Start a child for the sets that are not measured yet.

        Raises:
            LeaseLost: another worker has taken the process up.
            WorkerError, OSError: it cannot be started now.
        """
        known = dict(self._log.points)
        new = {step: paths for step, paths in self._sets.whole().items() if step not in known}
        if not new:
            return
        self._measured = dict(list(new.items())[:SETS_MAX])
        job = self._job()
        path = self._folders.scratch / "likeness_job.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        job.answer.unlink(missing_ok=True)
        write_job(job, path)
        self._child = self._run.start_side_child(embedding_command(path))
        self._was_put_off = False

    def _job(self) -> EmbeddingJob:
        dataset = some_of(self._dataset())
        images = [*dataset, *(path for paths in self._measured.values() for path in paths)]
        return EmbeddingJob(
            images=images,
            texts=[],
            datasets=[list(range(len(dataset)))],
            cells=[CellJob(image=number, dataset=0) for number in range(len(dataset), len(images))],
            drifts=[],
            base=[],
            image_model=self._model,
            text_model=None,
            vectors=self._folders.vectors,
            earlier=self._folders.earlier,
            answer=self._folders.scratch / "likeness.json",
            beside=True,
        )

    def _finish(self, exit_: Exit, lines: Sequence[str]) -> None:
        answer = read_answer(self._folders.scratch / "likeness.json")
        points = self._points(answer) if answer is not None else []
        if answer is None or not points:
            self._fail(_why(answer, exit_, lines))
            return
        self._failures = 0
        self._log = self._log.with_points(points)
        for step, value in points:
            self._run.log.note(f"likeness of the samples of step {step}: {value:.4f}")
        record = self._run.record
        try:
            path = likeness_path(self._run.context.workspace, record.process_id)
            write_atomically(path, dump_likeness(self._log))
        except OSError as error:
            # The next one is written with it.
            logger.warning(
                "likeness cannot be written", extra={"process_id": record.process_id, "reason": str(error)}
            )

    def _points(self, answer: EmbeddingAnswer) -> list[tuple[int, float]]:
        """Return the mean likeness of each set; none if the dataset has no image that can be read."""
        cells = iter(answer.cells)
        points = []
        for step, paths in self._measured.items():
            values = [cell.likeness for _, cell in zip(paths, cells, strict=False)]
            known = [value for value in values if value is not None]
            if known and len(known) == len(paths):
                points.append((step, round(sum(known) / len(known), 6)))
        return points

    def _put_off(self, why: str) -> None:
        if not self._was_put_off:
            self._run.log.note(f"the likeness of samples cannot be measured now: {why}")
        self._was_put_off = True

    def _fail(self, why: str) -> None:
        self._failures += 1
        steps = ", ".join(map(str, self._measured))
        said = f"The likeness of the samples of step {steps} could not be measured: {why}."
        if self._failures == 1:
            self._warnings.append(f"{said} The training continues, and the worker tries again.")
        elif self._failures < FAILURES_MAX:
            self._run.log.note(said)
        else:
            self._warnings.append(
                f"The likeness could not be measured {FAILURES_MAX} times in a row, so it no longer ends this run; the log says why."
            )
            self._run.log.note(said)


def embedding_command(job: Path) -> LaunchSpec:
    """Return how to start the child."""
    return LaunchSpec(
        argv=(sys.executable, "-m", CHILD, str(job)),
        cwd=BACKEND,
        # The trainer loads its images on the same processor.
        environment={"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // 2))},
    )


def _why(answer: EmbeddingAnswer | None, exit_: Exit, lines: Sequence[str]) -> str:
    if answer is not None:
        return (answer.error or "no image of the dataset could be read").rstrip(".")
    if exit_.signal is not None:
        return (
            f"the child was ended by signal {exit_.signal}, perhaps because the machine has too little memory"
        )
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"the child ended with code {exit_.exit_code}{f': {last[:200]}' if last else ''}"
