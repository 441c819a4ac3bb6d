"""Which images of a dataset get a caption."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.captioners.order import CaptionOrder, Overwrite
from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import DatasetItem
from lorapod.dataset_reader.partners import stem_of
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading
from lorapod.dataset_reader.usual_captions import read_usual_captions
from lorapod.errors import NotFound

#: Names that an error lists.
_LISTED = 100


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What is captioned."""

    folder: Path
    items: Sequence[DatasetItem]
    #: Images that have a caption already, which stays.
    skipped: int
    #: Images that an earlier run of the same process has captioned.
    done: int
    caption_ext: str

    def caption_path(self, item: DatasetItem) -> Path:
        """Return where the caption of an item goes."""
        return item.path.parent / f"{Path(stem_of(item.name)).name}{self.caption_ext}"


def select(
    folder: Path, root: Path, order: CaptionOrder, *, captioned: Collection[str] = (), begun: bool = False
) -> Selection:
    """Read a dataset, and choose the images that get a caption.

    Args:
        folder: the dataset.
        root: of the workspace.
        order: which images.
        captioned: names of images that an earlier run has captioned.
        begun: whether the names in the order were looked up before; those that are gone meanwhile are passed over.

    Raises:
        NotFound: a name is not in the dataset, or the dataset has no images.
        OSError: the folder cannot be read.
    """
    reading = read_usual_captions(DatasetReader(root), DatasetEntry(folder=folder), order.caption_ext)
    chosen = _named(reading, order.limit_names, begun=begun)
    if not chosen:
        raise NotFound(f"The dataset {folder.name!r} has no images.", hint="Upload some first.")
    done = [item for item in chosen if item.name in captioned and _has_text(item)]
    items, skipped = [], 0
    # Two images of one stem have one caption file.
    taken = {stem_of(item.name) for item in done}
    finished = {item.name for item in done}
    for item in chosen:
        if item.name in finished:
            continue
        if order.overwrite is Overwrite.MISSING and _has_text(item):
            skipped += 1
        elif (stem := stem_of(item.name)) in taken:
            skipped += 1  # another image has the same caption file
        else:
            taken.add(stem)
            items.append(item)
    return Selection(
        folder=folder, items=items, skipped=skipped, done=len(done), caption_ext=reading.entry.caption_ext
    )


def _named(reading: DatasetReading, names: Sequence[str] | None, *, begun: bool) -> Sequence[DatasetItem]:
    if names is None:
        return list(reading.items)
    known = {item.name: item for item in reading.items}
    missing = sorted({name for name in names if name not in known})
    if missing and not begun:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise NotFound(
            f"limit_names: {missing[0][:200]!r}{more} is not in the dataset.",
            hint="`dataset` lists the names.",
            details=[
                {"field": "limit_names", "error": f"{name[:200]} is not in the dataset"}
                for name in missing[:_LISTED]
            ],
        )
    wanted = frozenset(names)
    return [item for item in reading.items if item.name in wanted]


def _has_text(item: DatasetItem) -> bool:
    """Return whether a caption is there; one that cannot be read is a person's, too."""
    if item.listed_caption is not None:
        return bool(item.listed_caption.strip())
    if item.caption_file is None:
        return False
    return bool(item.caption_file.path.read_bytes().strip()) if item.caption_file.path.exists() else False
