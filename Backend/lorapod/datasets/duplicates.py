"""Images with the same content."""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from lorapod.dataset_reader.item import FoundFile
from lorapod.datasets.sentences import some

#: Images of one size are compared by so many bytes first, then as a whole.
_HEAD_BYTES = 1 << 16


def about_duplicates(images: Iterable[FoundFile]) -> Iterator[str]:
    """Report images with the same content, a sentence for each group."""
    for group in duplicate_groups(images):
        yield f"{some([file.name for file in group])} are the same image."


def duplicate_groups(images: Iterable[FoundFile]) -> Iterator[list[FoundFile]]:
    """Return groups of the same content: files of one size are compared by their beginning, then as a whole."""
    alike: dict[tuple[int, bytes], list[FoundFile]] = defaultdict(list)
    for same in _grouped(images, lambda file: file.size_bytes):
        for file in same:
            alike[file.size_bytes, _digest(file, _HEAD_BYTES)].append(file)
    for group in alike.values():
        if len(group) > 1:
            yield from _grouped(group, _digest)


def _grouped(files: Iterable[FoundFile], key: Callable[[FoundFile], object]) -> Iterator[list[FoundFile]]:
    """Return groups of files that share a key."""
    groups: dict[object, list[FoundFile]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    return (group for group in groups.values() if len(group) > 1)


def _digest(file: FoundFile, most_bytes: int | None = None) -> bytes:
    """Return the digest of a file's beginning, or of the whole."""
    with contextlib.suppress(OSError), file.path.open("rb") as opened:
        if most_bytes is not None:
            return hashlib.blake2b(opened.read(most_bytes)).digest()
        return hashlib.file_digest(opened, "blake2b").digest()
    return file.name.encode()
