"""The port of object stores."""

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

#: Called at intervals, from any thread, with the bytes transferred so far; an error that it raises ends the transfer.
Progress = Callable[[int], None]

#: Longest key, in bytes of UTF-8 (S3's own limit).
KEY_MAX_BYTES = 1024


class StoreUnavailable(UpstreamError):
    """The store does not answer, or is busy; the same call may succeed later."""


class StoreRefused(UpstreamError):
    """The store refuses: wrong credentials, no right, no such bucket. The same call would fail again."""

    retryable = False


class UrlUse(StrEnum):
    """What a signed URL allows until it expires."""

    GET = "get"
    PUT = "put"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """One object as its store describes it."""

    key: str
    """Relative to the place that the store was opened at, with forward slashes."""
    size_bytes: int
    etag: str | None = None
    """Changes with the content; without quotes. Comparable only within one store."""
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

    Every method blocks, so call it in `asyncio.to_thread`; several threads may call at once. A key is a relative path with
    forward slashes, checked by `checked_key`. If a store does not answer, a method tries again for minutes at most.

    Every method raises:
        InvalidInput: the key is not a plain relative path.
        StoreUnavailable: the store did not answer in time.
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
        """Upload a file and replace the object of that key; a reader sees the old object or the whole new one.

        Args:
            path: the file; it must not change during the call.
            key: where it goes.
            content_type: the MIME type; by default guessed from the key's extension.
            sha256: of the file, if the caller knows it: stored with the object, and checked when it is downloaded.
            progress: see `Progress`.

        Raises:
            OSError: the file cannot be read.
            TooLarge: the store does not accept a file of that size.
        """

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Download an object to `path`, whole or not at all; its size, and its digest if known, are checked.

        An interrupted call leaves what it has fetched beside `path` in a hidden `.part` file, and the next call for the
        same content continues there.

        Args:
            key: which object.
            path: where it goes.
            listed: the object as `list_objects` described it: if it has not changed, one request fetches it, and its
                digest is checked if the list or the answer to that request has it.
            progress: see `Progress`; it counts the share of an interrupted call too.

        Raises:
            NotFound: there is no such object.
            InsufficientStorage: the disk is full; nothing is left behind.
            OSError: `path` cannot be written.
        """

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object whose key starts with `prefix`, in any order; pages are fetched as they are needed."""

    def stat(self, key: str) -> StoredObject | None:
        """Return the present object, or None if there is no such object."""

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """Return a URL that works without credentials for `expires_s` seconds; the object need not exist.

        Raises:
            NotFound: there is no such object; only some stores check that.
            Unsupported: this store cannot sign URLs.
        """

    def delete(self, key: str) -> None:
        """Remove the object, if it exists."""


Location_contra = TypeVar("Location_contra", contravariant=True)


class OpenStore(Protocol[Location_contra]):
    """Opens stores for a block, with the credentials of the endpoint, or of a job for S3.

    Raises `WorkerError` if there are no credentials; sends no request before the first call of the store.
    """

    def __call__(
        self, location: Location_contra, *, job_s3: JobS3 | None = None
    ) -> AbstractContextManager[ObjectStore]:
        """Open the store at a location for one block."""


def checked_key(key: str) -> str:
    """Return `key` if it is a plain relative path, which means the same in every store and on the disk.

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
