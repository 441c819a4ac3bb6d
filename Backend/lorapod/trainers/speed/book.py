"""Measured speeds on the workspace: one small file for each training, which only the worker that runs it writes."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import replace_file
from lorapod.folders import entries_of
from lorapod.trainers.speed.measurement import Measurement
from lorapod.trainers.speed.workload import Workload
from lorapod.workspace import Workspace

#: Hidden folder of the workspace.
FOLDER: Final = ".speeds"

#: Newest trainings that are kept of one device, trainer and model.
KEPT_OF_A_MODEL: Final = 24
#: Newest trainings that are kept in all.
KEPT: Final = 1000

#: Larger files were not written here.
_MAX_BYTES: Final = 4096

_log = logging.getLogger(__name__)
_ADAPTER = TypeAdapter(Measurement)


class SpeedBook:
    """Keeps what trainings measured; safe for many threads and workers. It never raises: an estimate is no condition."""

    def __init__(self, workspace: Workspace) -> None:
        """Touch nothing yet."""
        self._folder = workspace.root / FOLDER

    def keep(self, process_id: str, measured: Measurement) -> None:
        """Keep what a training measured, in place of what it measured before."""
        group = _group(measured.device, measured.workload)
        try:
            self._folder.mkdir(exist_ok=True)
            replace_file(self._folder / f"{group}.{process_id}.json", _ADAPTER.dump_json(measured))
            self._prune(group)
        except OSError as error:
            _log.warning(
                "the speed of a training cannot be kept",
                extra={"process_id": process_id, "reason": error.strerror},
            )

    def measured(self, device: str, workload: Workload) -> list[Measurement]:
        """Return what trainings of the same model with the same trainer measured on a device, the newest first."""
        try:
            names = self._names()
        except OSError as error:
            _log.warning("the speeds of trainings cannot be read", extra={"reason": error.strerror})
            return []
        prefix = f"{_group(device, workload)}."
        own = sorted((name for name in names if name.startswith(prefix)), key=_age, reverse=True)
        found = [self._read(self._folder / name) for name in own[:KEPT_OF_A_MODEL]]
        return [one for one in found if one is not None and one.device == device]

    def _names(self) -> list[str]:
        return [entry.name for entry in entries_of(self._folder) if entry.name.endswith(".json")]

    def _read(self, path: Path) -> Measurement | None:
        """Return what a file says; None if it is gone or damaged."""
        try:
            with path.open("rb") as file:
                found = _ADAPTER.validate_json(file.read(_MAX_BYTES))
        except (OSError, ValidationError):
            return None
        times = (found.start_s, found.other_s_per_step)
        sound = (
            math.isfinite(found.steps_per_s) and found.steps_per_s > 0 and bool(found.workload.resolutions)
        )
        return found if sound and all(math.isfinite(each) and each >= 0 for each in times) else None

    def _prune(self, group: str) -> None:
        """Remove the oldest files of a model, and of all."""
        names = sorted(self._names(), key=_age, reverse=True)
        own = [name for name in names if name.startswith(f"{group}.")]
        for name in {*own[KEPT_OF_A_MODEL:], *names[KEPT:]}:
            # Another worker may remove it at the same time.
            with contextlib.suppress(FileNotFoundError):
                (self._folder / name).unlink()


def _group(device: str, workload: Workload) -> str:
    """Return the beginning of the file names of one device, trainer and model."""
    names = "\0".join((device, workload.trainer, workload.arch, str(workload.parameters)))
    return hashlib.sha256(names.encode(errors="replace")).hexdigest()[:12]


def _age(name: str) -> str:
    """Return the process id in a file's name; ids sort by age."""
    return name.partition(".")[2]
