"""What a folder of images holds, by the digests of its files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorapod.client.packing import FolderFiles
from lorapod.wire.dataset import CAPTION_TABLES, TEXT_SUFFIXES

#: Characters of a dataset's name, which may become that of the LoRA.
_LONGEST_NAME = 60

#: What a name of a dataset may not have, see `lorapod.workspace.safe_name`; square brackets are not for names of LoRAs.
_NOT_PLAIN = re.compile(r"[^\w .+()-]+")


@dataclass(frozen=True, kw_only=True)
class FolderContent:
    """The files of a folder that make a dataset, at one moment."""

    folder: Path
    #: SHA-256 by the name in the folder, with `/` between its parts.
    files: Mapping[str, str]
    #: Bytes by the same names.
    sizes: Mapping[str, int]

    @classmethod
    def read(cls, folder: Path, on_progress: Callable[[int, int], None] = lambda *_: None) -> FolderContent:
        """Read a folder, or one file; `on_progress` is called with the bytes that were read, and those in all.

        Raises:
            FileNotFoundError: there is no such folder, or it has nothing to train on.
            OSError: a file cannot be read.
        """
        found = FolderFiles.of(folder)
        if all(_is_caption(path.name) for path in (*found.top, *found.nested)):
            raise FileNotFoundError(f"{folder} has no image, video or zip.")
        paths = [*found.top, *found.nested]
        sizes = {path.relative_to(found.folder).as_posix(): path.stat().st_size for path in paths}
        total, done = sum(sizes.values()), 0
        files = {}
        for path in paths:
            with path.open("rb") as file:
                files[path.relative_to(found.folder).as_posix()] = hashlib.file_digest(
                    file, "sha256"
                ).hexdigest()
            done += sizes[path.relative_to(found.folder).as_posix()]
            on_progress(done, total)
        return cls(folder=folder, files=files, sizes=sizes)

    @property
    def digest(self) -> str:
        """One digest of all names and contents."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()

    def extends(self, earlier: Mapping[str, str]) -> bool:
        """Return whether every earlier file is still here, and every earlier one that is no caption is unchanged."""
        return all(
            name in self.files and (_is_caption(name) or self.files[name] == digest)
            for name, digest in earlier.items()
        )

    def may_have_made(self, there: Mapping[str, int]) -> bool:
        """Return whether all files of a dataset, its captions apart, are in this folder by name and size."""
        here = {PurePosixPath(name).name: size for name, size in self.sizes.items()}
        return all(_is_caption(name) or here.get(name) == size for name, size in there.items())


def _is_caption(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return path.suffix in TEXT_SUFFIXES or path.name in CAPTION_TABLES


def dataset_name(folder: Path) -> str:
    """Return the name of a folder, or of a zip without its suffix, as a dataset may have it."""
    path = folder.resolve()
    text = path.name if path.is_dir() else path.stem
    name = _NOT_PLAIN.sub("-", text).strip(" -.")[:_LONGEST_NAME].strip(" -.")
    return name if name and name[0].isalnum() else f"dataset-{name}".rstrip("-")


def next_names(name: str) -> Iterator[str]:
    """Yield the name, and then the same with a number."""
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1
