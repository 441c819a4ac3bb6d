"""The progress of a build: the builder reports it line by line, the waiting worker reads it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BuildStep(StrEnum):
    """The steps of a build, in this order."""

    WAITING = "waiting"
    CREATING = "creating"
    FETCHING = "fetching"
    INSTALLING = "installing"
    CHECKING = "checking"


#: The share of the whole time at which each step begins: a mean of builds from a near and a distant package index.
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
    #: The completed part of this step, 0 to 1, if it can be counted.
    part: float = 0.0
    #: A few words, for example the name of a package.
    detail: str = ""

    @property
    def share(self) -> float:
        """Return the completed part of the whole build, 0 to 1."""
        begin, end = BEGINS[self.step], _ENDS[self.step]
        return round(begin + (end - begin) * min(1.0, self.part), 4)


def remaining_s(share: float, elapsed_s: float, known_s: float | None) -> float | None:
    """Return how long the build will still take, or None if that is not known yet.

    Args:
        share: the completed part, 0 to 1.
        elapsed_s: how long that part took.
        known_s: how long a former build took on this volume.
    """
    if known_s is not None:
        return round(max(1.0, known_s - elapsed_s, known_s * (1 - share) * 0.5), 1)
    if share < 0.05:
        return None
    return round(elapsed_s * (1 - share) / share, 1)
