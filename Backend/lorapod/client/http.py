"""One HTTP request and its answer, over connections that are kept open."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

#: Connections to one server that are kept open; a download of many parts uses a few at a time.
_KEPT_CONNECTIONS = 32

_PIECE_BYTES = 1 << 16


class ConnectFailed(Exception):
    """No connection was made, so the request had no effect."""


class ConnectionBroken(Exception):
    """The connection ended before the answer did; the request may have had its effect."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long one exchange may take."""

    connect_s: float = 10.0
    #: Between two pieces of an answer, in addition to the time that the endpoint was asked to wait.
    read_s: float = 60.0
    #: Between two pieces of a request.
    write_s: float = 120.0


@dataclass(frozen=True, kw_only=True)
class HttpAnswer:
    """What a server answered."""

    status: int
    #: By name; the case of a name does not matter.
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def is_success(self) -> bool:
        """Return whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode(errors="replace")


class HttpSender(Protocol):
    """Sends one request at a time from each thread."""

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer, whatever its status; redirects are not followed.

        Args:
            method: GET or POST.
            url: with its query.
            headers: the request's.
            body: the request's.
            wait_s: how long the server was asked to wait before it answers.

        Raises:
            ConnectFailed: there is no connection.
            ConnectionBroken: the connection ended before the answer did.
        """

    def close(self) -> None:
        """Close the connections."""


class PooledSender:
    """Connections by urllib3, kept open, through the proxy that `HTTPS_PROXY` and `NO_PROXY` name."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._managers: dict[str | None, urllib3.PoolManager] = {}

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        """Return the answer; see `HttpSender`."""
        sent = {"Accept-Encoding": "gzip, deflate", **headers}
        if body is not None:
            sent["Content-Length"] = str(len(body))
        try:
            response = self._manager(url).request(
                method,
                url,
                headers=sent,
                body=None if body is None else pieces(body),
                timeout=urllib3.Timeout(
                    connect=self._timeouts.connect_s, read=self._timeouts.read_s + wait_s
                ),
                redirect=False,
                retries=False,
            )
            return HttpAnswer(status=response.status, headers=response.headers, body=response.data)
        except (
            urllib3.exceptions.NewConnectionError,
            urllib3.exceptions.ConnectTimeoutError,
            urllib3.exceptions.ProxyError,
            urllib3.exceptions.SSLError,
        ) as error:
            raise ConnectFailed(_why(error)) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ConnectionBroken(type(error).__name__) from error

    def close(self) -> None:
        """Close the connections."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, url: str) -> urllib3.PoolManager:
        proxy = proxy_of(url)
        if proxy not in self._managers:
            self._managers[proxy] = _manager(proxy, self._timeouts.write_s)
        return self._managers[proxy]


def proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for a URL; None if it names none."""
    target = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(target.netloc) else proxy


def _why(error: urllib3.exceptions.HTTPError) -> str:
    """Return the system's reason, for example `Connection refused`; urllib3 puts names of its classes before it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(error)


def _manager(proxy: str | None, write_s: float) -> urllib3.PoolManager:
    manager: urllib3.PoolManager
    if proxy is None:
        manager = urllib3.PoolManager(maxsize=_KEPT_CONNECTIONS)
    else:
        named = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        key = f"{unquote(named.username)}:{unquote(named.password or '')}" if named.username else None
        manager = urllib3.ProxyManager(
            f"{named.scheme}://{named.hostname}:{named.port or 80}",
            maxsize=_KEPT_CONNECTIONS,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=key),
        )
    manager.pool_classes_by_scheme = _pool_classes(write_s)
    return manager


def pieces(body: bytes) -> Iterator[bytes]:
    """Yield the body in pieces, so that a timeout is one of a piece and not of the whole."""
    for start in range(0, len(body), _PIECE_BYTES):
        yield body[start : start + _PIECE_BYTES]


class _WriteTimeout:
    """A timeout for each piece of a request; urllib3's connections have none."""

    write_s: float
    sock: socket.socket | None

    def send(self, data: bytes) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        assert self.sock is not None
        self.sock.settimeout(self.write_s)
        super().send(data)  # type: ignore[misc]


def _pool_classes(timeout_s: float) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_WriteTimeout, HTTPConnection):  # type: ignore[misc]
        write_s = timeout_s

    class Encrypted(_WriteTimeout, HTTPSConnection):  # type: ignore[misc]
        write_s = timeout_s

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}
