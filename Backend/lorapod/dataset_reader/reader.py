"""The one reader of datasets: which items a trainer trains on, with which caption, and what it leaves out.

It follows AI Toolkit's own dataset class (version 0.12.26), to which a contract suite holds it; the builtin trainer
reads through it. Files are judged by their names here; `lorapod.datasets.looks` looks into them.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, FoundFile, ItemKind, LeftOut, LeftOutCode, base_name
from lorapod.dataset_reader.leftovers import Leftovers
from lorapod.dataset_reader.listing import found_file, listed_files, read_listing
from lorapod.dataset_reader.partners import PartnerFiles, stem_of
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.kinds import AUDIO_SUFFIXES, CACHE_FOLDERS, VIDEO_SUFFIXES, suffix_of
from lorapod.volume.local_files import LOCAL_FILES
from lorapod.volume.port import EntryKind, FileEntry, VolumeListing
from lorapod.wire.dataset import IMAGE_SUFFIXES

#: AI Toolkit does not train on what lies directly in a folder of this name: control images that it makes itself.
CONTROLS_FOLDER = "_controls"

#: What AI Toolkit writes into its cache folders; images there would be trained on.
_CACHE_SUFFIX = ".safetensors"

_LITTER = frozenset({"thumbs.db", "desktop.ini", ".ds_store", ".aitk_size.json"})


class DatasetReader:
    """Reads folders as trainers do."""

    def __init__(
        self,
        root: Path | None = None,
        *,
        names_only: bool = False,
        files: VolumeListing = LOCAL_FILES,
    ) -> None:
        """Follow links to files only to places below `root`; None: follow all. Folders are listed by `files`.

        With `names_only`, sizes and times are 0: on a network volume, to ask for those of each file takes seconds.
        """
        self._root = root
        self._names_only = names_only
        self._listing = files

    def read(self, entry: DatasetEntry) -> DatasetReading:
        """Return what the entry's folder holds; nothing if there is no such folder.

        Raises:
            InvalidInput: it is a file, and not a JSON list of images.
            OSError: a folder cannot be read now.
        """
        left_out: list[LeftOut] = []
        partners = [
            PartnerFiles(folder, list(self._files(folder.path, left_out, shown=f"{folder.path.name}/")))
            for folder in entry.partners
        ]
        if entry.folder.is_file():
            rest: list[FoundFile] = []
            items = self._listed(entry, partners, left_out)
        else:
            items, rest = self._in_folder(entry, partners, left_out)
        left_out += Leftovers(entry, items).of(rest)
        files = [item.file for item in items] + rest
        return DatasetReading(
            entry=entry,
            items=items,
            left_out=left_out,
            total_bytes=sum(file.size_bytes for file in files),
            partners=partners,
        )

    def _in_folder(
        self, entry: DatasetEntry, partners: Sequence[PartnerFiles], left_out: list[LeftOut]
    ) -> tuple[list[DatasetItem], list[FoundFile]]:
        """Return the items of a folder, and the files that are not items."""
        learnt: list[tuple[FoundFile, ItemKind]] = []
        rest: list[FoundFile] = []
        for file in self._files(entry.folder, left_out):
            kind = _kind(file.name, entry)
            if kind is None or _is_control(file, entry.folder) or _is_hidden(file.name):
                rest.append(file)
            else:
                learnt.append((file, kind))
        by_name = {file.name: file for file in rest}
        items = [
            DatasetItem(
                file=file,
                kind=kind,
                caption_file=by_name.get(stem_of(file.name) + entry.caption_ext),
                default_caption=entry.default_caption,
                partners=tuple(folder.of(file.name) for folder in partners),
            )
            for file, kind in learnt
        ]
        return items, rest

    def _listed(
        self, entry: DatasetEntry, partners: Sequence[PartnerFiles], left_out: list[LeftOut]
    ) -> list[DatasetItem]:
        """Return the items that a JSON file lists; whatever their suffixes are, the trainer opens them."""
        items = []
        for listed in listed_files(entry.folder, read_listing(entry.folder), self._root, left_out):
            file = listed.file
            if file.path.parent.name == CONTROLS_FOLDER:
                continue
            beside = (
                None
                if listed.caption is not None
                else found_file(stem_of(str(file.path)) + entry.caption_ext)
            )
            items.append(
                DatasetItem(
                    file=file,
                    kind=_kind(file.name, entry) or ItemKind.IMAGE,
                    listed_caption=listed.caption,
                    caption_file=beside,
                    default_caption=entry.default_caption,
                    partners=tuple(folder.of(file.name) for folder in partners),
                )
            )
        return items

    def _files(self, folder: Path, left_out: list[LeftOut], shown: str = "") -> Iterator[FoundFile]:
        """Yield every file by its whole name, but those of the trainer and of operating systems.

        Args:
            folder: where to look.
            left_out: gets the links that are not followed.
            shown: stands before their names.
        """
        found = []
        for entry in self._listing.below(folder, skip=lambda name: name.startswith(".")):
            name = entry.path.relative_to(folder).as_posix()
            if _is_litter(name):
                continue
            if entry.kind is EntryKind.LINK and self._leads_out(entry.path):
                left_out.append(
                    LeftOut(
                        name=shown + name,
                        code=LeftOutCode.LINK_OUTSIDE,
                        sentence=f"{shown}{name} is a link that leads out of the workspace: put the file itself there.",
                    )
                )
                continue
            if (file := self._found(entry, name)) is not None:
                found.append(file)
        yield from sorted(found, key=lambda file: file.name)

    def _found(self, entry: FileEntry, name: str) -> FoundFile | None:
        """Return the file; None if it is a broken link, or was removed since the folder was read."""
        state = None
        if not self._names_only or entry.kind is EntryKind.LINK:
            try:
                state = entry.state()
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ELOOP}:
                    raise
                return None
        return FoundFile(
            name=name,
            path=entry.path,
            size_bytes=state.size_bytes if state is not None else 0,
            mtime_ns=state.modified_ns if state is not None else 0,
        )

    def _leads_out(self, path: Path) -> bool:
        if self._root is None:
            return False
        try:
            return not path.resolve().is_relative_to(self._root.resolve())
        except RuntimeError:
            return False  # links in a circle lead nowhere


def _kind(name: str, entry: DatasetEntry) -> ItemKind | None:
    suffix = suffix_of(base_name(name))
    if entry.audio:
        return ItemKind.AUDIO if suffix in AUDIO_SUFFIXES else None
    if suffix in IMAGE_SUFFIXES:
        return ItemKind.IMAGE
    return ItemKind.VIDEO if suffix in VIDEO_SUFFIXES and entry.reads_clips else None


def _is_control(file: FoundFile, folder: Path) -> bool:
    parent = base_name(file.name.rpartition("/")[0]) or folder.name
    return parent == CONTROLS_FOLDER


def _is_hidden(name: str) -> bool:
    return base_name(name).startswith(".")


def _is_litter(name: str) -> bool:
    *folders, base = name.split("/")
    if base.lower() in _LITTER or base.startswith("._"):
        return True
    return suffix_of(base) == _CACHE_SUFFIX and not CACHE_FOLDERS.isdisjoint(folders)
