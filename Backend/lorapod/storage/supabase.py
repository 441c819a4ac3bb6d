"""Store objects in Supabase Storage.

storage3 sends the plain requests. Downloads are streamed with httpx, because storage3 keeps the whole body in memory.
Files above 6 MB go to the resumable endpoint, which takes more than the 50 MB of a plain upload.
"""

from __future__ import annotations

import logging
import mimetypes
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from storage3 import SyncStorageClient

from lorapod.errors import NotFound
from lorapod.storage.fetching import Write, fetch, write_from
from lorapod.storage.port import Progress, StoredObject, StoreUnavailable, UrlUse, checked_key
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.supabase_access import SupabaseAccess, refuse_failure, supabase_errors
from lorapod.storage.supabase_resumable import BEGINNINGS, CHUNK_BYTES, ResumableUpload

#: Entries of one listing; the server answers at most 1,500.
PAGE_ENTRIES = 1000
SHA256_NAME = "sha256"
TIMEOUT = httpx.Timeout(60.0, connect=10.0)

# It writes a line at INFO for every request: thousands for one dataset, with URLs that may be signed.
logging.getLogger("httpx").setLevel(logging.WARNING)


class SupabaseObjects:
    """A `lorapod.storage.port.ObjectStore` in a Supabase bucket, below a folder."""

    def __init__(
        self, access: SupabaseAccess, *, bucket: str, folder: str = "", retries: RetryBudget
    ) -> None:
        """Open no connection yet.

        Args:
            access: the project and its key.
            bucket: must exist.
            folder: without slashes at its ends; empty for the whole bucket.
            retries: how long a server that does not answer is asked again.

        Raises:
            InvalidInput: `folder` is not a plain relative path.
        """
        self._bucket_name = bucket
        folder = folder.strip("/")
        self._root = f"{checked_key(folder)}/" if folder else ""
        self._retries = retries
        self._url = access.storage_url
        # Redirects are not followed: every request carries the key, which only the project may see.
        self._http = httpx.Client(headers=access.headers(), timeout=TIMEOUT)
        self._client = SyncStorageClient(f"{self._url}/", access.headers(), http_client=self._http)
        self._bucket = self._client.from_(bucket)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def put_file(
        self,
        path: Path,
        key: str,
        *,
        content_type: str | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Upload in one request, or a large file in chunks that survive a restart of the server.

        Raises:
            TooLarge: the project does not accept a file of that size.
        """
        full = self._full(key)
        size = path.stat().st_size
        kind = content_type or _content_type(key)
        metadata = {SHA256_NAME: sha256} if sha256 is not None else {}

        def plain() -> None:
            with self._errors(key), path.open("rb") as file:
                self._bucket.upload(
                    quote(full), file, {"content-type": kind, "upsert": "true", "metadata": metadata}
                )

        resumable = self._resumable(full)
        for _ in range(BEGINNINGS):
            if size > CHUNK_BYTES:
                resumable.send(path, content_type=kind, metadata=metadata, progress=progress)
            else:
                self._retries.call(plain)
                if progress is not None:
                    progress(size)
            # The server may take every byte, and yet make no object of them: the old one would stay.
            stored = self.stat(key)
            if stored is not None and stored.is_upload_of(size, sha256):
                return stored
        raise StoreUnavailable(f"The object {key!r} is not what was uploaded.")

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Download as a stream.

        Raises:
            NotFound: there is no such object.
            InsufficientStorage: the disk is full.
        """
        self._full(key)

        def attempt() -> StoredObject:
            nonlocal listed
            one_answer = listed is not None
            wanted, listed = listed or self._stat(key), None
            if wanted is None:
                raise NotFound(f"There is no object {key!r} in the Supabase bucket {self._bucket_name!r}.")
            fetch(
                wanted,
                path,
                lambda offset, write: self._read(wanted, offset, write),
                look=lambda: self._stat(key),
                progress=progress,
                one_answer=one_answer,
            )
            return wanted

        return self._retries.call(attempt)

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object below the folder; the server lists one folder at a time, so this walks them.

        Raises:
            StoreRefused: there is no such bucket; the server itself lists an empty one.
        """
        seen = False
        folders = [self._root + prefix.rpartition("/")[0]]
        while folders:
            folder = folders.pop().strip("/")
            for entry in self._entries(folder):
                seen = True
                full = f"{folder}/{entry['name']}" if folder else entry["name"]
                key = full.removeprefix(self._root)
                if entry.get("id") is None:
                    # A folder: enter it if it can contain something that was asked for.
                    if f"{key}/".startswith(prefix) or prefix.startswith(f"{key}/"):
                        folders.append(full)
                elif key.startswith(prefix):
                    details = entry.get("metadata") or {}
                    yield StoredObject(
                        key=key,
                        size_bytes=int(details.get("size", 0)),
                        etag=_bare(details.get("eTag")),
                        modified_at=_moment(details.get("lastModified") or entry.get("updated_at")),
                    )
        if not seen:
            self._retries.call(self._check_bucket)

    def stat(self, key: str) -> StoredObject | None:
        """Return the present object, or None."""
        self._full(key)
        return self._retries.call(lambda: self._stat(key))

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """Return a signed URL. One for uploads always works for two hours: the server decides that.

        Raises:
            NotFound: there is no such object.
        """
        full = self._full(key)

        def attempt() -> str:
            with self._errors(key):
                if use is UrlUse.PUT:
                    return str(self._bucket.create_signed_upload_url(quote(full))["signed_url"])
                return str(self._bucket.create_signed_url(quote(full), expires_s)["signedURL"])

        return self._retries.call(attempt)

    def delete(self, key: str) -> None:
        """Remove the object."""
        full = self._full(key)

        def attempt() -> None:
            with self._errors(key):
                self._bucket.remove([full])

        self._retries.call(attempt)

    def try_size(self, key: str, size_bytes: int) -> None:
        """Begin and end an upload of that size: no other request shows the project's own limit.

        Raises:
            TooLarge: the project or the bucket does not accept a file of that size.
        """
        self._resumable(self._full(key)).try_size(size_bytes, content_type=_content_type(key))

    def _resumable(self, full: str) -> ResumableUpload:
        return ResumableUpload(
            client=self._http,
            endpoint=f"{self._url}/upload/resumable",
            bucket=self._bucket_name,
            key=full,
            retries=self._retries,
        )

    # storage3 unquotes paths, so they are quoted before; but `remove` and `list` use them as they are.
    def _full(self, key: str) -> str:
        return self._root + checked_key(key)

    def _errors(self, key: str) -> AbstractContextManager[None]:
        return supabase_errors(key, self._bucket_name)

    def _stat(self, key: str) -> StoredObject | None:
        try:
            with self._errors(key):
                found = self._bucket.info(quote(self._root + key))
        except NotFound:
            return None
        return StoredObject(
            key=key,
            size_bytes=int(found["size"]),
            etag=_bare(found.get("etag")),
            modified_at=_moment(found.get("last_modified") or found.get("created_at")),
            sha256=(found.get("metadata") or {}).get(SHA256_NAME),
        )

    def _entries(self, folder: str) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._retries.call(lambda offset=offset: self._page(folder, offset))  # type: ignore[misc]
            yield from page
            if not page:
                return
            offset += len(page)

    def _check_bucket(self) -> None:
        with self._errors(""):
            self._client.get_bucket(self._bucket_name)

    def _page(self, folder: str, offset: int) -> list[dict[str, Any]]:
        with self._errors(folder):
            return self._bucket.list(folder, {"limit": PAGE_ENTRIES, "offset": offset})

    def _read(self, wanted: StoredObject, offset: int, write: Write) -> StoredObject:
        key = wanted.key
        parts = (quote(part, safe="") for part in (self._bucket_name, *(self._root + key).split("/")))
        url = f"{self._url}/object/authenticated/{'/'.join(parts)}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        with self._errors(key), self._http.stream("GET", url, headers=headers) as response:
            if not response.is_success:
                response.read()
            refuse_failure(response, key, self._bucket_name)
            write_from(offset, response, write)
        return StoredObject(key=key, size_bytes=wanted.size_bytes, etag=_bare(response.headers.get("ETag")))


def _content_type(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def _bare(etag: str | None) -> str | None:
    return etag.removeprefix("W/").strip('"') if etag else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
