"""What one reading of a dataset found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem, FoundFile, ItemKind, LeftOut
from lorapod.dataset_reader.partners import PartnerFiles


@dataclass(frozen=True, kw_only=True)
class DatasetReading:
    """Everything that lies in the folder of an entry, sorted into what is learnt and what is not."""

    entry: DatasetEntry
    items: Sequence[DatasetItem]
    left_out: Sequence[LeftOut]
    #: Of all files but those of the trainer and of operating systems.
    total_bytes: int
    #: The folders of second pictures that the entry names, with their files.
    partners: Sequence[PartnerFiles] = ()

    @cached_property
    def images(self) -> Sequence[DatasetItem]:
        """The items that are images."""
        return [item for item in self.items if item.kind is ItemKind.IMAGE]

    @cached_property
    def videos(self) -> Sequence[DatasetItem]:
        """The items that are clips."""
        return [item for item in self.items if item.kind is ItemKind.VIDEO]

    @cached_property
    def caption_files(self) -> Sequence[FoundFile]:
        """The files that are read as captions, each once: two images of one stem share theirs."""
        files = {item.caption_file.name: item.caption_file for item in self.items if item.caption_file}
        return list(files.values())
