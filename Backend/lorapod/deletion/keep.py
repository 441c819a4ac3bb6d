"""What of a training stays when the rest of it is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import Conflict
from lorapod.models.card import card_path
from lorapod.records.record import ProcessRecord
from lorapod.records.status import ProcessStatus
from lorapod.trainers.checkpoints import OPTIMIZER_NAME
from lorapod.volume.artifacts import Checkpoint, checkpoints
from lorapod.workspace import Workspace

_OPTIMIZER_GOES = (
    "The newest checkpoint of {0} is not kept, and the optimizer's state belongs to it: `resume` will go on without the "
    "optimizer's state, on the trained weights."
)


@dataclass(frozen=True, kw_only=True)
class KeepRule:
    """Which checkpoints stay: the final weights, the newest `last`, or those of `steps`; one of the three is set."""

    final: bool = False
    last: int = 0
    steps: frozenset[int] = frozenset()

    def choose(self, found: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
        """Return the checkpoints that stay.

        Args:
            found: all that there are, by step, the final ones last.

        Raises:
            Conflict: there is none of those that must stay, so that everything would be deleted.
        """
        if self.final:
            kept = [one for one in found if one.final]
        elif self.last:
            kept = list(found[-self.last :])
        else:
            kept = [one for one in found if one.step in self.steps]
            if missing := sorted(self.steps - {one.step for one in kept if one.step is not None}):
                raise Conflict(
                    f"There is no checkpoint of step {', '.join(map(str, missing))}; nothing was deleted.",
                    hint=_hint(found),
                )
        if not kept:
            wanted = "final weights" if self.final else "checkpoint"
            raise Conflict(f"The process has no {wanted} to keep; nothing was deleted.", hint=_hint(found))
        return kept


@dataclass(frozen=True, kw_only=True)
class Excess:
    """What goes if a rule says what stays."""

    #: Absolute; some may not exist.
    paths: Sequence[Path]
    #: What the caller loses beside the checkpoints, one sentence each.
    warnings: Sequence[str] = ()


def excess_of(record: ProcessRecord, workspace: Workspace, keep: KeepRule) -> Excess:
    """Return what of a training is not kept.

    The optimizer's state fits the newest weights alone, and stays with them: a resume needs both.

    Raises:
        Conflict: there is none of those that must stay.
    """
    run_folder = record.run_folder(workspace)
    found = checkpoints(run_folder, record.name)
    kept = keep.choose(found)
    gone = [path for one in found if one not in kept for path in (one.path, card_path(one.path))]
    newest_step = _step(found[-1], record)
    if any(one is found[-1] or _step(one, record) == newest_step is not None for one in kept):
        return Excess(paths=gone)
    optimizer = run_folder / OPTIMIZER_NAME
    warnings = [_OPTIMIZER_GOES.format(record.process_id)] if optimizer.exists() else []
    return Excess(paths=[*gone, optimizer], warnings=warnings)


def _step(checkpoint: Checkpoint, record: ProcessRecord) -> int | None:
    if checkpoint.final and record.status is ProcessStatus.COMPLETED:
        return record.progress.total_steps
    return checkpoint.step


def _hint(found: Sequence[Checkpoint]) -> str:
    steps = [str(one.step) for one in found if one.step is not None]
    return f"It has steps {', '.join(steps)}." if steps else "Leave `keep` out to delete the whole process."
