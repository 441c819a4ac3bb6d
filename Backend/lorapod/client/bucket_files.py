"""The files of a workspace that lies in a bucket: a RunPod network volume over S3."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import Final

from lorapod.client.bucket import Bucket, BucketFolder, BucketObject, NoSuchObject
from lorapod.client.errors import TransferFailed
from lorapod.client.http import HttpAnswer
from lorapod.volume.listed_files import ListedFiles
from lorapod.volume.port import EntryKind, FileEntry, FilePart, FileState

#: A file beyond this size is read in parts of this size, several at a time.
PART_BYTES: Final = 8 << 20
PARTS_AT_A_TIME: Final = 8

#: What a server answers to a range that begins beyond the end of the file.
_BEYOND_THE_END: Final = 416

#: How often a file is read again that changes while it is read.
_ATTEMPTS: Final = 3

_CONTENT_RANGE: Final = re.compile(r"bytes (?:(?P<first>\d+)-\d+|\*)/(?P<size>\d+)")


class BucketFiles:
    """A `VolumeFiles` of a bucket. Paths are relative to the workspace; errors are `LorapodError`."""

    def __init__(self, bucket: Bucket, folder: str = "") -> None:
        """Read below `folder` of the bucket; empty: the workspace is the whole bucket."""
        self.bucket = bucket
        self._root = f"{folder.strip('/')}/" if folder.strip("/") else ""

    def key(self, path: Path) -> str:
        """Return the key of a file of the workspace.

        Raises:
            FileNotFoundError: the path leads out of the workspace.
        """
        parts = path.parts
        if ".." in parts or path.is_absolute():
            raise FileNotFoundError(str(path))
        return self._root + "/".join(parts)

    def entries(self, folder: Path) -> Sequence[FileEntry]:
        """Return what lies directly in a folder, by name."""
        prefix = self._prefix(folder)
        found = (self._entry(one) for one in self.bucket.folder(prefix))
        inside = (one for one in found if one.path != folder)
        return sorted(inside, key=lambda entry: entry.name)

    def below(self, folder: Path, *, skip: Callable[[str], bool] = lambda _: False) -> Iterator[FileEntry]:
        """Yield every file below a folder; those directly in it first."""
        listed = ListedFiles(
            self._entry(one) for one in self.bucket.objects(self._prefix(folder)) if not one.key.endswith("/")
        )
        return listed.below(folder, skip=skip)

    def state(self, path: Path) -> FileState:
        """Look at one file."""
        headers = self._asked("HEAD", path).headers
        return FileState(
            size_bytes=int(headers.get("Content-Length", "0")),
            modified_ns=_nanoseconds(parsedate_to_datetime(headers["Last-Modified"])),
            etag=headers.get("ETag", "").strip('"'),
        )

    def read(self, path: Path, *, offset: int = 0, length: int | None = None) -> FilePart:
        """Return a part of a file in one request."""
        if length == 0:
            size_bytes = self.state(path).size_bytes
            begin = max(0, size_bytes + offset) if offset < 0 else min(offset, size_bytes)
            return FilePart(data=b"", offset=begin, size_bytes=size_bytes)
        if offset == 0 and length is None:
            data = self._asked("GET", path).body
            return FilePart(data=data, offset=0, size_bytes=len(data))
        if offset >= 0:
            return self._range(path, f"bytes={offset}-{'' if length is None else offset + length - 1}")
        part = self._range(path, f"bytes={offset}")
        if not part.data and part.size_bytes:
            # Some servers refuse a range that is longer than the file.
            return self.read(path, offset=0, length=length)
        return replace(part, data=part.data[:length])

    def copy(self, path: Path, target: Path) -> None:
        """Write the content of a file to a new file of this machine; read a large one in parts, several at a time.

        Raises:
            FileNotFoundError: there is no such file.
            TransferFailed: it changed each time while it was read.
        """
        for _ in range(_ATTEMPTS):
            with suppress(TransferFailed):
                if self._copied(path, target):
                    return
        raise _changes(path)

    def _copied(self, path: Path, target: Path) -> bool:
        """Write one copy; return False if the file changed meanwhile."""
        first = self.read(path, length=PART_BYTES)
        if len(first.data) == first.size_bytes:
            target.write_bytes(first.data)
            return True
        before = self.state(path)
        if before.size_bytes != first.size_bytes:
            return False
        with target.open("wb") as file:
            file.write(first.data)
            for data in self.parts(path, PART_BYTES, before.size_bytes):
                file.write(data)
        return self.state(path) == before

    def parts(self, path: Path, offset: int, size_bytes: int) -> Iterator[bytes]:
        """Yield a file of `size_bytes` from `offset` on, part by part; the next parts travel meanwhile.

        Raises:
            FileNotFoundError: it is gone.
            TransferFailed: it has another size by now.
        """
        waiting: deque[Future[FilePart]] = deque()
        offsets = iter(range(offset, size_bytes, PART_BYTES))
        with ThreadPoolExecutor(PARTS_AT_A_TIME, "volume-parts") as pool:
            try:
                while True:
                    for next_offset in islice(offsets, PARTS_AT_A_TIME - len(waiting)):
                        length = min(PART_BYTES, size_bytes - next_offset)
                        waiting.append(pool.submit(self.read, path, offset=next_offset, length=length))
                    if not waiting:
                        return
                    part = waiting.popleft().result()
                    if part.size_bytes != size_bytes:
                        raise _changes(path)
                    yield part.data
            finally:
                pool.shutdown(cancel_futures=True)

    def _range(self, path: Path, wanted: str) -> FilePart:
        answer = self._asked("GET", path, {"Range": wanted})
        match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status == _BEYOND_THE_END:
            size_bytes = int(match["size"]) if match is not None else self.state(path).size_bytes
            return FilePart(data=b"", offset=size_bytes, size_bytes=size_bytes)
        if match is None or match["first"] is None:
            # The server reads no ranges, or not of this file.
            return FilePart(data=answer.body, offset=0, size_bytes=len(answer.body))
        return FilePart(data=answer.body, offset=int(match["first"]), size_bytes=int(match["size"]))

    def _asked(self, method: str, path: Path, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """Send a request for one file; the answer to a range beyond its end counts as one of success.

        Raises:
            FileNotFoundError: there is no such file.
        """
        key = self.key(path)
        if not path.parts:
            raise FileNotFoundError(path.as_posix())
        try:
            return self.bucket.request(method, key, headers=headers, accepted=(_BEYOND_THE_END,))
        except NoSuchObject as error:
            raise FileNotFoundError(path.as_posix()) from error

    def _prefix(self, folder: Path) -> str:
        key = self.key(folder)
        return f"{key}/" if folder.parts else key

    def _entry(self, found: BucketObject | BucketFolder) -> FileEntry:
        if isinstance(found, BucketFolder):
            path = Path(found.prefix.removeprefix(self._root))
            return FileEntry(
                path=path, kind=EntryKind.FOLDER, state=lambda: FileState(size_bytes=0, modified_ns=0)
            )
        state = FileState(
            size_bytes=found.size_bytes,
            modified_ns=_nanoseconds(datetime.fromisoformat(found.modified_at)) if found.modified_at else 0,
            etag=found.etag,
        )
        return FileEntry(
            path=Path(found.key.removeprefix(self._root)), kind=EntryKind.FILE, state=lambda: state
        )


def _changes(path: Path) -> TransferFailed:
    return TransferFailed(
        f"{path.as_posix()} changes while it is read.",
        hint="Its process may still be writing it: try again later.",
    )


def _nanoseconds(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000) * 1_000_000
