"""What is written down of one edit, and how its dataset takes the place of the one before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from lorapod.atomic import write_atomically
from lorapod.datasets.edits.folder_files import FileMark, is_trainers, mark_of, marks
from lorapod.datasets.exchange import exchange

PLAN, BEFORE, STAGED, OLD = "plan.json", "before", "staged", "old"


@dataclass(frozen=True, kw_only=True)
class EditRecord:
    """One edit, as it is written down."""

    #: What each file that the edit changes is after it; None: the file is gone then.
    after: Mapping[str, FileMark | None]
    #: What every file of the dataset was before the edit.
    present: Mapping[str, FileMark]


_ADAPTER = TypeAdapter(EditRecord)


def read_record(own: Path) -> EditRecord | None:
    """Return what is written down of an edit; None if it never was complete."""
    with suppress(OSError, ValueError):
        return _ADAPTER.validate_json((own / PLAN).read_bytes())
    return None


def write_record(own: Path, record: EditRecord) -> None:
    """Write down an edit whose dataset is staged: from here on it is completed, not forgotten."""
    write_atomically(own / PLAN, _ADAPTER.dump_json(record))


def put_in_place(target: Path, own: Path) -> None:
    """Exchange the dataset and the staged folder; the old content is `old` then.

    A file system that cannot exchange two names has a moment without the dataset; if this worker is killed in it, the
    next one that looks ends it.
    """
    staged, old = own / STAGED, own / OLD
    if exchange(staged, target):
        staged.rename(old)
    else:
        target.rename(old)
        try:
            staged.rename(target)
        except OSError:
            old.rename(target)
            raise


def take_late(old: Path, folder: Path, record: EditRecord) -> None:
    """Carry over to the dataset what was uploaded to it or removed from it between the reading and the exchange."""
    found = dict(marks(old))
    for name, known in found.items():
        if record.present.get(name) != known and not is_trainers(name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (old / name).replace(folder / name)
    for name in record.present.keys() - found.keys() - record.after.keys():
        (folder / name).unlink(missing_ok=True)


def is_in_place(folder: Path, record: EditRecord) -> bool:
    """Return whether the dataset is what the edit made of it."""
    return folder.exists() and all(mark_of(folder / name) == mark for name, mark in record.after.items())
