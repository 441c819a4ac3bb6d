"""The one reader of datasets: which items a trainer trains on, with which caption, and what it leaves out.

It follows AI Toolkit's own dataset class (version 0.12.26), to which a contract suite holds it; the builtin trainer
reads through it. Files are judged by their names here; `lorapod.datasets.looks` looks into them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from lorapod.datasets.entry import DatasetEntry, PartnerFolder, PartnerKind
from lorapod.datasets.item import (
    DatasetItem,
    DatasetReading,
    FoundFile,
    ItemKind,
    LeftOut,
    LeftOutCode,
    Partner,
)
from lorapod.datasets.leftovers import Leftovers
from lorapod.folders import files_below
from lorapod.kinds import AUDIO_SUFFIXES, CACHE_FOLDERS, VIDEO_SUFFIXES, suffix_of
from lorapod.safety.images import SUFFIXES as IMAGE_SUFFIXES

#: AI Toolkit does not train on what lies directly in a folder of this name: control images that it makes itself.
CONTROLS_FOLDER = "_controls"

#: In this order AI Toolkit looks for a second picture, in small letters.
_PARTNER_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_INPAINT_SUFFIXES = (".png", ".webp")

_LITTER = frozenset({"thumbs.db", "desktop.ini", ".ds_store", ".aitk_size.json"})


class DatasetReader:
    """Reads folders as trainers do."""

    def __init__(self, root: Path | None = None) -> None:
        """Follow links to files only to places below `root`; None: follow all."""
        self._root = root

    def read(self, entry: DatasetEntry) -> DatasetReading:
        """Return what the entry's folder holds; nothing if there is no such folder.

        Raises:
            OSError: a folder cannot be read now.
        """
        left_out: list[LeftOut] = []
        files = list(self._files(entry.folder, left_out))
        partner_files = {
            folder.path: list(self._files(folder.path, left_out=[])) for folder in entry.partners
        }
        learnt: list[tuple[FoundFile, ItemKind]] = []
        rest: list[FoundFile] = []
        for file in files:
            kind = _kind(file.name, entry)
            if kind is None or _is_control(file, entry.folder) or _is_hidden(file.name):
                rest.append(file)
            else:
                learnt.append((file, kind))
        by_name = {file.name: file for file in rest}
        partners = [_Partners(folder, partner_files[folder.path]) for folder in entry.partners]
        items = [
            DatasetItem(
                file=file,
                kind=kind,
                caption_file=by_name.get(_stem(file.name) + entry.caption_ext),
                default_caption=entry.default_caption,
                partners=tuple(folder.of(file.name) for folder in partners),
            )
            for file, kind in learnt
        ]
        left_out += Leftovers(entry, items).of(rest)
        return DatasetReading(
            entry=entry,
            items=items,
            left_out=left_out,
            total_bytes=sum(file.size_bytes for file in files),
            partner_files=partner_files,
        )

    def _files(self, folder: Path, left_out: list[LeftOut]) -> Iterator[FoundFile]:
        """Yield every file by its whole name, but those of the trainer and of operating systems."""
        prefix = f"{folder}{os.sep}"
        found = []
        for entry in files_below(folder, skip=lambda name: name.startswith(".")):
            name = entry.path.removeprefix(prefix)
            if _is_litter(name):
                continue
            if entry.is_symlink() and self._leads_out(entry.path):
                left_out.append(
                    LeftOut(
                        name=name,
                        code=LeftOutCode.LINK_OUTSIDE,
                        sentence=f"{name} is a link that leads out of the workspace: put the file itself there.",
                    )
                )
                continue
            # Another upload may replace a file while the folder is read; a broken link is no file.
            with contextlib.suppress(FileNotFoundError):
                stat = entry.stat()
                found.append(
                    FoundFile(
                        name=name, path=Path(entry.path), size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns
                    )
                )
        yield from sorted(found, key=lambda file: file.name)

    def _leads_out(self, path: str) -> bool:
        if self._root is None:
            return False
        return not Path(path).resolve().is_relative_to(self._root.resolve())


class _Partners:
    """The second pictures in one folder; AI Toolkit looks for `<stem>.<suffix>` directly in it."""

    def __init__(self, folder: PartnerFolder, files: Sequence[FoundFile]) -> None:
        self._folder = folder
        self._by_name: Mapping[str, FoundFile] = {file.name: file for file in files if "/" not in file.name}
        inpaint = folder.kind is PartnerKind.INPAINT
        self._suffixes = _INPAINT_SUFFIXES if inpaint else _PARTNER_SUFFIXES

    def of(self, name: str) -> Partner:
        stem = _stem(PurePosixPath(name).name)
        names = (stem + suffix for suffix in self._suffixes)
        return Partner(
            folder=self._folder,
            file=next((self._by_name[name] for name in names if name in self._by_name), None),
        )


def _kind(name: str, entry: DatasetEntry) -> ItemKind | None:
    suffix = suffix_of(PurePosixPath(name).name)
    if entry.audio:
        return ItemKind.AUDIO if suffix in AUDIO_SUFFIXES else None
    if suffix in IMAGE_SUFFIXES:
        return ItemKind.IMAGE
    return ItemKind.VIDEO if suffix in VIDEO_SUFFIXES and entry.reads_clips else None


def _is_control(file: FoundFile, folder: Path) -> bool:
    parent = PurePosixPath(file.name).parent.name or folder.name
    return parent == CONTROLS_FOLDER


def _is_hidden(name: str) -> bool:
    return PurePosixPath(name).name.startswith(".")


def _is_litter(name: str) -> bool:
    path = PurePosixPath(name)
    if path.name.lower() in _LITTER or path.name.startswith("._"):
        return True
    return path.suffix.lower() not in IMAGE_SUFFIXES and any(
        part in CACHE_FOLDERS for part in path.parts[:-1]
    )


def _stem(name: str) -> str:
    """Return the path without its last suffix, as `os.path.splitext` splits it."""
    return os.path.splitext(name)[0]  # noqa: PTH122 - as AI Toolkit does; `with_suffix` differs at names with a dot at the end
