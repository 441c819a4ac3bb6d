"""Copy files that still grow: the file of an upload must not change."""

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
def stable_copy(artifact: Artifact, scratch: Path) -> Iterator[Path]:
    """Yield the file to send: the artifact itself, or a copy of a log in `scratch`.

    Raises:
        OSError: the file is gone, or the disk is full.
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
    """Copy as many bytes as the file had when it was seen: it may have grown since."""
    with artifact.path.open("rb") as source, copy.open("xb") as target:
        shutil.copyfileobj(source, target)
        target.truncate(artifact.size_bytes)


def _copy_database(path: Path, copy: Path) -> None:
    """Copy a database with its journal, in which a killed trainer leaves its last rows."""
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise OSError(f"the database {path.name} cannot be read: {error}") from error
