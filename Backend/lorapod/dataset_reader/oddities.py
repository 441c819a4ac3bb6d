"""What is odd about a dataset by the names and captions of its files alone; no image is opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from lorapod.dataset_reader.item import LeftOutCode
from lorapod.dataset_reader.reading import DatasetReading

#: Names that one problem lists.
NAMES_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class DatasetProblem:
    """One kind of oddity, with every file that has it."""

    code: str
    message: str
    names: Sequence[str]


def left_out_problems(reading: DatasetReading) -> Iterator[DatasetProblem]:
    """Yield what trainers leave out, one problem of each kind."""
    by_code = defaultdict(list)
    for file in reading.left_out:
        by_code[file.code].append(file)
    for code, files in by_code.items():
        yield DatasetProblem(
            code=code, message=files[0].sentence, names=[file.name for file in files[:NAMES_MAX]]
        )


def caption_flags(reading: DatasetReading, captions: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each item without a caption that is read, and its flag.

    Args:
        reading: the dataset.
        captions: the text that the trainer reads, of each item with a caption.
    """
    unread = {_stem(file.name) for file in reading.left_out if file.code is LeftOutCode.CAPTION_NOT_READ}
    for item in reading.items:
        if not item.has_caption:
            yield item.name, "caption_not_read" if _stem(item.name) in unread else "no_caption"
        elif not captions.get(item.name, "").strip():
            yield item.name, "empty_caption"


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix().lower()
