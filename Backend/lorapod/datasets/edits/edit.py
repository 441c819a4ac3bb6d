"""What a person wants to change in a dataset, and which files that changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from lorapod.dataset_reader.item import DatasetItem
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.datasets.captions import checked_caption
from lorapod.datasets.edits import operations
from lorapod.datasets.edits.operations import CaptionOperation
from lorapod.deadline import Deadline
from lorapod.errors import Conflict, InvalidInput, NotFound
from lorapod.kinds import suffix_of
from lorapod.workspace import safe_name

#: Names that an error lists.
_LISTED = 100

#: What a file of the dataset becomes: new content, the content of another file, or nothing.
FileChange = bytes | Path | None


@dataclass(frozen=True, kw_only=True)
class CaptionChange:
    """The caption of one item, before and after; None: no caption."""

    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True)
class EditPlan:
    """What an edit does, file by file; names are relative to the dataset."""

    files: Mapping[str, FileChange]
    changed: Sequence[CaptionChange]
    #: Images and captions that go.
    deleted: Sequence[str]
    #: Images that get another name.
    renamed: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DatasetEdit:
    """One edit: captions are changed first, then items are deleted and renamed."""

    #: New captions, by the item's name or the caption's.
    captions: Mapping[str, str] = field(default_factory=dict)
    operations: Sequence[CaptionOperation] = ()
    delete_names: Collection[str] = ()
    rename: Mapping[str, str] = field(default_factory=dict)

    def plan(self, reading: DatasetReading) -> EditPlan:
        """Return what the edit does to a dataset.

        Raises:
            NotFound: a name is not an item of the dataset; all such names are in `details`.
            InvalidInput: a caption, an expression or a new name cannot be used.
            Conflict: two items would have one name.
        """
        items = _by_name(reading)
        self._check_names(items)
        changed = list(self._captions(reading, items))
        deleted = {items[name].name for name in self.delete_names}
        renamed = {
            items[old].name: new
            for old, new in self.rename.items()
            if new != PurePosixPath(items[old].name).name
        }
        if both := deleted & renamed.keys():
            raise InvalidInput(f"{min(both)} cannot be deleted and renamed in one edit.")
        changes = _FileChanges(
            reading=reading,
            texts={change.name: change.after or "" for change in changed},
            deleted=deleted,
            renamed=renamed,
        )
        for item in reading.items:
            changes.add(item)
        changes.check_names()
        taken_over = {item.caption_name for item in reading.items if item.name in renamed} | renamed.keys()
        gone = [name for name, change in changes.files.items() if change is None and name not in taken_over]
        return EditPlan(files=changes.files, changed=changed, deleted=sorted(gone), renamed=renamed)

    def _check_names(self, items: Mapping[str, DatasetItem]) -> None:
        named = [*self.captions, *self.delete_names, *self.rename]
        named += [name for one in self.operations for name in one.names or ()]
        if missing := sorted({name for name in named if name not in items}):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise NotFound(
                f"{missing[0][:200]!r}{more} is not in the dataset; nothing was changed.",
                hint="`dataset` lists the names.",
                details=[
                    {"field": name[:200], "error": "is not in the dataset"} for name in missing[:_LISTED]
                ],
            )
        for field_name, names in (("captions", self.captions), ("rename", self.rename)):
            counted = Counter(items[name].name for name in names)
            if twice := [name for name, count in counted.items() if count > 1]:
                raise InvalidInput(
                    f"{field_name}: {twice[0]} is named twice, by its own name and by its caption's."
                )
        for old, new in self.rename.items():
            safe_name(new, field=f"rename.{old[:80]}")
            if suffix_of(new) != suffix_of(items[old].name):
                raise InvalidInput(
                    f"rename.{old[:80]}: {new!r} must keep the suffix {suffix_of(items[old].name)!r}."
                )
        for one in self.operations:
            one.check()

    def _captions(self, reading: DatasetReading, items: Mapping[str, DatasetItem]) -> Iterator[CaptionChange]:
        """Yield the captions that change, in the order of their items' names."""
        given = {items[name].name: text for name, text in self.captions.items()}
        chosen = [
            (one, None if one.names is None else {items[name].name for name in one.names})
            for one in self.operations
        ]
        deadline = Deadline.after(operations.REGEX_S)
        for item in reading.items:
            if item.listed_caption is not None:
                continue  # it is in a list that is not a part of the dataset's folder
            before = _text(item)
            after = given.get(item.name, before)
            for one, names in chosen:
                if names is None or item.name in names:
                    after = one.apply(after, deadline)
            if after != before:
                checked_caption(after or "", name=f"The new caption of {item.name}")
                yield CaptionChange(name=item.name, before=before, after=after)


