"""The folder that one training writes, and the checkpoint in it to resume from. No torch here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound
from lorapod.weights import SUFFIX, read_header, step_of


@dataclass(frozen=True, kw_only=True)
class RunCheckpoint:
    """A whole checkpoint of one run."""

    path: Path
    step: int
    rank: int | None


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """`<training_folder>/<name>` in AI Toolkit's layout."""

    path: Path
    name: str

    @property
    def final(self) -> Path:
        """Return the path of the trained LoRA."""
        return self.path / f"{self.name}{SUFFIX}"

    @property
    def optimizer(self) -> Path:
        """Return the path of the optimizer's state, without which a resume is not exact."""
        return self.path / "optimizer.pt"

    @property
    def config(self) -> Path:
        """Return the path of the config as the run got it."""
        return self.path / "config.yaml"

    @property
    def loss_log(self) -> Path:
        """Return the path of the SQLite file of the metrics."""
        return self.path / "loss_log.db"

    @property
    def samples(self) -> Path:
        """Return the folder of the sample images."""
        return self.path / "samples"

    def at_step(self, step: int) -> Path:
        """Return the path of the checkpoint of a step."""
        return self.path / f"{self.name}_{step:09d}{SUFFIX}"

    def step_checkpoints(self) -> list[Path]:
        """Return the intermediate checkpoints in the order of their steps, whole or not."""
        pattern = re.compile(rf"{re.escape(self.name)}_\d{{9,}}{re.escape(SUFFIX)}")
        found = [path for path in self.path.iterdir() if pattern.fullmatch(path.name)]
        return sorted(found, key=lambda path: int(path.stem.rpartition("_")[2]))

    def newest_checkpoint(self) -> tuple[RunCheckpoint | None, list[Path]]:
        """Return the whole checkpoint of the highest step, and the files that are damaged.

        The step is the one in the file's metadata, because times and names change when a folder is copied.
        """
        best: RunCheckpoint | None = None
        damaged: list[Path] = []
        for path in (*self.step_checkpoints(), self.final):
            try:
                header = read_header(path)
            except NotFound:
                continue
            except InvalidInput:
                damaged.append(path)
                continue
            step = step_of(header)
            if not header.whole or step is None:
                damaged.append(path)
            elif best is None or step >= best.step:
                best = RunCheckpoint(path=path, step=step, rank=header.rank)
        return best, damaged

    def prune(self, keep: int) -> None:
        """Delete all intermediate checkpoints except the last `keep`."""
        for path in self.step_checkpoints()[:-keep]:
            path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete the unfinished files of a killed run."""
        for folder in (self.path, self.samples):
            for path in folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)
