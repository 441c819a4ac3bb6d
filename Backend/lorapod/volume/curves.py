"""All curves of a training: those that its trainer logs, and the likeness that its worker measures."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from lorapod.records.record import ProcessRecord
from lorapod.volume import loss_log
from lorapod.volume.likeness_log import KEY, read_likeness
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.loss_log import Series
from lorapod.volume.port import VolumeFiles
from lorapod.workspace import Workspace


def read_curves(
    record: ProcessRecord,
    workspace: Workspace,
    *,
    keys: Collection[str] | None = None,
    since_step: int | None = None,
    stride: int = 1,
    files: VolumeFiles = LOCAL_FILES,
) -> Series:
    """Return the curves of a training; see `loss_log.read_series`."""
    log = record.run_folder(workspace) / loss_log.FILE_NAME
    series = dict(loss_log.read_series(log, keys=keys, since_step=since_step, stride=stride, files=files))
    if keys is None or KEY in keys:
        after = -1 if since_step is None else since_step
        points = [point for point in _likeness(record, workspace, files) if point[0] > after]
        if points:
            series[KEY] = points[:: max(1, stride)]
    return series


def latest_values(
    record: ProcessRecord, workspace: Workspace, *, files: VolumeFiles = LOCAL_FILES
) -> Mapping[str, float]:
    """Return the newest value of every curve."""
    values = dict(loss_log.latest(record.run_folder(workspace) / loss_log.FILE_NAME, files=files))
    points = _likeness(record, workspace, files)
    return {**values, KEY: points[-1][1]} if points else values


def last_logged_step(
    record: ProcessRecord, workspace: Workspace, *, files: VolumeFiles = LOCAL_FILES
) -> int | None:
    """Return the newest step of the trainer's log; None if nothing is logged."""
    return loss_log.last_step(record.run_folder(workspace) / loss_log.FILE_NAME, files=files)


def _likeness(record: ProcessRecord, workspace: Workspace, files: VolumeFiles) -> list[tuple[int, float]]:
    log = read_likeness(workspace, record.process_id, files=files) if record.training is not None else None
    return [] if log is None else list(log.points)
