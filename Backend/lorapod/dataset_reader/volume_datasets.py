"""The datasets of a workspace by its files alone: listed, looked at, and still arriving; no image is opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, ItemKind
from lorapod.dataset_reader.kept_thumbnails import FOLDER as THUMBNAILS
from lorapod.dataset_reader.kept_thumbnails import kept_thumbnails
from lorapod.dataset_reader.oddities import DatasetProblem, caption_flags, left_out_problems
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.dataset_reader.used_datasets import TRAININGS_MAX, datasets_of, listed_dataset
from lorapod.dataset_reader.usual_captions import read_usual_captions
from lorapod.errors import NotFound
from lorapod.kinds import is_hidden
from lorapod.volume.arriving import (
    MANIFEST,
    RESULT,
    ArrivalResult,
    ArrivingUpload,
    arriving_folder,
    is_upload_id,
)
from lorapod.volume.listed_files import ListedFiles
from lorapod.volume.port import EntryKind, FileEntry
from lorapod.volume.view import VolumeView
from lorapod.wire.gallery import DatasetListView
from lorapod.workspace import safe_name

_NOT_OPENED: Final = DatasetProblem(
    code="not_looked_into",
    message="The images were not opened: only a worker finds those that are damaged, small, blurred or alike.",
    names=(),
)


@dataclass(frozen=True, kw_only=True)
class DatasetListPage:
    """One page of datasets, by name."""

    datasets: Sequence[DatasetListView]
    #: None on the last page.
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class UnopenedItem:
    """An item of a dataset, as far as its files tell without being opened."""

    item: DatasetItem
    caption: str
    flags: Sequence[str]
    #: Where a worker has kept its thumbnail; None if none has.
    thumbnail: Path | None


@dataclass(frozen=True, kw_only=True)
class UnopenedPage:
    """One page of a dataset."""

    reading: DatasetReading
    items: Sequence[UnopenedItem]
    problems: Sequence[DatasetProblem]
    #: None on the last page.
    next_cursor: str | None


@dataclass(frozen=True, kw_only=True)
class WaitingUpload:
    """An upload over S3 that no worker has taken yet, or that a worker has refused."""

    upload_id: str
    training_name: str
    files: int
    total_bytes: int
    #: Why a worker refused it; None: it waits for one.
    error: str | None = None


class VolumeDatasets:
    """Reads the datasets of one workspace. Every method blocks; it is safe to use from several threads."""

    def __init__(self, view: VolumeView) -> None:
        """Read through `view`."""
        self._view = view
        self._files, self._workspace = view.files, view.workspace

    def list_datasets(self, *, limit: int = 100, cursor: str | None = None) -> DatasetListPage:
        """Return a page of datasets, as the action `datasets` does."""
        top = self._workspace.training_data
        names = [
            entry.name
            for entry in self._files.entries(top)
            if entry.kind is EntryKind.FOLDER and not entry.name.startswith(".")
        ]
        rest = [name for name in names if cursor is None or name > cursor]
        shown = rest[:limit]
        used = datasets_of(self._view.newest_records({"train"}, TRAININGS_MAX)) if shown else {}
        return DatasetListPage(
            datasets=list(self._view.at_once(lambda name: self._listed(top / name, used), shown)),
            next_cursor=shown[-1] if len(rest) > len(shown) else None,
        )

    def page(
        self,
        training_name: str,
        *,
        caption_ext: str | None = None,
        limit: int = 200,
        cursor: str | None = None,
        thumbnail_px: int = 192,
    ) -> UnopenedPage:
        """Return a page of a dataset with its captions, and with the thumbnails that a worker has made already.

        Raises:
            NotFound: there is no such dataset.
            InvalidInput: the name is not a plain one.
        """
        folder = self._workspace.training_data / safe_name(training_name, field="training_name")
        listed = ListedFiles(self._files.below(folder))
        reading = read_usual_captions(DatasetReader(files=listed), DatasetEntry(folder=folder), caption_ext)
        if not reading.items and not reading.left_out:
            raise NotFound(f"There is no dataset {training_name!r}.", hint="`datasets` lists them.")
        rest = [item for item in reading.items if cursor is None or item.name > cursor]
        shown = rest[:limit]
        captions = self._captions(shown)
        flags = defaultdict(list)
        for name, flag in caption_flags(reading, captions):
            flags[name].append(flag)
        images = [item.file for item in shown if item.kind is ItemKind.IMAGE]
        thumbnails = (
            kept_thumbnails(
                self._files, self._workspace.training_data / THUMBNAILS / training_name, images, thumbnail_px
            )
            if thumbnail_px
            else {}
        )
        return UnopenedPage(
            reading=reading,
            items=[
                UnopenedItem(
                    item=item,
                    caption=captions.get(item.name, ""),
                    flags=flags[item.name],
                    thumbnail=thumbnails.get(item.name),
                )
                for item in shown
            ],
            problems=[*left_out_problems(reading), _NOT_OPENED],
            next_cursor=shown[-1].name if len(rest) > len(shown) else None,
        )

    def arriving(self) -> Sequence[WaitingUpload]:
        """Return the uploads that wait for a worker, and those that one has refused."""
        folder = arriving_folder(self._workspace)
        ids = [entry.name for entry in self._files.entries(folder) if is_upload_id(entry.name)]
        found = self._view.at_once(lambda upload_id: self._waiting(folder / upload_id), ids)
        return [arrival for arrival in found if arrival is not None]

    def _waiting(self, folder: Path) -> WaitingUpload | None:
        manifest, result = (self._view.content(folder / name) for name in (MANIFEST, RESULT))
        try:
            if manifest is not None:
                upload = ArrivingUpload.model_validate_json(manifest)
                return WaitingUpload(
                    upload_id=folder.name,
                    training_name=upload.training_name,
                    files=len(upload.files),
                    total_bytes=upload.total_bytes,
                )
            if result is not None and (taken := ArrivalResult.model_validate_json(result)).error is not None:
                return WaitingUpload(
                    upload_id=folder.name,
                    training_name=taken.training_name,
                    files=0,
                    total_bytes=0,
                    error=str(taken.error.get("error", "")),
                )
        except ValidationError:
            return None  # the rest of it is still to come
        return None

    def _listed(self, folder: Path, used: Mapping[str, Sequence[str]]) -> DatasetListView:
        listed = ListedFiles(self._files.below(folder))
        reading = DatasetReader(files=listed).read(DatasetEntry(folder=folder))
        # S3 tells no time of a folder.
        newest_ns = max((_modified_ns(entry) for entry in listed.below(folder, skip=is_hidden)), default=0)
        path = self._workspace.relative(folder)
        modified_at = datetime.fromtimestamp(newest_ns / 1e9, UTC)
        return listed_dataset(reading, path, modified_at, used.get(path, ()))

    def _captions(self, items: Sequence[DatasetItem]) -> Mapping[str, str]:
        """Return the text that the trainer reads for each item with a caption; an unreadable one is left out."""

        def text(item: DatasetItem) -> str | None:
            try:
                return item.read_caption(lambda path: self._files.read(path).data)
            except (FileNotFoundError, UnicodeDecodeError):
                return None

        with_caption = [item for item in items if item.has_caption]
        texts = zip(with_caption, self._view.at_once(text, with_caption), strict=True)
        return {item.name: found for item, found in texts if found is not None}


def _modified_ns(entry: FileEntry) -> int:
    """Return when a file changed; 0 if it is gone by now, or a link to a file that is."""
    try:
        return entry.state().modified_ns
    except FileNotFoundError:
        return 0
