"""Pack a folder with folders in it, so that the worker sees the whole of it at once."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lorapod.client.errors import LocalFileNotFound
from lorapod.wire.dataset import CACHE_FOLDERS, is_archive_name, is_dataset_name

_LITTER = frozenset({"__MACOSX"}) | CACHE_FOLDERS
_TAKEN = "use images, videos, captions, or a zip or tar of them"
#: The same folder is the same archive every time, so that an upload that broke off is continued.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class FolderFiles:
    """The files of a folder, sorted into what a dataset takes and what it does not."""

    folder: Path
    #: Directly in the folder.
    top: Sequence[Path]
    #: In folders below it.
    nested: Sequence[Path]
    #: Names relative to the folder of what cannot be sent; hidden files are not listed.
    skipped: Sequence[str]

    @classmethod
    def of(cls, folder: Path) -> FolderFiles:
        """Look through a folder and all folders below it, but hidden ones and those of a trainer's caches; or take one file.

        Raises:
            LocalFileNotFound: there is no such folder or file, or it has nothing for a dataset.
        """
        if folder.is_file():
            if not is_dataset_name(folder.name):
                raise LocalFileNotFound(f"{folder} cannot be part of a dataset: {_TAKEN}.")
            return cls(folder=folder.parent, top=[folder], nested=[], skipped=[])
        if not folder.is_dir():
            raise LocalFileNotFound(f"There is no folder {folder}.")
        found: list[Path] = []
        nameless: list[Path] = []
        for path in sorted(_files(folder)):
            (found if _has_utf8_name(path.relative_to(folder)) else nameless).append(path)
        top = [path for path in found if path.parent == folder and is_dataset_name(path.name)]
        # An archive inside an archive stays packed on the worker.
        nested = [
            path
            for path in found
            if path.parent != folder and is_dataset_name(path.name) and not is_archive_name(path.name)
        ]
        if not top and not nested:
            raise LocalFileNotFound(f"{folder} has no image, caption, video or zip.")
        sent = {*top, *nested}
        skipped = [
            path.relative_to(folder).as_posix()
            for path in found
            if path not in sent and not path.name.startswith(".")
        ]
        skipped += [_shown(path.relative_to(folder)) for path in nameless]
        return cls(folder=folder, top=top, nested=nested, skipped=skipped)

    @contextmanager
    def to_send(self) -> Iterator[Sequence[Path]]:
        """Yield the files to send: those of a flat folder themselves; of one with folders a zip that keeps them.

        Raises:
            OSError: the temporary folder has no room for the zip.
        """
        if not self.nested:
            yield self.top
            return
        archives = [path for path in self.top if is_archive_name(path.name)]
        with tempfile.TemporaryDirectory(prefix="lorapod-") as scratch:
            archive = Path(scratch, f"{self.folder.resolve().name or 'dataset'}.zip")
            self._pack(archive, [path for path in (*self.top, *self.nested) if path not in archives])
            yield [archive, *archives]

    def _pack(self, archive: Path, paths: Sequence[Path]) -> None:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(paths):
                entry = zipfile.ZipInfo(path.relative_to(self.folder).as_posix(), _DATE)
                entry.file_size = path.stat().st_size
                with path.open("rb") as source, packed.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)


def _has_utf8_name(path: Path) -> bool:
    """Return whether a request can hold this name; file systems have others too."""
    return not any("\ud800" <= character <= "\udfff" for character in str(path))


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name in _LITTER:
            continue
        if path.is_dir():
            if not path.name.startswith(".") and not path.is_symlink():
                yield from _files(path)
        elif path.is_file() and not path.name.startswith("._"):
            # `.cat.png` is a picture, `._cat.png` what macOS notes about one.
            yield path
