"""Read a dataset with the captions that it has, whatever their suffix is."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import PurePosixPath

from lorapod.dataset_reader.entry import DatasetEntry
from lorapod.dataset_reader.item import LeftOutCode
from lorapod.dataset_reader.reader import DatasetReader
from lorapod.dataset_reader.reading import DatasetReading


def read_usual_captions(
    reader: DatasetReader, entry: DatasetEntry, caption_ext: str | None
) -> DatasetReading:
    """Return the dataset with captions of that suffix; None: the trainer's usual one, else what most captions have.

    Raises:
        OSError: the folder cannot be read.
    """
    if caption_ext is not None:
        return reader.read(replace(entry, caption_ext=f".{caption_ext.lstrip('.')}"))
    reading = reader.read(entry)
    unread = [file.name for file in reading.left_out if file.code is LeftOutCode.CAPTION_NOT_READ]
    if reading.caption_files or not unread:
        return reading
    (suffix, _), *_ = Counter(PurePosixPath(name).suffix for name in unread).most_common()
    return reader.read(replace(entry, caption_ext=suffix))
