"""What of a process was sent, as answers show it; read from the disk, so that any worker can tell."""

from __future__ import annotations

from lorapod.storage.mirror.artifact import find_artifacts
from lorapod.storage.mirror.ledger import ledgers_of
from lorapod.wire.uploads import UploadFailure, UploadsView, UploadTargetView
from lorapod.workspace import Workspace


def uploads_of(process_id: str, workspace: Workspace) -> UploadsView | None:
    """How far each target of a process is; None where it has none."""
    targets, failed = [], []
    sent = pending = 0
    for path, ledger in ledgers_of(workspace, process_id):
        targets.append(UploadTargetView(to=ledger.target, root=ledger.root))
        failed += [
            UploadFailure(target=path.stem, key=key, error=error) for key, error in ledger.failed.items()
        ]
        sent += len(ledger.sent)
        found = find_artifacts(ledger.run(process_id, workspace))
        pending += sum(not ledger.holds(artifact) for artifact in found)
    return UploadsView(targets=targets, sent=sent, pending=pending, failed=failed) if targets else None
