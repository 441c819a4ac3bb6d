"""The ledger of fetched files: which files of which dataset came of which remote file."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import replace_file
from lorapod.datasets.intake import StagedFile
from lorapod.safety.part_file import Version
from lorapod.wire.dataset import FixedFile


@dataclass(frozen=True, kw_only=True)
class KeptFile:
    """A file of a dataset, as it was when it was stored."""

    name: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    #: Folders and name in the archive that it came out of, if it came out of one.
    inner: str | None = None
    #: What was done to it if it was converted.
    fixed: FixedFile | None = None

    @classmethod
    def of(cls, dataset: Path, staged: StagedFile) -> Self:
        """Describe a file that was just stored in a dataset's folder.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        found = (dataset / staged.name).lstat()
        return cls(
            name=staged.name,
            size_bytes=found.st_size,
            mtime_ns=found.st_mtime_ns,
            sha256=staged.sha256,
            inner=staged.origin if staged.archive else None,
            fixed=staged.fixed,
        )


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """The dataset's files that came of one remote file."""

    #: Digest of the file's key: a key may contain a secret of the caller.
    key_sha256: str
    etag: str | None
    last_modified: str | None
    #: Folder of the dataset in `training_data`.
    dataset: str
    #: The trigger word that was added to captions there.
    trigger_word: str | None
    #: Whether images were converted there that trainers see otherwise.
    fix: bool = False
    #: One file, or those of an archive.
    files: Sequence[KeptFile]
    #: The remote file's name as the server gave it beside the content.
    source_name: str | None = None

    @property
    def version(self) -> Version:
        """The version, as the source named it."""
        return Version(etag=self.etag, last_modified=self.last_modified)


_ADAPTER = TypeAdapter(LedgerEntry)


class FetchLedger:
    """Keeps a small file for each remote file that was fetched; the content is only in the datasets."""

    def __init__(self, folder: Path, datasets: Path) -> None:
        """Keep entries in `folder`, which need not exist, about the folders in `datasets`."""
        self._folder = folder
        self._datasets = datasets

    def note(self, entry: LedgerEntry) -> None:
        """Write an entry.

        Raises:
            OSError: the disk is full or not writable.
        """
        self._folder.mkdir(exist_ok=True)
        replace_file(self._path(entry.key_sha256), _ADAPTER.dump_json(entry))

    def find(self, key: str, trigger_word: str | None, *, fix: bool = False) -> LedgerEntry | None:
        """Return the entry of a remote file if all files that came of it are still there, unchanged; else None."""
        try:
            entry = _ADAPTER.validate_json(self._path(digest_of(key)).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        if (
            entry.key_sha256 != digest_of(key)
            or entry.trigger_word != trigger_word
            or entry.fix != fix
            or not entry.version
            or not entry.files
        ):
            return None
        return entry if all(self._unchanged(entry, file) for file in entry.files) else None

    def borrow(self, entry: LedgerEntry, folder: Path) -> bool:
        """Link the entry's files into `folder`, or copy them if the file system has no links; return False if one is gone."""
        try:
            for file in entry.files:
                source, target = self._datasets / entry.dataset / file.name, folder / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(source, target)
                except FileNotFoundError:
                    raise
                except OSError:
                    shutil.copy2(source, target)
        except FileNotFoundError:
            return False
        return True

    def _unchanged(self, entry: LedgerEntry, file: KeptFile) -> bool:
        try:
            found = (self._datasets / entry.dataset / file.name).lstat()
        except FileNotFoundError:
            return False
        return (found.st_size, found.st_mtime_ns) == (file.size_bytes, file.mtime_ns)

    def _path(self, key_sha256: str) -> Path:
        return self._folder / f"{key_sha256[:32]}.json"


def digest_of(key: str) -> str:
    """Return the digest of a remote file's key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()
