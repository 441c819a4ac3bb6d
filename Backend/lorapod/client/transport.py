"""One HTTP exchange with an endpoint: size limits, patience, and errors that say what happened."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import stamina

from lorapod.client.errors import (
    Busy,
    EndpointError,
    EndpointUnreachable,
    JobNotFound,
    LorapodError,
    RequestTooLarge,
    Unauthorized,
)

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long to go on asking an endpoint that is away or busy; the waits double."""

    attempts: int = 10
    #: No new attempt is begun after this time.
    patience_s: float = 90.0
    first_wait_s: float = 0.25
    longest_wait_s: float = 15.0


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """How long one exchange may take."""

    connect_s: float = 10.0
    #: Between two pieces of an answer, beyond the time that the endpoint was asked to wait.
    read_s: float = 60.0
    write_s: float = 120.0


class Transport:
    """Sends requests to one endpoint."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        retries: RetryPolicy,
        timeouts: Timeouts,
        http: httpx.BaseTransport | None = None,
    ) -> None:
        parsed = httpx.URL(url.rstrip("/"))
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ValueError("The endpoint's address begins with https:// (or http:// on this machine).")
        if parsed.userinfo:
            raise ValueError("The endpoint's address holds no password: give the key as api_key.")
        #: Without the key, fit to be shown.
        self.url = str(parsed)
        self._key = api_key
        self._retries = retries
        self._timeouts = timeouts
        self._http = httpx.Client(
            transport=http,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(timeouts.read_s, connect=timeouts.connect_s, write=timeouts.write_s),
        )

    def __repr__(self) -> str:
        return f"Transport({self.url!r})"

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`.

        Raises:
            EndpointError: the endpoint did not answer with one.
        """
        return self._patiently("GET", path, body=None, params={}, wait_s=0.0, repeatable=True)

    def post(
        self,
        path: str,
        fields: Mapping[str, Any],
        *,
        limit_bytes: int | None = None,
        params: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        repeatable: bool,
    ) -> dict[str, Any]:
        """The JSON object that the endpoint answers to `fields`.

        Args:
            path: below the endpoint's address.
            fields: the body.
            limit_bytes: the largest body that the endpoint takes there.
            params: the query.
            wait_s: how long the endpoint was asked to hold the answer back.
            repeatable: whether to send it again where it is unknown if the first attempt had an effect.

        Raises:
            EndpointError: the endpoint did not answer with one.
        """
        body = json.dumps(fields, separators=(",", ":")).encode()
        if limit_bytes is not None and len(body) > limit_bytes:
            raise RequestTooLarge(
                f"The request has {len(body)} bytes; {path} takes {limit_bytes}.",
                hint="Send files in batches, large ones in parts: upload_dataset does both.",
            )
        return self._patiently(
            "POST", path, body=body, params=params or {}, wait_s=wait_s, repeatable=repeatable
        )

    def _patiently(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        params: Mapping[str, str],
        wait_s: float,
        repeatable: bool,
    ) -> dict[str, Any]:
        def again(error: Exception) -> bool | float:
            if isinstance(error, Busy) and error.retry_after_s is not None:
                return min(error.retry_after_s, self._retries.longest_wait_s)
            return isinstance(error, LorapodError) and error.retryable

        for attempt in stamina.retry_context(
            on=again,
            attempts=self._retries.attempts,
            timeout=self._retries.patience_s,
            wait_initial=self._retries.first_wait_s,
            wait_max=self._retries.longest_wait_s,
            wait_jitter=self._retries.first_wait_s,
        ):
            with attempt:
                return self._once(method, path, body, params, wait_s, repeatable=repeatable)
        raise AssertionError("stamina raises the last error itself")

    def _once(
        self,
        method: str,
        path: str,
        body: bytes | None,
        params: Mapping[str, str],
        wait_s: float,
        *,
        repeatable: bool,
    ) -> dict[str, Any]:
        timeout = httpx.Timeout(
            self._timeouts.read_s + wait_s, connect=self._timeouts.connect_s, write=self._timeouts.write_s
        )
        try:
            response = self._http.request(
                method,
                f"{self.url}{path}",
                content=body,
                params=dict(params),
                headers={"Content-Type": "application/json"} if body is not None else {},
                timeout=timeout,
            )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EndpointUnreachable(f"Cannot connect to {self.url}: {self._shown(str(error))}.") from error
        except httpx.TransportError as error:
            reason = f"The connection to {self.url} broke off ({type(error).__name__})."
            if repeatable:
                raise EndpointUnreachable(reason) from error
            raise EndpointError(
                reason, hint="The request may have had its effect: look before you send it again."
            ) from error
        # An answer and its stream hold each other: apart, both bodies go at once and not at some garbage collection.
        response.stream = httpx.ByteStream(b"")
        return self._read(response, repeatable=repeatable)

    def _read(self, response: httpx.Response, *, repeatable: bool) -> dict[str, Any]:
        if response.is_success:
            try:
                answer = response.json()
            except ValueError as error:
                raise EndpointError(f"{self.url} answered something other than JSON.") from error
            if not isinstance(answer, dict):
                raise EndpointError(f"{self.url} answered something other than a JSON object.")
            return answer
        said = self._shown(_reason(response))
        match response.status_code:
            case 401 | 403:
                raise Unauthorized(f"The endpoint does not accept the key: {said}")
            case 404:
                raise JobNotFound(f"The endpoint does not know it: {said}")
            case 413:
                raise RequestTooLarge(f"The endpoint finds the request too large: {said}")
            case 429:
                raise Busy(f"The endpoint is busy: {said}", retry_after_s=_retry_after_s(response))
            case code if code >= 500 and repeatable:
                raise Busy(f"The endpoint is in trouble ({code}): {said}")
            case code:
                raise EndpointError(f"The endpoint answered {code}: {said}")

    def _shown(self, text: str) -> str:
        """`text` fit for a message: short, and without the key, whoever repeated it."""
        without = text.replace(self._key, "***") if self._key else text
        return without if len(without) <= _SHOWN_CHARACTERS else f"{without[: _SHOWN_CHARACTERS - 3]}..."


def _reason(response: httpx.Response) -> str:
    try:
        answer = response.json()
    except ValueError:
        return response.text.strip() or response.reason_phrase
    if isinstance(answer, dict):
        return str(answer.get("error") or answer.get("message") or response.reason_phrase)
    return response.reason_phrase


def _retry_after_s(response: httpx.Response) -> float | None:
    try:
        seconds = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
