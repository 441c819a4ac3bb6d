"""The port that every object store stands behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from lorapod.errors import InvalidInput, UpstreamError
from lorapod.storage.s3_access import JobS3

#: Called now and then, from any thread, with the bytes that are over so far; what it raises ends the transfer.
Progress = Callable[[int], None]

#: Longest key, in bytes of UTF-8 (S3's own limit).
KEY_MAX_BYTES = 1024


class StoreUnavailable(UpstreamError):
    """The store does not answer, or asks to come back later; the same call may succeed in a minute."""


class StoreRefused(UpstreamError):
    """The store answers, and will not do it: wrong credentials, no right, no such bucket. Trying again is no use."""

    retryable = False


class UrlUse(StrEnum):
    """What whoever holds a signed address may do with it, once or often until it expires."""

    GET = "get"
    PUT = "put"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object as its store describes it."""

    key: str
    """Relative to what the store was opened at, with forward slashes."""
    size_bytes: int
    etag: str | None = None
    """Changes when the content does; without quotes. Means nothing beyond its own store."""
    modified_at: datetime | None = None
    """In UTC."""
    sha256: str | None = None
    """Of the content, in hexadecimal, if the store was given it or knows it; never from `list_objects` on S3."""

    def is_upload_of(self, size_bytes: int, sha256: str | None) -> bool:
        """Return whether this is what was just uploaded, and not an older object that stayed."""
        same = sha256 is None or self.sha256 is None or self.sha256 == sha256
        return same and self.size_bytes == size_bytes


class ObjectStore(Protocol):
    """Objects by key, below the bucket, folder or repository that the store was opened at.

    Every method blocks, may be called from several threads at once, and belongs in `asyncio.to_thread`. A key is a
    relative path with forward slashes, checked by `checked_key`. Stores that are away are waited for, minutes at most.

    Every method raises:
        InvalidInput: the key is not a plain relative path.
        StoreUnavailable: the store did not answer in the time that was allowed for it.
        StoreRefused: credentials, rights or the bucket are wrong.
    """

    def put_file(
        self,
        path: Path,
        key: str,
        *,
        content_type: str | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Upload a file, replacing what the key held; a reader sees the old object or the whole new one.

        Args:
            path: the file; it must not change meanwhile.
            key: where it goes.
            content_type: as browsers are told; guessed from the key's ending where left out.
            sha256: of the file, where the caller knows it: kept with the object, and checked when it is fetched.
            progress: see `Progress`.

        Raises:
            OSError: the file cannot be read.
            TooLarge: the store takes no file of that size.
        """

    def get_file(self, key: str, path: Path, *, progress: Progress | None = None) -> StoredObject:
        """Download an object to `path`, whole or not at all, checked against size and digest where they are known.

        What an interrupted call had fetched stays beside `path` in a hidden `.part` file, and the next call for the
        same content goes on from there. `progress` counts that share too.

        Raises:
            NotFound: there is no such object.
            InsufficientStorage: the disk is full; nothing stays behind.
            OSError: `path` cannot be written.
        """

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key begins with `prefix`, fetched page by page as it is read, in no promised order."""

    def stat(self, key: str) -> StoredObject | None:
        """The object as it is now, or None."""

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """An address that works without credentials for `expires_s` seconds; the object need not exist.

        Raises:
            NotFound: there is no such object, from a store that looks first.
            Unsupported: this store signs no such addresses.
        """

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens where there is none."""


Location_contra = TypeVar("Location_contra", contravariant=True)


class OpenStore(Protocol[Location_contra]):
    """Opens stores of some kinds for a block, with the endpoint's credentials, or for S3 those of a job.

    Raises `WorkerError` where there are none; asks no server before the first call.
    """

    def __call__(
        self, location: Location_contra, *, job_s3: JobS3 | None = None
    ) -> AbstractContextManager[ObjectStore]:
        """A store below the location, for one block."""


def checked_key(key: str) -> str:
    """`key` itself, when it is a plain relative path that means the same in every store and on disk.

    Raises:
        InvalidInput: it is empty, too long, absolute, or has empty, `.` or `..` parts, backslashes or control
            characters.
    """
    shown = key if len(key) <= 80 else f"{key[:77]}..."
    plain = bool(key) and key.isprintable() and "\\" not in key
    if (
        not plain
        or str(PurePosixPath(key)) != key
        or key.startswith("/")
        or {".", ".."} & set(key.split("/"))
    ):
        raise InvalidInput(f"The object key {shown!r} is not a plain relative path.")
    if len(key.encode()) > KEY_MAX_BYTES:
        raise InvalidInput(f"The object key {shown!r} is longer than {KEY_MAX_BYTES} bytes.")
    return key
