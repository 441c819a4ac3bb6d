"""`edit_dataset`: change captions, delete and rename items, whole or not at all; the newest edit can be taken back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lorapod.actions.action import Action
from lorapod.actions.dataset import dataset_folder
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.datasets.captions import CAPTION_MAX_BYTES
from lorapod.datasets.edits.edit import CaptionChange, DatasetEdit
from lorapod.datasets.edits.operations import CaptionOperation, OperationKind
from lorapod.datasets.edits.store import EditStore
from lorapod.datasets.gallery.flags import caption_texts
from lorapod.errors import Conflict
from lorapod.settings import Settings
from lorapod.thread_pools import FILES
from lorapod.wire.model import Request, Result, WireModel
from lorapod.workspace import Workspace, safe_name

#: Part of the largest answer that the captions before and after may take.
_CHANGES_PART = 0.8

Name = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
CaptionText = Annotated[str, StringConstraints(max_length=CAPTION_MAX_BYTES)]
#: A search text or a regular expression.
FindText = Annotated[str, StringConstraints(min_length=1, max_length=10_000)]


class OperationRequest(WireModel):
    """One operation on captions."""

    op: OperationKind = Field(
        description="`prepend` and `append` also make a caption for an item without one; a comma comes between the two texts "
        "unless a space does. `replace` and `remove` look for `find` as it is, `regex` as a regular expression."
    )
    find: FindText | None = Field(default=None, description="For `replace`, `remove` and `regex`.")
    text: CaptionText | None = Field(
        default=None,
        description="For `prepend`, `append`, `replace` and `regex`; for `regex` with groups as `\\1`.",
    )
    names: list[Name] | None = Field(default=None, max_length=100_000, description="Items; if left out, all.")

    @model_validator(mode="after")
    def _fields_of_its_kind(self) -> Self:
        needs_find = self.op in {OperationKind.REPLACE, OperationKind.REMOVE, OperationKind.REGEX}
        for name, needed in (("find", needs_find), ("text", self.op is not OperationKind.REMOVE)):
            if needed and getattr(self, name) is None:
                raise ValueError(f"{self.op} needs {name}")
            if not needed and getattr(self, name) is not None:
                raise ValueError(f"{self.op} takes no {name}")
        return self

    def operation(self) -> CaptionOperation:
        """Return it for the dataset."""
        names = None if self.names is None else frozenset(self.names)
        return CaptionOperation(kind=self.op, find=self.find or "", text=self.text or "", names=names)


class EditDatasetRequest(Request):
    """What to change; captions are changed first, then items are deleted and renamed."""

    training_name: str = Field(description="The dataset.")
    captions: dict[Name, CaptionText] = Field(
        default={}, max_length=100_000, description="New captions, by the item's name."
    )
    operations: list[OperationRequest] = Field(
        default=[], max_length=100, description="Operations on captions, one after the other."
    )
    delete_names: list[Name] = Field(
        default=[], max_length=100_000, description="Items to delete, with their captions."
    )
    rename: dict[Name, Name] = Field(
        default={}, max_length=100_000, description="New names by old ones; captions move along."
    )
    undo: Name | None = Field(
        default=None, description="`edit_id` of the newest edit of this dataset, to take it back."
    )
    copy_to: str | None = Field(
        default=None,
        alias="copy",
        description="Name of a new dataset that gets the result; this one is not changed.",
    )
    dry_run: bool = Field(default=False, description="Only say what would change.")

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        edits = bool(self.captions or self.operations or self.delete_names or self.rename)
        if self.undo is None and not edits and self.copy_to is None:
            raise ValueError("give captions, operations, delete_names, rename, copy or undo")
        if self.undo is not None and (edits or self.copy_to is not None or self.dry_run):
            raise ValueError("undo stands alone")
        return self


class CaptionChangeView(WireModel):
    """One caption that changed."""

    name: str = Field(description="The item.")
    before: str | None = Field(
        default=None, description="The caption before; left out if the item had no caption."
    )
    after: str | None = Field(
        default=None, description="The caption after; left out if the item has no caption."
    )


class EditDatasetResult(Result):
    """What has changed."""

    training_name: str = Field(description="The dataset that was edited, or made as a copy.")
    changed: list[CaptionChangeView] = Field(
        description="Captions before and after; as many as fit one reply, `changed_count` says how many there are."
    )
    changed_count: int = Field(description="Captions that changed.")
    deleted: list[str] = Field(description="Files that are gone.")
    renamed: dict[str, str] = Field(default={}, description="New names by old ones.")
    edit_id: str | None = Field(
        default=None, description="For `undo`; left out with `dry_run`, or if nothing had to change."
    )
    dry_run: bool = Field(default=False, description="Whether nothing was changed.")


async def edit_dataset(
    request: EditDatasetRequest, *, workspace: Workspace, settings: Settings, edits: EditStore
) -> EditDatasetResult:
    """Plan the edit and put it in place, in a thread."""
    return await FILES.run(_edit, request, workspace, edits, int(settings.max_reply_bytes * _CHANGES_PART))


def _edit(
    request: EditDatasetRequest, workspace: Workspace, edits: EditStore, most_bytes: int
) -> EditDatasetResult:
    folder = dataset_folder(workspace, request.training_name)
    if request.undo is not None:
        return _undo(folder, request.undo, workspace, edits, most_bytes)
    copy = None if request.copy_to is None else safe_name(request.copy_to, field="copy")
    reading = DatasetReader(workspace.root).read(DatasetEntry(folder=folder))
    plan = DatasetEdit(
        captions=request.captions,
        operations=[one.operation() for one in request.operations],
        delete_names=frozenset(request.delete_names),
        rename=request.rename,
    ).plan(reading)
    if copy is not None and (workspace.training_data / copy).exists():
        raise Conflict(f"There is a dataset {copy!r} already.", hint="Choose another name for the copy.")
    edit_id: str | None = None
    if not request.dry_run and (plan.files or copy is not None):
        files = [item.file for item in reading.items]
        seen = {file.name: file for file in [*files, *reading.caption_files]}
        edit_id = edits.apply(folder, plan.files, seen=seen, copy=copy)
    return EditDatasetResult(
        training_name=folder.name if copy is None or request.dry_run else copy,
        changed=list(_fitting(plan.changed, most_bytes)),
        changed_count=len(plan.changed),
        deleted=list(plan.deleted),
        renamed=dict(plan.renamed),
        edit_id=edit_id,
        dry_run=request.dry_run,
    )


def _undo(
    folder: Path, edit_id: str, workspace: Workspace, edits: EditStore, most_bytes: int
) -> EditDatasetResult:
    reader, entry = DatasetReader(workspace.root), DatasetEntry(folder=folder)
    before = caption_texts(reader.read(entry).items)
    own_id, files = edits.take_back(folder, edit_id)
    after = caption_texts(reader.read(entry).items)
    changed = [
        CaptionChange(name=name, before=before.get(name), after=after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
    return EditDatasetResult(
        training_name=folder.name,
        changed=list(_fitting(changed, most_bytes)),
        changed_count=len(changed),
        deleted=sorted(name for name, change in files.items() if change is None),
        edit_id=own_id,
    )


def _fitting(changes: Sequence[CaptionChange], most_bytes: int) -> Iterator[CaptionChangeView]:
    """Yield the changes that fit one reply; a character takes six bytes of JSON at most."""
    for change in changes:
        most_bytes -= 6 * (len(change.before or "") + len(change.after or "") + len(change.name)) + 50
        if most_bytes < 0:
            return
        yield CaptionChangeView(name=change.name, before=change.before, after=change.after)


ACTION = Action(
    type="edit_dataset",
    summary="Change captions, delete and rename items of a dataset, whole or not at all; the newest edit can be undone.",
    request=EditDatasetRequest,
    result=EditDatasetResult,
    run=edit_dataset,
    reads_datasets=True,
    destroys=True,
)
