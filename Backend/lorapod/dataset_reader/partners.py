"""Second pictures: control images, masks and the like, paired with items by stem."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lorapod.dataset_reader.entry import PartnerFolder, PartnerKind
from lorapod.dataset_reader.item import FoundFile, Partner, base_name

#: In this order AI Toolkit looks for a second picture, in small letters.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_INPAINT_SUFFIXES = (".png", ".webp")


@dataclass(frozen=True)
class PartnerFiles:
    """The files in one folder of second pictures; AI Toolkit looks for `<stem>.<suffix>` directly in it."""

    folder: PartnerFolder
    files: Sequence[FoundFile]
    _by_name: Mapping[str, FoundFile] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Index the files by name."""
        direct = {file.name: file for file in self.files if "/" not in file.name}
        object.__setattr__(self, "_by_name", direct)

    @property
    def suffixes(self) -> Sequence[str]:
        """The suffixes that the trainer looks for."""
        return _INPAINT_SUFFIXES if self.folder.kind is PartnerKind.INPAINT else _SUFFIXES

    def of(self, name: str) -> Partner:
        """Return the second picture of the item `name`."""
        stem = stem_of(base_name(name))
        names = (stem + suffix for suffix in self.suffixes)
        found = next((self._by_name[name] for name in names if name in self._by_name), None)
        return Partner(folder=self.folder, file=found)

    def unused(self, used: frozenset[str]) -> Iterator[FoundFile]:
        """Yield the files whose names are not in `used`."""
        return (file for file in self.files if file.name not in used)


def stem_of(name: str) -> str:
    """Return the path without its last suffix, as AI Toolkit splits it."""
    return os.path.splitext(name)[0]  # noqa: PTH122 - `with_suffix` differs at names that end in a dot
