"""Upload large files to the resumable endpoint of Supabase Storage (TUS 1.0, tus.io/protocols/resumable-upload).

tuspy is not used: it sends every chunk over a new connection and without a timeout, so a server that stops answering
blocks the upload for ever.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from lorapod.errors import WorkerError
from lorapod.storage.port import Progress, StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.supabase_access import refuse_failure, supabase_errors

#: The size that Supabase demands of every chunk but the last.
CHUNK_BYTES = 6 << 20
#: How often an upload is begun if the server forgets it, or makes no object of it.
BEGINNINGS = 3
#: `x-upsert` is read with every request: a chunk without it may not replace an object.
_HEADERS = {"Tus-Resumable": "1.0.0", "x-upsert": "true"}


class UploadForgotten(Exception):
    """The server does not know the upload any more; it must be begun again."""


@dataclass(frozen=True, kw_only=True)
class ResumableUpload:
    """The upload of one file."""

    client: httpx.Client
    endpoint: str
    bucket: str
    key: str
    """In the bucket, with the folder."""
    retries: RetryBudget

    def send(
        self, path: Path, *, content_type: str, metadata: Mapping[str, str], progress: Progress | None
    ) -> None:
        """Send the file; after a fault, continue at the offset that the server has kept.

        Raises:
            StoreUnavailable: the server did not answer.
            StoreRefused: credentials or the bucket are wrong.
            TooLarge: the project takes no file of that size.
        """
        for _ in range(BEGINNINGS):
            try:
                self._send(path, content_type, metadata, progress)
            except UploadForgotten:
                continue
            return
        raise StoreUnavailable(f"Supabase Storage forgot the upload of {self.key!r} again and again.")

    def try_size(self, size_bytes: int, *, content_type: str) -> None:
        """Begin an upload of that size, and end it at once.

        Raises:
            StoreUnavailable: the server did not answer.
            StoreRefused: credentials or the bucket are wrong.
            TooLarge: the project takes no file of that size.
        """
        url = self.retries.call(lambda: self._begin(size_bytes, content_type, {}))
        # If that fails, the server drops the upload by itself after a day.
        with suppress(WorkerError), supabase_errors(self.key, self.bucket):
            self.client.delete(url, headers=_HEADERS)

    def _send(
        self, path: Path, content_type: str, metadata: Mapping[str, str], progress: Progress | None
    ) -> None:
        size = path.stat().st_size
        url = self.retries.call(lambda: self._begin(size, content_type, metadata))
        offset = 0
        with path.open("rb") as file:
            while offset < size:
                offset = self._send_chunk(url, file, offset)
                if progress is not None:
                    progress(offset)

    def _begin(self, size: int, content_type: str, metadata: Mapping[str, str]) -> str:
        fields = {
            "bucketName": self.bucket,
            "objectName": self.key,
            "contentType": content_type,
            "cacheControl": "3600",
            "metadata": json.dumps(dict(metadata)),
        }
        encoded = ",".join(
            f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in fields.items()
        )
        with supabase_errors(self.key, self.bucket):
            response = self.client.post(
                self.endpoint,
                headers={**_HEADERS, "Upload-Length": str(size), "Upload-Metadata": encoded},
            )
        refuse_failure(response, self.key, self.bucket)
        location = urlsplit(response.headers.get("Location", ""))
        if not location.path:
            raise StoreUnavailable(f"Supabase Storage named no URL for the upload of {self.key!r}.")
        # Every chunk carries the service key, so send it only to the configured server, not to the host that the answer names.
        return str(
            httpx.URL(self.endpoint).join(location.path).copy_with(query=location.query.encode() or None)
        )

    def _send_chunk(self, url: str, file: BinaryIO, offset: int) -> int:
        """Send one chunk from an offset on, and return the offset after it."""
        sent_before = False

        def attempt() -> int:
            nonlocal sent_before
            # Only the server knows what it has of an attempt that got no answer.
            begin = self._kept(url) if sent_before else offset
            sent_before = True
            file.seek(begin)
            data = file.read(CHUNK_BYTES)
            if not data:
                return begin
            headers = {"Upload-Offset": str(begin), "Content-Type": "application/offset+octet-stream"}
            with supabase_errors(self.key, self.bucket):
                response = self.client.patch(url, content=data, headers={**_HEADERS, **headers})
            if response.status_code == httpx.codes.CONFLICT and "offset" in response.text.lower():
                raise StoreUnavailable(f"Supabase Storage holds another share of {self.key!r} than was sent.")
            return self._offset(response)

        return self.retries.call(attempt)

    def _kept(self, url: str) -> int:
        with supabase_errors(self.key, self.bucket):
            response = self.client.head(url, headers=_HEADERS)
        return self._offset(response)

    def _offset(self, response: httpx.Response) -> int:
        forgotten = response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}
        if forgotten and "bucket" not in response.text.lower():
            raise UploadForgotten
        refuse_failure(response, self.key, self.bucket)
        offset = response.headers.get("Upload-Offset", "")
        if not offset.isdecimal():
            raise StoreUnavailable(f"Supabase Storage did not say how much of {self.key!r} it holds.")
        return int(offset)
