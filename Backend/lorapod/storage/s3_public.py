"""Let boto3 connect only to the public internet, for S3 servers that callers name."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from lorapod.safety.urls import is_public, refused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def connect_publicly(client: S3Client) -> None:
    """Have a new client check every address before it connects, also after redirects to other hosts.

    botocore has no resolver to replace, so its connection pools are replaced: they are one attribute of its session.
    """
    manager: Any = client._endpoint.http_session._manager  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}


class _Judged:
    """Resolves the host once, checks the addresses, and connects to one of them; only the certificate uses the name."""

    _dns_host: str
    port: int

    def _new_conn(self) -> socket.socket:
        host = self._dns_host
        found = [str(info[4][0]) for info in _look_up(host, self.port)]
        if not all(is_public(address) for address in found):
            raise refused(host)
        self._dns_host = found[0]
        try:
            connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        finally:
            self._dns_host = host
        return connected


def _look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Connection(_Judged, AWSHTTPConnection):  # type: ignore[misc]  # botocore's own bases differ
    pass


class _SecureConnection(_Judged, AWSHTTPSConnection):  # type: ignore[misc]  # as above
    pass


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(AWSHTTPSConnectionPool):
    ConnectionCls = _SecureConnection
