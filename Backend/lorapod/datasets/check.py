"""What is in a dataset's folder, as a trainer will find it."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import WorkerError
from lorapod.kinds import CAPTION_SUFFIXES, VIDEO_SUFFIXES, is_hidden, suffix_of
from lorapod.safety import images

#: Warnings that are worth reading; the rest is counted.
_WARNINGS_MAX = 20

#: AI Toolkit passes over pictures in a folder of this name: they are control pictures.
_CONTROLS_FOLDER = "_controls"

_TEXT_SUFFIXES = CAPTION_SUFFIXES | {".json"}
_UNREAD_PICTURES = frozenset({".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic"})


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """A folder of pictures, counted; `path` is absolute, names are relative to it."""

    path: Path
    images: int
    videos: int
    #: Text files beside a picture, or still waiting for theirs.
    captions: int
    images_without_caption: Sequence[str]
    total_bytes: int
    #: What a person should know, a sentence each.
    warnings: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class _File:
    path: str
    name: str
    size_bytes: int

    @property
    def stem(self) -> str:
        return self.name[: -len(suffix)] if (suffix := suffix_of(self.name)) else self.name


def inspect(folder: Path, *, open_pictures: bool = True) -> DatasetSummary:
    """Count what a trainer would read: all folders below but hidden ones and caches; links are not followed.

    Args:
        folder: the dataset; where it does not exist, all counts are 0.
        open_pictures: whether to read each picture's header, about 0.1 ms each, to warn of those that are none.
    """
    files = sorted(_files(folder, ""), key=lambda file: file.name)
    pictures = [file for file in files if suffix_of(file.name) in images.SUFFIXES]
    stems = Counter(file.stem for file in pictures)
    texts = [file for file in files if suffix_of(file.name) in _TEXT_SUFFIXES]
    captions = {file.stem for file in texts if file.stem in stems or suffix_of(file.name) in CAPTION_SUFFIXES}
    videos = [file for file in files if suffix_of(file.name) in VIDEO_SUFFIXES]
    warnings = _oddities(files, pictures)
    warnings += [f"{stem}: {count} pictures share one caption." for stem, count in stems.items() if count > 1]
    lonely = captions - stems.keys() - {file.stem for file in videos}
    warnings += [f"The caption {stem} has no picture." for stem in sorted(lonely)]
    if open_pictures:
        warnings += _unreadable(pictures)
    return DatasetSummary(
        path=folder,
        images=len(pictures),
        videos=len(videos),
        captions=len(captions),
        images_without_caption=[file.name for file in pictures if file.stem not in captions],
        total_bytes=sum(file.size_bytes for file in files),
        warnings=_shortened(warnings),
    )


def _files(folder: Path | str, prefix: str) -> Iterator[_File]:
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if is_hidden(entry.name) or entry.is_symlink():
                continue
            if entry.is_dir():
                if entry.name != _CONTROLS_FOLDER:
                    yield from _files(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                # A file may go while the folder is read: another upload replaces it.
                with contextlib.suppress(FileNotFoundError):
                    size_bytes = entry.stat(follow_symlinks=False).st_size
                    yield _File(path=entry.path, name=prefix + entry.name, size_bytes=size_bytes)


def _oddities(files: Sequence[_File], pictures: Sequence[_File]) -> list[str]:
    warnings = [
        f"{file.name} is not read by trainers; send JPEG, PNG or WebP."
        for file in files
        if suffix_of(file.name) in _UNREAD_PICTURES
    ]
    return warnings + [f"{file.name} is empty." for file in pictures if not file.size_bytes]


def _unreadable(pictures: Sequence[_File]) -> list[str]:
    warnings = []
    for file in pictures:
        if not file.size_bytes:
            continue
        try:
            images.measure(Path(file.path))
        except WorkerError as error:
            warnings.append(error.message)
        except OSError as error:
            warnings.append(f"{file.name} cannot be read: {error.strerror}.")
    return warnings


def _shortened(warnings: list[str]) -> list[str]:
    more = len(warnings) - _WARNINGS_MAX
    return [*warnings[:_WARNINGS_MAX], f"And {more} warnings more."] if more > 0 else warnings
