"""Store objects in S3 and compatible stores.

Uploads use boto3's transfer manager. obstore was measured too (`tests/benchmarks/test_object_stores.py`): it is no faster
beyond the noise, and uploads with four times the memory; and RunPod's SDK needs boto3 anyway. The transfer manager cannot
continue a broken download, because it writes parts in any order. So a download is one stream: faster than the transfer
manager if the server has the object in its cache, else slower.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from lorapod.errors import NotFound, UpstreamError
from lorapod.storage.fetching import Write, fetch
from lorapod.storage.port import Progress, StoredObject, StoreUnavailable, UrlUse, checked_key
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3_access import S3Access
from lorapod.storage.s3_client import PARTS_AT_ONCE, Meter, make_client
from lorapod.storage.s3_errors import as_worker_error, is_missing

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, MultipartUploadTypeDef

PART_BYTES = 8 << 20
READ_BYTES = 1 << 20
UPLOAD = TransferConfig(
    multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE
)
SHA256_NAME = "sha256"


class S3Objects:
    """A `lorapod.storage.port.ObjectStore` in a bucket, below a prefix."""

    def __init__(self, access: S3Access, *, bucket: str, prefix: str = "", retries: RetryBudget) -> None:
        """Open no connection yet.

        Args:
            access: server and credentials.
            bucket: must exist.
            prefix: a folder of the bucket, without slashes at its ends; empty for the whole bucket.
            retries: how long a server that does not answer is asked again.

        Raises:
            InvalidInput: `prefix` is not a plain relative path.
        """
        self._bucket = bucket
        prefix = prefix.strip("/")
        self._root = f"{checked_key(prefix)}/" if prefix else ""
        self._retries = retries
        self._client = make_client(access)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def put_file(
        self,
        path: Path,
        key: str,
        *,
        content_type: str | None = None,
        sha256: str | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Upload in parts, each with a checksum that the server checks; start again if the server does not answer."""
        full = self._full(key)
        size = path.stat().st_size
        extra: dict[str, Any] = {
            "ContentType": content_type or mimetypes.guess_type(key)[0] or "binary/octet-stream"
        }
        if sha256 is not None:
            extra["Metadata"] = {SHA256_NAME: sha256}

        def attempt() -> StoredObject:
            with self._errors(key):
                meter = Meter(progress) if progress is not None else None
                self._client.upload_file(
                    str(path), self._bucket, full, ExtraArgs=extra, Callback=meter, Config=UPLOAD
                )
            stored = self._stat(key)
            if stored is None or not stored.is_upload_of(size, sha256):
                raise StoreUnavailable(f"The object {key!r} is not what was uploaded.")
            return stored

        stored = self._retries.call(attempt)
        if size >= PART_BYTES:
            # Remove what broken attempts left open: the whole object exists now. Without the right to list them, the
            # upload has still succeeded.
            with suppress(UpstreamError, NotFound), self._errors(key):
                self._abort(upload for upload in self._open_uploads(full) if upload["Key"] == full)
        return stored

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        """Download as one stream, and continue where an earlier call broke off.

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
                raise NotFound(f"There is no object {key!r} in the bucket {self._bucket!r}.")
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
        """Yield every object below the prefix, a thousand per request."""
        token: str | None = None
        while True:
            page = self._retries.call(lambda token=token: self._page(prefix, token))  # type: ignore[misc]
            for found in page.get("Contents", []):
                yield StoredObject(
                    key=found["Key"].removeprefix(self._root),
                    size_bytes=found["Size"],
                    etag=found["ETag"].strip('"'),
                    modified_at=found["LastModified"].astimezone(UTC),
                )
            token = page.get("NextContinuationToken")
            if not page.get("IsTruncated") or token is None:
                return

    def stat(self, key: str) -> StoredObject | None:
        """Return the present object, or None."""
        self._full(key)
        return self._retries.call(lambda: self._stat(key))

    def url_for(self, key: str, *, expires_s: int, use: UrlUse = UrlUse.GET) -> str:
        """Return a presigned URL, made without a request."""
        full = self._full(key)
        with self._errors(key):
            return self._client.generate_presigned_url(
                "get_object" if use is UrlUse.GET else "put_object",
                Params={"Bucket": self._bucket, "Key": full},
                ExpiresIn=expires_s,
            )

    def delete(self, key: str) -> None:
        """Remove the object."""
        full = self._full(key)

        def attempt() -> None:
            with self._errors(key):
                self._client.delete_object(Bucket=self._bucket, Key=full)

        self._retries.call(attempt)

    def sweep(self, under: str = "", *, before: datetime) -> int:
        """Abort multipart uploads of keys that start with `under` and began before a time, and return how many.

        Raises:
            StoreUnavailable: the server does not answer; there is no second try.
            StoreRefused: the key has no right to list or abort uploads.
        """
        with self._errors(self._root + under):
            uploads = self._open_uploads(self._root + under)
            return self._abort(upload for upload in uploads if upload["Initiated"] < before)

    def _full(self, key: str) -> str:
        return self._root + checked_key(key)

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turn the errors of boto3 into errors that callers can read."""
        try:
            yield
        except S3UploadFailedError as error:
            raise as_worker_error(error.__context__ or error, key=key, bucket=self._bucket) from error
        # botocore passes urllib3's errors on if a connection breaks in the middle of a body.
        except (BotoCoreError, ClientError, HTTPError) as error:
            raise as_worker_error(error, key=key, bucket=self._bucket) from error

    def _stat(self, key: str) -> StoredObject | None:
        with self._errors(key):
            try:
                head: HeadObjectOutputTypeDef = self._client.head_object(
                    Bucket=self._bucket, Key=self._root + key
                )
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return StoredObject(
            key=key,
            size_bytes=head["ContentLength"],
            etag=head["ETag"].strip('"'),
            modified_at=head["LastModified"].astimezone(UTC),
            sha256=head["Metadata"].get(SHA256_NAME),
        )

    def _page(self, prefix: str, token: str | None) -> Any:
        more = {} if token is None else {"ContinuationToken": token}
        with self._errors(prefix):
            return self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._root + prefix, **more)  # type: ignore[arg-type]

    def _read(self, wanted: StoredObject, offset: int, write: Write) -> StoredObject:
        # No range for the whole object: an empty object has no range.
        share: Any = {"Range": f"bytes={offset}-"} if offset else {}
        with self._errors(wanted.key):
            answer = self._client.get_object(
                Bucket=self._bucket,
                Key=self._root + wanted.key,
                IfMatch=f'"{wanted.etag}"',
                **share,
            )
            with answer["Body"] as body:
                while piece := body.read(READ_BYTES):
                    write(piece)
        return StoredObject(
            key=wanted.key,
            size_bytes=wanted.size_bytes,
            etag=answer["ETag"].strip('"'),
            sha256=answer["Metadata"].get(SHA256_NAME),
        )

    def _open_uploads(self, prefix: str) -> Iterator[MultipartUploadTypeDef]:
        for page in self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self._bucket, Prefix=prefix
        ):
            yield from page.get("Uploads", [])

    def _abort(self, uploads: Iterator[MultipartUploadTypeDef]) -> int:
        count = 0
        for upload in list(uploads):
            try:
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                count += 1
            except ClientError as error:
                if not is_missing(error):
                    raise
        return count
