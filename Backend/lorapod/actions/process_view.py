"""A process as callers see it, from its record, its folder, its config and its uploads."""

from __future__ import annotations

from collections.abc import Mapping

from lorapod.records.record import ProcessRecord
from lorapod.storage.mirror.ledger import uploads_of
from lorapod.trainers.config_settings import read_shown
from lorapod.volume.process_view import process_view
from lorapod.wire.process import ProcessView
from lorapod.workspace import Workspace


def view(
    record: ProcessRecord,
    workspace: Workspace,
    *,
    log_tail: list[str] | None = None,
    metrics: Mapping[str, float] | None = None,
) -> ProcessView:
    """Return the record with the files that the process wrote; reads its folder."""
    return process_view(
        record,
        workspace,
        config=None if record.training is None else read_shown(record.config_path(workspace)),
        uploads=uploads_of(record.process_id, workspace),
        log_tail=log_tail,
        metrics=metrics,
    )
