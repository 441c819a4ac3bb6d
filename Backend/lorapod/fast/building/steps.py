"""How far a build is: told by the builder a line at a time, read by the worker that waits for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BuildStep(StrEnum):
    """What a build is busy with, in this order."""

    WAITING = "waiting"
    CREATING = "creating"
    FETCHING = "fetching"
    INSTALLING = "installing"
    CHECKING = "checking"


#: Shares of the whole time at which the steps begin: between those of a package index nearby and of one far away.
BEGINS = {
    BuildStep.WAITING: 0.0,
    BuildStep.CREATING: 0.0,
    BuildStep.FETCHING: 0.02,
    BuildStep.INSTALLING: 0.35,
    BuildStep.CHECKING: 0.95,
}
_ENDS = dict(zip(BEGINS, [*list(BEGINS.values())[1:], 1.0], strict=True))


@dataclass(frozen=True, kw_only=True)
class BuildStage:
    """One moment of a build."""

    step: BuildStep
    #: Of this step, 0 to 1, where it can be counted.
    part: float = 0.0
    #: In a few words, e.g. the package.
    detail: str = ""

    @property
    def share(self) -> float:
        """Of the whole, 0 to 1."""
        begin, end = BEGINS[self.step], _ENDS[self.step]
        return round(begin + (end - begin) * min(1.0, self.part), 4)


def remaining_s(share: float, elapsed_s: float, known_s: float | None) -> float | None:
    """How long it will still take; None: that cannot be told yet.

    Args:
        share: how much is done, 0 to 1.
        elapsed_s: how long that took.
        known_s: how long such a build took before on this volume.
    """
    if known_s is not None:
        return round(max(1.0, known_s - elapsed_s, known_s * (1 - share) * 0.5), 1)
    if share < 0.05:
        return None
    return round(elapsed_s * (1 - share) / share, 1)
