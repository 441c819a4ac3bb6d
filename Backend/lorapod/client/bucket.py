"""An S3 bucket: a RunPod network volume over S3, Amazon's S3, or another S3 server."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree as ET

from lorapod.client.errors import Busy, EndpointError, EndpointUnreachable, LorapodError, Unauthorized
from lorapod.client.http import ConnectFailed, ConnectionBroken, HttpAnswer, HttpSender
from lorapod.client.retrying import RetryPolicy, retry
from lorapod.client.signature import DEFAULT_REGION, S3Keys

_RETRIES: Final = RetryPolicy(attempts=4)

#: RunPod computes a checksum of each file that a worker wrote, once, before it lists the file: a list may take minutes.
_LIST_WAIT_S: Final = 240.0

#: Outside a key's letters, these stay as they are in its URL.
_PLAIN: Final = "/-_.~"


@dataclass(frozen=True, kw_only=True)
class BucketObject:
    """An object in a bucket; on a network volume, a file."""

    key: str
    size_bytes: int
    #: ISO 8601.
    modified_at: str
    #: Changes with the content; on most servers the MD5.
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class BucketFolder:
    """What keys have in common up to a slash; on a network volume, a folder."""

    #: Ends with a slash.
    prefix: str


class NoSuchObject(EndpointError):
    """The bucket has no object of this key."""


class NoSuchBucket(EndpointError):
    """There is no such bucket."""


@dataclass(frozen=True, kw_only=True)
class _BucketRequest:
    method: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    wait_s: float = 0.0
    accepted: Collection[int] = ()

    def url(self, bucket_url: str) -> str:
        """Return the URL; S3 signs the query with spaces as `%20` and in the order of its names."""
        query = "&".join(
            f"{quote(name, safe='')}={quote(self.query[name], safe='')}" for name in sorted(self.query)
        )
        url = f"{bucket_url}/{quote(self.key, safe=_PLAIN)}" if self.key else bucket_url
        return f"{url}?{query}" if query else url


class Bucket:
    """One bucket; requests are signed if both keys are given. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        *,
        http: HttpSender,
        endpoint_url: str | None = None,
        region: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        retries: RetryPolicy = _RETRIES,
    ) -> None:
        region = region or DEFAULT_REGION
        base_url = (endpoint_url or f"https://s3.{region}.amazonaws.com").rstrip("/")
        self.name = name
        self.url = f"{base_url}/{quote(name)}"
        self._http = http
        self._retries = retries
        self._keys = None
        if access_key and secret_key:
            self._keys = S3Keys(access_key=access_key, secret_key=secret_key, region=region)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def objects(self, prefix: str = "") -> Iterator[BucketObject]:
        """Yield every object whose key begins with `prefix`.

        Raises:
            LorapodError: the server cannot be reached, or it refuses.
        """
        for page in self._pages({"prefix": prefix}):
            yield from _objects(page)

    def folder(self, prefix: str) -> Iterator[BucketObject | BucketFolder]:
        """Yield the objects and folders directly below `prefix`, which ends with a slash or is empty.

        Raises:
            LorapodError: the server cannot be reached, or it refuses.
        """
        for page in self._pages({"prefix": prefix, "delimiter": "/"}):
            for entry in page.iterfind("{*}CommonPrefixes"):
                yield BucketFolder(prefix=_key(page, entry.findtext("{*}Prefix", "")))
            yield from _objects(page)

    def request(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        wait_s: float = 0.0,
        accepted: Collection[int] = (),
    ) -> HttpAnswer:
        """Send one request, and repeat it if the server is away or busy; return the answer, which is one of success.

        Args:
            method: GET, HEAD, PUT, POST or DELETE.
            key: the object; empty: the bucket.
            query: the parameters.
            headers: the request's.
            body: the request's.
            wait_s: how long the server may take beside the usual time.
            accepted: statuses that count as success too.

        Raises:
            NoSuchObject, NoSuchBucket: the object, or its bucket, does not exist.
            Unauthorized: the keys are missing or wrong, or may not do this.
            LorapodError: the server cannot be reached, or it refuses.
        """
        asked = _BucketRequest(
            method=method,
            key=key,
            query=query or {},
            headers=headers or {},
            body=body,
            wait_s=wait_s,
            accepted=accepted,
        )
        return retry(lambda: self._once(asked), self._retries)

    def _pages(self, query: Mapping[str, str]) -> Iterator[ET.Element]:
        """Yield the pages of a list."""
        asked = {"encoding-type": "url", "list-type": "2", **query}
        while True:
            page = self._list(asked)
            yield page
            token = page.findtext("{*}NextContinuationToken")
            if not token:
                return
            asked["continuation-token"] = token

    def _list(self, query: Mapping[str, str]) -> ET.Element:
        def attempt() -> ET.Element:
            asked = _BucketRequest(method="GET", query=query, wait_s=_LIST_WAIT_S)
            answer = _xml(self._once(asked).body)
            if not answer.tag.endswith("ListBucketResult"):
                raise EndpointError(f"{self.url} answered something other than a list: not an answer of S3.")
            token = answer.findtext("{*}NextContinuationToken")
            if token and token == query.get("continuation-token"):
                # RunPod answers so while it computes checksums.
                raise Busy(f"{self.url} is not ready to list its files.")
            return answer

        return retry(attempt, self._retries)

    def _once(self, asked: _BucketRequest) -> HttpAnswer:
        url, headers = asked.url(self.url), dict(asked.headers)
        if self._keys is not None:
            headers = self._keys.headers(asked.method, url, headers, asked.body or b"")
        # A compressed part of a file would have another length.
        headers["Accept-Encoding"] = "identity"
        try:
            answer = self._http.send(asked.method, url, headers=headers, body=asked.body, wait_s=asked.wait_s)
        except (ConnectFailed, ConnectionBroken) as error:
            raise EndpointUnreachable(f"{self.url} cannot be reached: {error}.") from error
        if answer.is_success or answer.status in asked.accepted:
            return answer
        raise self._refusal(answer, asked.key)

    def _refusal(self, answer: HttpAnswer, key: str) -> LorapodError:
        said = _xml(answer.body)
        code = said.findtext("{*}Code") or said.findtext("Code") or f"status {answer.status}"
        message = said.findtext("{*}Message") or said.findtext("Message") or ""
        if answer.status == 404 and code.startswith("NoSuch") and code != "NoSuchBucket":
            return NoSuchObject(f"{self.url} has no {key!r}.")
        if answer.status == 404 and key and not answer.body:
            # An answer to HEAD has no body.
            return NoSuchObject(f"{self.url} has no {key!r}.")
        sentence = f"{code}: {(message or 'not an answer of S3').rstrip('.')}."
        match answer.status:
            case 401 | 403:
                return Unauthorized(sentence)
            case 404:
                return NoSuchBucket(sentence)
            case status if status == 429 or status >= 500:
                return Busy(sentence)
            case _:
                return EndpointError(sentence)


def _objects(page: ET.Element) -> Iterator[BucketObject]:
    for entry in page.iterfind("{*}Contents"):
        yield BucketObject(
            key=_key(page, entry.findtext("{*}Key", "")),
            size_bytes=int(entry.findtext("{*}Size", "0")),
            modified_at=entry.findtext("{*}LastModified", ""),
            etag=entry.findtext("{*}ETag", "").strip('"'),
        )


def _key(page: ET.Element, text: str) -> str:
    """Return a key of a list; servers that encode keys write a space as `+`, as Amazon's does."""
    return unquote_plus(text) if page.findtext("{*}EncodingType") == "url" else text


def _xml(body: bytes) -> ET.Element:
    """Return an answer of the server; an empty element if it is not XML."""
    try:
        # The caller chose the server, and expat limits the expansion of entities.
        return ET.fromstring(body)  # noqa: S314
    except ET.ParseError:
        return ET.Element("Error")
