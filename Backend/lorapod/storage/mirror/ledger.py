"""Record which files were sent to a target: one file for each process and target, which survives every worker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import write_atomically
from lorapod.folders import entries_of
from lorapod.storage.mirror.artifact import Artifact, MirroredRun, find_artifacts
from lorapod.storage.mirror.key_names import mapped_root
from lorapod.storage.model_card import TrainedModel
from lorapod.storage.s3_access import JobS3
from lorapod.wire.dataset import SupabaseFolder
from lorapod.wire.storage import Target, UploadTargets
from lorapod.wire.uploads import UploadFailure, UploadsView, UploadTargetView
from lorapod.workspace import Workspace

FOLDER = "uploads"


@dataclass(frozen=True, kw_only=True)
class SentFile:
    """A file as it was when it was sent."""

    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class UploadLedger:
    """The uploads of one process to one target. It holds no secret: credentials are settings of the endpoint."""

    #: Has exactly one target.
    target: UploadTargets
    #: As in `MirroredRun`; folder and log are relative to the workspace.
    folder: str
    log: str
    root: str
    #: For the card of a repository; None: there is no card.
    model: TrainedModel | None = None
    #: The sha256 of the last card that was written, or that was not written because a person's own card exists.
    card: str | None = None
    #: The S3 server that the job brought with it; None: the endpoint's.
    job_s3: JobS3 | None = None
    #: By key.
    sent: Mapping[str, SentFile] = field(default_factory=dict)
    #: Why a file could not be sent, by key; the key is empty if the target itself cannot be used.
    failed: Mapping[str, str] = field(default_factory=dict)

    def holds(self, artifact: Artifact) -> bool:
        """Return whether the file was sent in its present state."""
        sent = self.sent.get(artifact.key)
        return sent is not None and (sent.size_bytes, sent.mtime_ns) == artifact.state

    def goes_where(self, other: UploadLedger) -> bool:
        """Return whether both send to the same place."""
        return (self.target, self.root, self.job_s3) == (other.target, other.root, other.job_s3)

    def merged(self, other: UploadLedger) -> UploadLedger:
        """Return this ledger with what another worker has sent to the same target meanwhile."""
        if not self.goes_where(other):
            return self
        newer = {
            key: sent
            for key, sent in other.sent.items()
            if key not in self.sent or sent.mtime_ns > self.sent[key].mtime_ns
        }
        return replace(self, sent={**self.sent, **newer}) if newer else self

    def run(self, process_id: str, workspace: Workspace) -> MirroredRun:
        """Return the run of this ledger."""
        plain = takes_plain_names(self.target.targets[0])
        return MirroredRun(
            process_id=process_id,
            folder=workspace.root / self.folder,
            log=workspace.root / self.log,
            root=mapped_root(self.root, plain=plain),
            plain=plain,
        )


def takes_plain_names(target: Target) -> bool:
    """Return whether a target accepts only plain Latin letters in keys."""
    return isinstance(target, SupabaseFolder)


_ADAPTER = TypeAdapter(UploadLedger)


def ledger_path(workspace: Workspace, process_id: str, label: str) -> Path:
    """Return the path of the ledger of a target; `label` is its name in `upload`, such as `s3`."""
    return workspace.process_folder(process_id) / FOLDER / f"{label}.json"


def read_ledger(path: Path) -> UploadLedger | None:
    """Return the stored ledger; None if it is missing or damaged: then everything is sent again."""
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write_ledger(path: Path, ledger: UploadLedger) -> None:
    """Store the ledger.

    Raises:
        OSError: the disk is full or not writable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _ADAPTER.dump_json(ledger, exclude_none=True))


def ledgers_of(workspace: Workspace, process_id: str) -> Iterator[tuple[Path, UploadLedger]]:
    """Yield the ledgers of a process with their paths, by label.

    Raises:
        OSError: the folder cannot be read now.
    """
    folder = workspace.process_folder(process_id) / FOLDER
    names = (entry.name for entry in entries_of(folder))
    for path in [folder / name for name in names if name.endswith(".json") and not name.startswith(".")]:
        if (ledger := read_ledger(path)) is not None:
            yield path, ledger


def uploads_of(process_id: str, workspace: Workspace) -> UploadsView | None:
    """Return the state of the uploads of a process, as answers show it; None if it has no target."""
    targets, failed = [], []
    sent = pending = 0
    for path, ledger in ledgers_of(workspace, process_id):
        run = ledger.run(process_id, workspace)
        targets.append(UploadTargetView(to=ledger.target, root=run.root))
        failed += [
            UploadFailure(target=path.stem, key=key, error=error) for key, error in ledger.failed.items()
        ]
        sent += len(ledger.sent)
        found = find_artifacts(run)
        pending += sum(not ledger.holds(artifact) for artifact in found)
    return UploadsView(targets=targets, sent=sent, pending=pending, failed=failed) if targets else None
