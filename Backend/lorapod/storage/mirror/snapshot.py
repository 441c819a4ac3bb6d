"""Files that still grow, as they were at one moment: a store takes a file only if it stays as it is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from lorapod.storage.mirror.artifact import Artifact, ArtifactKind

_DATABASE = ".db"


@contextmanager
def standing_still(artifact: Artifact, scratch: Path) -> Iterator[Path]:
    """The file to send: the artifact's own, or for a log a copy of it in `scratch`.

    Raises:
        OSError: it is gone, or the disk is full.
    """
    if artifact.kind is not ArtifactKind.LOG:
        yield artifact.path
        return
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=scratch, prefix="upload-") as folder:
        copy = Path(folder, artifact.path.name)
        journal = artifact.path.with_name(f"{artifact.path.name}-wal")
        if artifact.path.suffix == _DATABASE and journal.exists() and journal.stat().st_size:
            _copy_database(artifact.path, copy)
        else:
            _copy(artifact, copy)
        yield copy


def _copy(artifact: Artifact, copy: Path) -> None:
    """As much of it as there was when it was seen: it may have grown since."""
    with artifact.path.open("rb") as source, copy.open("xb") as target:
        shutil.copyfileobj(source, target)
        target.truncate(artifact.size_bytes)


def _copy_database(path: Path, copy: Path) -> None:
    """A trainer that was killed leaves its last rows in the journal beside the database."""
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise OSError(f"the database {path.name} cannot be read: {error}") from error
