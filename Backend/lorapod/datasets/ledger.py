"""What was fetched before, and which files of which dataset came of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.atomic import replace_file
from lorapod.safety.part_file import Version


@dataclass(frozen=True, kw_only=True)
class KeptFile:
    """A file of a dataset, as it was when it was put there."""

    name: str
    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class LedgerEntry:
    """What became of one remote file."""

    #: Digest of the file's key: a key may hold a token that the caller alone should know.
    key_sha256: str
    etag: str | None
    last_modified: str | None
    #: Folder of the dataset, below `training_data`.
    dataset: str
    #: What was put into captions there.
    trigger_word: str | None
    #: One, or what an archive held.
    files: Sequence[KeptFile]

    @property
    def version(self) -> Version:
        """As the source called it."""
        return Version(etag=self.etag, last_modified=self.last_modified)


_ADAPTER = TypeAdapter(LedgerEntry)


class FetchLedger:
    """A small file for each remote file that was fetched; the content lies in the datasets alone."""

    def __init__(self, folder: Path, datasets: Path) -> None:
        """Keep it in `folder`, which need not exist, about folders of `datasets`."""
        self._folder = folder
        self._datasets = datasets

    def note(self, entry: LedgerEntry) -> None:
        """Remember a file.

        Raises:
            OSError: the disk is full or not writable.
        """
        self._folder.mkdir(exist_ok=True)
        replace_file(self._path(entry.key_sha256), _ADAPTER.dump_json(entry))

    def find(self, key: str, trigger_word: str | None) -> LedgerEntry | None:
        """What is known of a remote file, where all that came of it is still there, unchanged."""
        try:
            entry = _ADAPTER.validate_json(self._path(digest_of(key)).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        if (
            entry.key_sha256 != digest_of(key)
            or entry.trigger_word != trigger_word
            or not entry.version
            or not entry.files
        ):
            return None
        return entry if all(self._unchanged(entry, file) for file in entry.files) else None

    def borrow(self, entry: LedgerEntry, folder: Path) -> bool:
        """Have the entry's files in `folder` too, at no cost where the file system knows links; False: one is gone."""
        try:
            for file in entry.files:
                source, target = self._datasets / entry.dataset / file.name, folder / file.name
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
    """What stands for a remote file's key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()
