"""What of a training stays when the rest of it is deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lorapod.errors import Conflict
from lorapod.processes.artifacts import Checkpoint


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


def _hint(found: Sequence[Checkpoint]) -> str:
    steps = [str(one.step) for one in found if one.step is not None]
    return f"It has steps {', '.join(steps)}." if steps else "Leave `keep` out to delete the whole process."