@dataclass(frozen=True, kw_only=True)
class _FileChanges:
    """The files that an edit changes, item by item."""

    reading: DatasetReading
    #: New captions, by the item's name.
    texts: Mapping[str, str]
    deleted: Collection[str]
    renamed: Mapping[str, str]
    files: dict[str, FileChange] = field(default_factory=dict)
    #: Names that are free afterwards, unless another item takes them.
    left: set[str] = field(default_factory=set)

    def add(self, item: DatasetItem) -> None:
        """Add what becomes of an item and of its caption, which goes and moves with it."""
        file = item.caption_file
        if item.name in self.deleted:
            self._leave(item.name)
            if file is not None and not self._is_shared(item):
                self._leave(file.name)
            return
        name = item.name
        if name in self.renamed:
            name = str(PurePosixPath(item.name).with_name(self.renamed[item.name]))
            self._leave(item.name)
            self.files[name] = item.path
            if file is not None and not self._is_shared(item):
                self._leave(file.name)
        if item.name in self.texts:
            self.files[self._caption_name(item, name)] = self.texts[item.name].encode()
        elif name != item.name and file is not None:
            self.files[self._caption_name(item, name)] = file.path

    def check_names(self) -> None:
        """Refuse new names that other files of the dataset have, in any case of letters.

        Raises:
            Conflict: there is such a name.
        """
        there = {item.name for item in self.reading.items} | {
            file.name for file in self.reading.caption_files
        }
        there |= {file.name for file in self.reading.left_out}
        staying = {name.lower(): name for name in there - self.left}
        new = [
            name for name, change in self.files.items() if change is not None and name not in self._rewritten
        ]
        for name in new:
            if (other := staying.get(name.lower())) is not None:
                raise Conflict(
                    f"{other!r} is in the dataset already; nothing was changed.", hint="Choose another name."
                )
        if len(new) != len({name.lower() for name in new}):
            raise Conflict(
                "Two files would have the same name; nothing was changed.", hint="Choose other names."
            )

    @cached_property
    def _rewritten(self) -> Collection[str]:
        """Captions that stay in their files; all items must have been added."""
        staying = (item.caption_file for item in self.reading.items if item.name not in self.renamed)
        return {file.name for file in staying if file is not None} - self.left

    def _leave(self, name: str) -> None:
        """Free a name; another item may take it."""
        self.left.add(name)
        self.files.setdefault(name, None)

    def _is_shared(self, item: DatasetItem) -> bool:
        """Return whether another item that stays has the same caption file."""
        return item.caption_file is not None and item.caption_file.name in self._staying_captions

    @cached_property
    def _staying_captions(self) -> Collection[str]:
        """Captions of items that are neither deleted nor renamed."""
        staying = (
            item.caption_file
            for item in self.reading.items
            if item.name not in self.deleted and item.name not in self.renamed
        )
        return {file.name for file in staying if file is not None}

    def _caption_name(self, item: DatasetItem, name: str) -> str:
        """Return the name of an item's caption, once the item has the name `name`."""
        if name == item.name and item.caption_file is not None:
            return item.caption_file.name
        return f"{name.removesuffix(PurePosixPath(name).suffix)}{self.reading.entry.caption_ext}"


def _by_name(reading: DatasetReading) -> Mapping[str, DatasetItem]:
    """Return the items by their names, and by their captions' names if only one item has the caption."""
    items = {item.name: item for item in reading.items}
    for item in reading.items:
        if item.caption_name is not None:
            items.setdefault(item.caption_name, item)
    return items


def _text(item: DatasetItem) -> str | None:
    if item.caption_file is None:
        return None
    try:
        return item.caption_file.path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The caption {item.caption_name} is not UTF-8 text (byte {error.start}); nothing was changed.",
            hint="Upload it again: uploads are converted.",
        ) from error
