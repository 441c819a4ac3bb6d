from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest

from lorapod.client import EndpointError, EndpointUnreachable, LorapodError, Unauthorized
from lorapod.client.bucket import Bucket
from lorapod.client.http import ConnectFailed, HttpAnswer

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <EncodingType>url</EncodingType>{token}
  <Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>
</ListBucketResult>"""


class FakeS3:
    """Answers from a list, and keeps what was asked."""

    def __init__(self, *answers: HttpAnswer | Exception) -> None:
        self.answers = list(answers)
        self.urls: list[str] = []
        self.headers: list[Mapping[str, str]] = []

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, wait_s: float
    ) -> HttpAnswer:
        assert (method, body) == ("GET", None)
        self.urls.append(url)
        self.headers.append(headers)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        pass


def page(key: str, size_bytes: int, token: str = "") -> HttpAnswer:
    shown = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    return HttpAnswer(status=200, body=PAGE.format(key=key, size=size_bytes, token=shown).encode())


def test_every_page_is_asked_for_and_keys_are_decoded() -> None:
    s3 = FakeS3(page("a%2Fb%2Bc+%C3%A9.safetensors", 5, token="1/2+3=="), page("z", 7))

    found = list(Bucket("my bucket", http=s3, endpoint_url="https://s3.test/").objects("a/ é"))

    assert [(one.key, one.size_bytes, one.modified_at) for one in found] == [
        ("a/b+c é.safetensors", 5, "2026-01-02T03:04:05.000Z"),
        ("z", 7, "2026-01-02T03:04:05.000Z"),
    ]
    assert [urlsplit(url).path for url in s3.urls] == ["/my%20bucket"] * 2
    assert dict(parse_qsl(urlsplit(s3.urls[1]).query)) == {
        "continuation-token": "1/2+3==",
        "encoding-type": "url",
        "list-type": "2",
        "prefix": "a/ é",
    }
    assert s3.headers == [{"Accept-Encoding": "identity"}] * 2


def test_without_an_endpoint_it_is_amazons() -> None:
    s3 = FakeS3(page("z", 7))

    list(Bucket("b", http=s3, region="eu-north-1", access_key="k", secret_key="s").objects())

    assert s3.urls[0].startswith("https://s3.eu-north-1.amazonaws.com/b?")
    assert "/eu-north-1/s3/aws4_request, SignedHeaders=host;" in s3.headers[0]["Authorization"]


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (
            HttpAnswer(status=403, body=b"<Error><Code>AccessDenied</Code><Message>No.</Message></Error>"),
            Unauthorized,
            "AccessDenied: No.",
        ),
        (HttpAnswer(status=200, body=b"<html></html>"), EndpointError, "not an answer of S3"),
        (HttpAnswer(status=404, body=b"nothing"), EndpointError, "status 404"),
    ],
)
def test_a_refusal_says_why(answer: HttpAnswer, kind: type[LorapodError], said: str) -> None:
    with pytest.raises(kind, match=said):
        list(Bucket("b", http=FakeS3(answer), endpoint_url="http://s3.test").objects())


def test_a_server_in_trouble_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorapod.client.retrying.time.sleep", lambda _: None)
    s3 = FakeS3(HttpAnswer(status=503), ConnectFailed("refused"), page("z", 7))

    assert [one.key for one in Bucket("b", http=s3, endpoint_url="http://s3.test").objects()] == ["z"]


def test_a_server_that_stays_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorapod.client.retrying.time.sleep", lambda _: None)
    s3 = FakeS3(*[ConnectFailed("refused")] * 4)

    with pytest.raises(EndpointUnreachable, match=r"http://s3.test/b cannot be reached: refused"):
        list(Bucket("b", http=s3, endpoint_url="http://s3.test").objects())
