"""The samples of a training, a set for each step at which they were all drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from lorapod.volume.artifacts import samples
from lorapod.wire.dataset import IMAGE_SUFFIXES


@dataclass(frozen=True, kw_only=True)
class SampleSets:
    """Finds the sets of one run."""

    run_folder: Path
    #: The numbers of the prompts that show what is learnt.
    prompts: AbstractSet[int]
    #: The step that the run goes on from, and when its trainer was launched, in seconds since the epoch: later samples of an
    #: earlier run are of weights that are gone.
    resumed_step: int
    launched_at: float

    def whole(self) -> Mapping[int, Sequence[Path]]:
        """Return the newest image of each of the prompts, for each step that has them all.

        Raises:
            OSError: the folder cannot be read now.
        """
        newest: dict[int, dict[int, Path]] = {}
        for sample in samples(self.run_folder):
            if sample.index in self.prompts and sample.path.suffix.lower() in IMAGE_SUFFIXES:
                if sample.step > self.resumed_step and _drawn_s(sample.path) < self.launched_at:
                    continue
                # They come in the order of their times.
                newest.setdefault(sample.step, {})[sample.index] = sample.path
        return {
            step: [found[index] for index in sorted(found)]
            for step, found in sorted(newest.items())
            if found.keys() == self.prompts
        }


def _drawn_s(path: Path) -> float:
    """Return when a sample was drawn, which its name begins with."""
    return int(path.name.partition("__")[0]) / 1000
