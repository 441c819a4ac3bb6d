"""Large uploads to Supabase Storage over its resumable endpoint (TUS 1.0, tus.io/protocols/resumable-upload).

tuspy was looked at and left: it sends every chunk over a new connection and without a timeout, so that a server that
stops answering holds the upload for ever.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import httpx

from lorapod.storage.port import Progress, StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.supabase_access import refuse_failure, supabase_errors

#: The size that Supabase prescribes for every chunk but the last.
CHUNK_BYTES = 6 << 20
#: How often an upload that the server forgot is begun.
BEGINNINGS = 3
_VERSION = {"Tus-Resumable": "1.0.0"}


class UploadForgotten(Exception):
    """The server no longer knows an upload; it has to be begun again."""


@dataclass(frozen=True, kw_only=True)
class ResumableUpload:
    """One file on its way."""

    client: httpx.Client
    endpoint: str
    bucket: str
    key: str
    """In the bucket, with the folder."""
    retries: RetryBudget

    def send(
        self, path: Path, *, content_type: str, metadata: Mapping[str, str], progress: Progress | None
    ) -> None:
        """Send the file; after a fault it goes on from the offset that the server kept.

        Raises:
            StoreUnavailable: the server stayed away.
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

    def _send(
        self, path: Path, content_type: str, metadata: Mapping[str, str], progress: Progress | None
    ) -> None:
        size = path.stat().st_size
        address = self.retries.call(lambda: self._begin(size, content_type, metadata))
        offset = 0
        with path.open("rb") as file:
            while offset < size:
                offset = self._send_chunk(address, file, offset)
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
                headers={
                    **_VERSION,
                    "Upload-Length": str(size),
                    "Upload-Metadata": encoded,
                    "x-upsert": "true",
                },
            )
        refuse_failure(response, self.key, self.bucket)
        location = urlsplit(response.headers.get("Location", ""))
        if not location.path:
            raise StoreUnavailable(f"Supabase Storage named no address for the upload of {self.key!r}.")
        # The service key goes with every chunk, so only to the server that was asked, whatever host the answer names.
        return str(
            httpx.URL(self.endpoint).join(location.path).copy_with(query=location.query.encode() or None)
        )

    def _send_chunk(self, address: str, file: BinaryIO, offset: int) -> int:
        """Send one chunk from the offset on; answers the offset after it."""
        sent_before = False

        def attempt() -> int:
            nonlocal sent_before
            # What became of an attempt that got no answer, only the server knows.
            begin = self._kept(address) if sent_before else offset
            sent_before = True
            file.seek(begin)
            data = file.read(CHUNK_BYTES)
            if not data:
                return begin
            headers = {"Upload-Offset": str(begin), "Content-Type": "application/offset+octet-stream"}
            with supabase_errors(self.key, self.bucket):
                response = self.client.patch(address, content=data, headers={**_VERSION, **headers})
            if response.status_code == httpx.codes.CONFLICT:
                raise StoreUnavailable(f"Supabase Storage holds another share of {self.key!r} than was sent.")
            return self._offset(response)

        return self.retries.call(attempt)

    def _kept(self, address: str) -> int:
        with supabase_errors(self.key, self.bucket):
            response = self.client.head(address, headers=_VERSION)
        return self._offset(response)

    def _offset(self, response: httpx.Response) -> int:
        if response.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}:
            raise UploadForgotten
        refuse_failure(response, self.key, self.bucket)
        offset = response.headers.get("Upload-Offset", "")
        if not offset.isdecimal():
            raise StoreUnavailable(f"Supabase Storage did not say how much of {self.key!r} it holds.")
        return int(offset)
