"""What was sent where: one file for each process and target, which outlives every worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import write_atomically
from lorapod.storage.mirror.artifact import Artifact, MirroredRun, find_artifacts
from lorapod.storage.model_card import TrainedModel
from lorapod.storage.s3_access import JobS3
from lorapod.wire.storage import UploadTargets
from lorapod.wire.uploads import UploadFailure, UploadsView, UploadTargetView
from lorapod.workspace import Workspace

FOLDER = "uploads"


@dataclass(frozen=True, kw_only=True)
class SentFile:
    """One file as it was when it was sent."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class UploadLedger:
    """One target of one process. Nothing in it is secret: credentials are the endpoint's settings."""

    #: With exactly one target.
    target: UploadTargets
    #: As in `MirroredRun`; folder and log relative to the workspace.
    folder: str
    log: str
    root: str
    #: What the card of a repository tells; None: it gets none.
    model: TrainedModel | None = None
    #: The sha256 of the card as it was written last, or was not because somebody's own stands there.
    card: str | None = None
    #: The server of a target that is the job's own; None: the endpoint's.
    job_s3: JobS3 | None = None
    #: By key.
    sent: Mapping[str, SentFile] = field(default_factory=dict)
    #: Why a file could not be sent, by key; the key is empty where the target itself cannot be used.
    failed: Mapping[str, str] = field(default_factory=dict)

    def holds(self, artifact: Artifact) -> bool:
        """Whether the file was sent as it is."""
        sent = self.sent.get(artifact.key)
        return sent is not None and (sent.size_bytes, sent.mtime_ns) == artifact.state

    def goes_where(self, other: UploadLedger) -> bool:
        """Whether both send to the same place."""
        return (self.target, self.root, self.job_s3) == (other.target, other.root, other.job_s3)

    def merged(self, other: UploadLedger) -> UploadLedger:
        """This ledger with what another worker has written for the same target meanwhile."""
        if not self.goes_where(other):
            return self
        newer = {
            key: sent
            for key, sent in other.sent.items()
            if key not in self.sent or sent.mtime_ns > self.sent[key].mtime_ns
        }
        return replace(self, sent={**self.sent, **newer}) if newer else self

    def run(self, process_id: str, workspace: Workspace) -> MirroredRun:
        """What it is the ledger of."""
        return MirroredRun(
            process_id=process_id,
            folder=workspace.root / self.folder,
            log=workspace.root / self.log,
            root=self.root,
        )


_ADAPTER = TypeAdapter(UploadLedger)


def ledger_path(workspace: Workspace, process_id: str, label: str) -> Path:
    """Where the ledger of a target lies; `label` is its name in `upload`, such as `s3`."""
    return workspace.process_folder(process_id) / FOLDER / f"{label}.json"


def read_ledger(path: Path) -> UploadLedger | None:
    """The ledger as last written; None where there is none, or a damaged one: then everything is sent again."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_ledger(path: Path, ledger: UploadLedger) -> None:
    """Keep the ledger.

    Raises:
        OSError: the disk is full or not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _ADAPTER.dump_json(ledger, exclude_none=True))


def ledgers_of(workspace: Workspace, process_id: str) -> Iterator[tuple[Path, UploadLedger]]:
    """The ledgers of a process with their files, by label."""
    folder = workspace.process_folder(process_id) / FOLDER
    for path in sorted(folder.glob("[!.]*.json")):
        if (ledger := read_ledger(path)) is not None:
            yield path, ledger


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
