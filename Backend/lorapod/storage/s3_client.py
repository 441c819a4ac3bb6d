"""Make the boto3 client of an S3 store."""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from lorapod.storage.port import Progress
from lorapod.storage.s3_access import S3Access
from lorapod.storage.s3_public import connect_publicly

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

#: How many parts of one file are transferred at once.
PARTS_AT_ONCE = 10
CONNECT_S = 10
READ_S = 60
#: Attempts of boto3 itself for a single request; the retry budget adds more.
REQUEST_ATTEMPTS = 4

_making = threading.Lock()


def make_client(access: S3Access) -> S3Client:
    """Return a client, which the caller must close; no request is sent yet."""
    with _making:  # clients may be shared between threads, a session may not
        client = _session().client(
            "s3",
            endpoint_url=access.endpoint_url,
            region_name=access.region,
            aws_access_key_id=access.key_id,
            aws_secret_access_key=access.secret_key.get_secret_value(),
            config=Config(
                signature_version="s3v4",
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                max_pool_connections=4 * PARTS_AT_ONCE,
                # A proxy would resolve the host itself.
                proxies={} if access.public_only else None,
                retries={"mode": "standard", "total_max_attempts": REQUEST_ATTEMPTS},
                s3={"addressing_style": "path" if access.endpoint_url else "auto"},
            ),
        )
    if access.public_only:
        connect_publicly(client)
    return client


@cache
def _session() -> boto3.session.Session:
    """Return one session for all clients: it reads a megabyte of service descriptions."""
    return boto3.session.Session()


class Meter:
    """Adds up the bytes that the transfer manager reports, from several threads."""

    def __init__(self, progress: Progress) -> None:
        """Report to `progress`."""
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, piece_bytes: int) -> None:
        """Add the bytes of one piece."""
        with self._lock:
            self._done += piece_bytes
            self._progress(self._done)
