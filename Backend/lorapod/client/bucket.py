"""An S3 bucket: a RunPod network volume over S3, Amazon's S3, or another S3 server."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote, urlsplit
from xml.etree import ElementTree as ET

from lorapod.client.errors import Busy, EndpointError, EndpointUnreachable, Unauthorized
from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpSender
from lorapod.client.retrying import RetryPolicy, retry

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True)
class BucketObject:
    """An object in a bucket; on a network volume, a file."""

    key: str
    size_bytes: int
    #: ISO 8601.
    modified_at: str


class Bucket:
    """One bucket; requests are signed if both keys are given."""

    def __init__(
        self,
        name: str,
        *,
        http: HttpSender,
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        self._region = region or "us-east-1"
        base_url = (endpoint_url or f"https://s3.{self._region}.amazonaws.com").rstrip("/")
        self._url = f"{base_url}/{quote(name)}"
        self._http = http
        self._access_key = access_key
        self._secret_key = secret_key

    def objects(self, prefix: str = "") -> Iterator[BucketObject]:
        """Yield every object whose key begins with `prefix`.

        Raises:
            LorapodError: the server cannot be reached, or it refuses.
        """
        query = {"encoding-type": "url", "list-type": "2", "prefix": prefix}
        while True:
            page = self._list(query)
            for entry in page.iterfind("{*}Contents"):
                yield BucketObject(
                    key=unquote(entry.findtext("{*}Key", "")),
                    size_bytes=int(entry.findtext("{*}Size", "0")),
                    modified_at=entry.findtext("{*}LastModified", ""),
                )
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return
            query["continuation-token"] = token

    def _list(self, query: Mapping[str, str]) -> ET.Element:
        # S3 signs the query with spaces as %20 and in the order of its names.
        text = "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))
        return retry(lambda: self._get(text), RetryPolicy(attempts=_ATTEMPTS))

    def _get(self, query: str) -> ET.Element:
        try:
            response = self._http.send(
                "GET", f"{self._url}?{query}", headers=self._signature(query), body=None, wait_s=0
            )
        except (ConnectFailed, ConnectionBroken) as error:
            raise EndpointUnreachable(f"{self._url} cannot be reached: {error}.") from error
        try:
            # The caller chose the server, and expat limits the expansion of entities.
            answer = ET.fromstring(response.body)  # noqa: S314
        except ET.ParseError:
            answer = ET.Element("Error")
        if response.is_success and answer.tag.endswith("ListBucketResult"):
            return answer
        code = answer.findtext("{*}Code") or answer.findtext("Code") or f"status {response.status}"
        said = answer.findtext("{*}Message") or answer.findtext("Message") or "not an answer of S3"
        sentence = f"{code}: {said.rstrip('.')}."
        match response.status:
            case 401 | 403:
                raise Unauthorized(sentence)
            case status if status == 429 or status >= 500:
                raise Busy(sentence)
            case _:
                raise EndpointError(sentence)

    def _signature(self, query: str) -> dict[str, str]:
        """Return the headers that sign a GET of the bucket: AWS Signature Version 4."""
        if not self._access_key or not self._secret_key:
            return {}
        url = urlsplit(self._url)
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        names = "host;x-amz-content-sha256;x-amz-date"
        request = (
            f"GET\n{url.path}\n{query}\n"
            f"host:{_host(url.scheme, url.netloc)}\nx-amz-content-sha256:{_EMPTY_SHA256}\nx-amz-date:{moment}\n\n"
            f"{names}\n{_EMPTY_SHA256}"
        )
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self._secret_key}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        return {
            "x-amz-content-sha256": _EMPTY_SHA256,
            "x-amz-date": moment,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={key.hex()}",
        }


def _host(scheme: str, netloc: str) -> str:
    """Return the `Host` header as it is sent: without the scheme's own port."""
    return netloc.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))
