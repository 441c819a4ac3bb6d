"""An object store in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from lorapod.atomic import replace_file
from lorapod.errors import NotFound, UpstreamError, WorkerError
from lorapod.storage.port import Progress, StoredObject, UrlUse, checked_key


@dataclass(frozen=True, kw_only=True)
class _Kept:
    described: StoredObject
    content: bytes


class MemoryObjects:
    """A `lorapod.storage.port.ObjectStore` in memory, which can be made to fail.

    `failure` is raised by every call while it is set.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.failure: WorkerError | None = None
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def put_file(
        self,
        path: Path,
        key: str,
        *,
        content_type: str | None = None,  # noqa: ARG002 - kept by real stores, and never answered by the port
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Keep the file's content."""
        self._check(key)
        content = path.read_bytes()
        described = StoredObject(
            key=key,
            size_bytes=len(content),
            etag=hashlib.sha256(content).hexdigest(),
            modified_at=datetime.now(UTC),
            sha256=sha256,
        )
        if progress is not None:
            progress(len(content))
        with self._lock:
            self._kept[key] = _Kept(described=described, content=content)
        return described

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,  # noqa: ARG002 - a look costs nothing here
        progress: Progress | None = None,
    ) -> StoredObject:
        """Write the content.

        Raises:
            NotFound: there is no such object.
            UpstreamError: it was put with another content's `sha256`.
        """
        self._check(key)
        kept = self._kept.get(key)
        if kept is None:
            raise NotFound(f"There is no object {key!r} in memory.")
        if kept.described.sha256 not in {None, hashlib.sha256(kept.content).hexdigest()}:
            raise UpstreamError(f"The object {key!r} does not have the sha256 that was kept with it.")
        if progress is not None:
            progress(len(kept.content))
        replace_file(path, kept.content)
        return kept.described

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Return every object whose key begins with `prefix`."""
        self._check("any")
        with self._lock:
            found = [kept.described for key, kept in self._kept.items() if key.startswith(prefix)]
        yield from found

    def stat(self, key: str) -> StoredObject | None:
        """Return the object as it is now."""
        self._check(key)
        kept = self._kept.get(key)
        return kept.described if kept else None

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """Return a URL that nothing answers; it contains all that was asked for."""
        self._check(key)
        return f"https://memory.invalid/{quote(key)}?use={use}&expires_s={expires_s}"

    def delete(self, key: str) -> None:
        """Forget the object."""
        self._check(key)
        with self._lock:
            self._kept.pop(key, None)

    def content(self, key: str) -> bytes:
        """Return what a key holds; `KeyError` if it holds nothing."""
        return self._kept[key].content

    def _check(self, key: str) -> None:
        checked_key(key)
        if self.failure is not None:
            raise self.failure
