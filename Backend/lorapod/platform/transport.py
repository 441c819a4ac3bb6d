"""One request to RunPod's management API: the key, retries, and errors in sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from lorapod.platform.errors import AnswerUnreadable, KeyRefused, PlatformError, PlatformUnreachable
from lorapod.platform.refusals import refusal

#: The environment variable that points to another server.
URL_VARIABLE = "RUNPOD_REST_URL"
DEFAULT_URL = "https://api.runpod.io"

_CONNECT_S = 10.0
_READ_S = 60.0

#: Statuses after which the same request may succeed.
_AWAY = frozenset({429, 500, 502, 503, 504})
#: The one status of those that says that the request had no effect.
_NOT_TAKEN = frozenset({429})


@dataclass(frozen=True, kw_only=True)
class PlatformRetries:
    """How often to repeat a request; the waits double, and `Retry-After` is followed."""

    attempts: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0

    def policy(self, *, repeatable: bool) -> urllib3.Retry:
        """Return urllib3's form; if the request is not repeatable, repeat it only if it had no effect."""
        return urllib3.Retry(
            total=self.attempts - 1,
            read=None if repeatable else 0,
            other=None if repeatable else 0,
            redirect=0,
            allowed_methods=None,
            status_forcelist=_AWAY if repeatable else _NOT_TAKEN,
            backoff_factor=self.first_wait_s,
            backoff_max=self.longest_wait_s,
            backoff_jitter=self.first_wait_s / 2,
            raise_on_status=False,
            raise_on_redirect=False,
            retry_after_max=math.ceil(self.longest_wait_s),
        )


class PlatformTransport:
    """The connection to the API. The key is in no message and no representation."""

    def __init__(
        self, api_key: str, *, url: str = DEFAULT_URL, retries: PlatformRetries | None = None
    ) -> None:
        """Make it; it connects at the first request.

        Raises:
            ValueError: `url` is not an HTTP URL, or holds a password.
            KeyRefused: the key is empty, or has characters that no key has.
        """
        parsed = urlsplit(url.rstrip("/"))
        if parsed.scheme not in {"http", "https"} or not parsed.hostname or parsed.username is not None:
            raise ValueError(f"{URL_VARIABLE} must be a URL such as {DEFAULT_URL}, without a password.")
        #: Without the key, fit to be shown.
        self.url = parsed.geturl()
        self._key = checked_key(api_key)
        self._retries = retries or PlatformRetries()
        self._pool = _pool(self.url)

    def __repr__(self) -> str:
        return f"PlatformTransport({self.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at `path`.

        Raises:
            PlatformError: the API did not answer with it.
        """
        return self._exchange("GET", path, query=query or {}, repeatable=True)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Create something and return it; it is sent again only if the first attempt had no effect.

        Raises:
            PlatformError: the API did not answer with it.
        """
        return self._exchange("POST", path, body=body, repeatable=False)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something and return it.

        Raises:
            PlatformError: the API did not answer with it.
        """
        return self._exchange("PATCH", path, body=body, repeatable=True)

    def delete(self, path: str) -> None:
        """Delete something.

        Raises:
            PlatformError: the API did not confirm it.
        """
        self._exchange("DELETE", path, repeatable=True)

    @contextmanager
    def stream(
        self, path: str, query: Mapping[str, str], *, quiet_s: float
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Open an answer that has no end; reading it raises urllib3's error after `quiet_s` of silence.

        Raises:
            PlatformError: the API did not begin the answer.
        """
        response = self._send(
            *("GET", path),
            query=query,
            body=None,
            repeatable=True,
            read_s=quiet_s,
            accept="text/event-stream",
            whole=False,
        )
        try:
            if response.status != 200:
                raise self._refused("GET", path, response, response.data)
            yield response
        finally:
            response.close()

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        repeatable: bool,
    ) -> Any:
        response = self._send(method, path, query=query or {}, body=body, repeatable=repeatable)
        if not 200 <= response.status < 300:
            raise self._refused(method, path, response, response.data)
        if response.status == 204:
            return None
        try:
            return json.loads(response.data)
        except ValueError:
            raise AnswerUnreadable(
                f"{self.url} answered {method} {path} with something other than JSON.",
                hint=f"Check {URL_VARIABLE}.",
            ) from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        repeatable: bool,
        read_s: float = _READ_S,
        accept: str = "application/json",
        whole: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self._key}", "Accept": accept}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            return self._pool.request(
                method,
                f"{self.url}{path}" + (f"?{urlencode(query)}" if query else ""),
                headers=headers,
                body=None if body is None else json.dumps(body).encode(),
                timeout=urllib3.Timeout(connect=_CONNECT_S, read=read_s),
                redirect=False,
                retries=self._retries.policy(repeatable=repeatable),
                preload_content=whole,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error, repeatable=repeatable) from None

    def _unreachable(self, error: Exception, *, repeatable: bool) -> PlatformUnreachable:
        reason = getattr(error, "reason", None) or error
        why = _system_reason(reason) if isinstance(reason, BaseException) else str(reason)
        never_sent = isinstance(
            reason,
            urllib3.exceptions.NewConnectionError
            | urllib3.exceptions.ConnectTimeoutError
            | urllib3.exceptions.SSLError
            | urllib3.exceptions.ProxyError,
        )
        if never_sent:
            return PlatformUnreachable(
                f"Cannot connect to RunPod's API at {self.url}: {why}.",
                hint=f"Check the network, and {URL_VARIABLE} if it is set.",
            )
        hint = "Try again." if repeatable else "What was asked for may have been made: run the command again."
        return PlatformUnreachable(
            f"The connection to RunPod's API at {self.url} broke off ({why}).", hint=hint
        )

    def _refused(
        self, method: str, path: str, response: urllib3.BaseHTTPResponse, body: bytes
    ) -> PlatformError:
        text = body.decode(errors="replace").replace(self._key, "***")
        return refusal(response.status, f"{method} {path}", text, response.headers.get("Retry-After"))


def checked_key(api_key: str) -> str:
    """Return the key without the white space around it.

    Raises:
        KeyRefused: it cannot be a key. The message does not show it.
    """
    key = api_key.strip()
    if not key:
        raise KeyRefused(
            "There is no RunPod API key.",
            hint="Make one in RunPod's console (Settings, API Keys), and set RUNPOD_API_KEY.",
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise KeyRefused(
            "RUNPOD_API_KEY has characters that no key has.", hint="Copy the key from RunPod's console again."
        )
    return key


def _pool(url: str) -> urllib3.PoolManager:
    """Return connections, through the proxy that `HTTPS_PROXY` and `NO_PROXY` name."""
    target = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(target.scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(target.netloc):
        return urllib3.PoolManager()
    named = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    password = f"{unquote(named.username)}:{unquote(named.password or '')}" if named.username else None
    return urllib3.ProxyManager(
        f"{named.scheme}://{named.hostname}:{named.port or 80}",
        proxy_headers=urllib3.make_headers(proxy_basic_auth=password),
    )


def _system_reason(error: BaseException) -> str:
    """Return the system's reason, for example `Connection refused`; else the kind of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__
