"""Files that a person dropped onto the page, on this machine until a worker has them all: an upload can go on later."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import AsyncIterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from shutil import disk_usage
from typing import Any, Final

from lorapod.client.errors import InvalidInputError, LorapodError
from lorapod.wire.dataset import is_dataset_name

_ABOUT: Final = "about.json"
_FILES: Final = "files"
_MOST_FOLDERS: Final = 32
_MOST_NAME_BYTES: Final = 240
#: So much of the disk stays free.
KEPT_FREE_BYTES: Final = 1_000_000_000
#: Between two looks at the disk while a file comes.
LOOK_EVERY_BYTES: Final = 64_000_000
#: Files of one upload that a page names.
_NAMED: Final = 100


@dataclass(frozen=True, kw_only=True)
class DroppedFile:
    """A file that the browser could send."""

    #: Relative to what was dropped, with slashes.
    path: str
    size_bytes: int


class StagedUploads:
    """The uploads that have not ended, one a dataset."""

    def __init__(self, folder: Path) -> None:
        """Keep them in `folder`, which is made when the first file comes."""
        self._folder = folder

    def all(self) -> list[dict[str, Any]]:
        """Return every upload that has not ended."""
        abouts = sorted(self._folder.glob(f"*/{_ABOUT}"))
        names = [json.loads(about.read_text("utf-8"))["training_name"] for about in abouts]
        return [found for name in names if (found := self.view(name)) is not None]

    def view(self, name: str) -> dict[str, Any] | None:
        """Return how much of an upload is on this machine; None if the upload is unknown."""
        if not (self._place(name) / _ABOUT).is_file():
            return None
        sizes = [path.stat().st_size for path in self._staged(name)]
        return {"training_name": name, "files": len(sizes), "total_bytes": sum(sizes)}

    def plan(self, name: str, dropped: Sequence[DroppedFile]) -> dict[str, list[str]]:
        """Return which files the browser should send, which are here already, and which are not for a dataset.

        Raises:
            InvalidInputError: a path leads elsewhere.
        """
        plan: dict[str, list[str]] = {"wanted": [], "present": [], "skipped": []}
        for file in dropped:
            if not is_dataset_name(PurePosixPath(file.path).name):
                plan["skipped"].append(file.path)
                continue
            here = self._path(name, file.path)
            present = here.is_file() and here.stat().st_size == file.size_bytes
            plan["present" if present else "wanted"].append(file.path)
        plan["skipped"] = plan["skipped"][:_NAMED]
        return plan

    async def keep(
        self, name: str, path: str, chunks: AsyncIterable[bytes], *, size_bytes: int | None = None
    ) -> int:
        """Write one file as it comes; return its size in bytes. A file that breaks off leaves nothing.

        Args:
            name: the dataset.
            path: relative to what was dropped.
            chunks: the file.
            size_bytes: its size, if it was told.

        Raises:
            InvalidInputError: the path leads elsewhere, or is not for a dataset.
            LorapodError: this machine's disk does not take it.
        """
        target = self._path(name, path)
        if not is_dataset_name(target.name):
            raise _refused(f"{target.name[:80]} cannot be part of a dataset.")
        partial = target.with_name(f".{hashlib.sha256(path.encode()).hexdigest()[:16]}.part")
        written_bytes = looked_at = 0
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._introduce(name)
            self._refuse_to_fill(target, size_bytes or 0)
            with partial.open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
                    written_bytes += len(chunk)
                    if written_bytes - looked_at >= LOOK_EVERY_BYTES:
                        looked_at = written_bytes
                        self._refuse_to_fill(target, 0)
            partial.replace(target)
        except ConnectionError:
            raise  # The browser went away: nothing is wrong with this machine.
        except OSError as error:
            raise _no_place(target, error.strerror or str(error)) from error
        finally:
            partial.unlink(missing_ok=True)
        return written_bytes

    def folder(self, name: str) -> Path:
        """Return the folder of the files, as `upload_dataset` takes it."""
        return self._place(name) / _FILES

    def discard(self, name: str) -> None:
        """Remove an upload's files from this machine."""
        shutil.rmtree(self._place(name), ignore_errors=True)

    def _refuse_to_fill(self, target: Path, more_bytes: int) -> None:
        """Leave some of the disk to this machine.

        Raises:
            LorapodError: the file would not.
        """
        if disk_usage(self._folder).free - more_bytes < KEPT_FREE_BYTES:
            raise _no_place(target, "there is no room on its disk")

    def _introduce(self, name: str) -> None:
        about = self._place(name) / _ABOUT
        if not about.is_file():
            about.write_text(json.dumps({"training_name": name}), "utf-8")

    def _staged(self, name: str) -> Iterator[Path]:
        for path in self.folder(name).rglob("*"):
            if path.is_file() and not path.name.endswith(".part"):
                yield path

    def _place(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()[:16]

    def _path(self, name: str, path: str) -> Path:
        parts = path.split("/")
        too_long = any(len(part.encode()) > _MOST_NAME_BYTES for part in parts)
        odd = any(part in {"", ".", ".."} or "\\" in part or "\0" in part for part in parts)
        if odd or too_long or len(parts) > _MOST_FOLDERS:
            raise _refused(f"{path[:80]} is not the path of a file in what was dropped.")
        return self.folder(name).joinpath(*parts)


def _no_place(target: Path, reason: str) -> LorapodError:
    return LorapodError(
        f"{target.name} cannot be kept on this machine: {reason}.",
        hint="Make room for the console's cache, or choose another folder with --cache.",
    )


def _refused(message: str) -> InvalidInputError:
    return InvalidInputError(message, job_id="", code="invalid_input")
