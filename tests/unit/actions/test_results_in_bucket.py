"""`return: bucket`: results at URLs as soon as the endpoint has an S3 bucket, else in the answer."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from pydantic import SecretStr
from tests.unit.actions.desk import Desk

from lorapod.errors import InvalidInput, UpstreamError
from lorapod.storage.s3_access import S3Access
from lorapod.testing.objects import MemoryObjects

WHOLE = {
    "bucket_endpoint_url": "https://pictures.s3.eu-central-1.amazonaws.com",
    "bucket_access_key_id": "AKIAEXAMPLE",
    "bucket_secret_access_key": SecretStr("secret-of-the-bucket"),
}


class Buckets:
    """Opens one store in memory for every place, and notes the places; as real stores, it needs credentials."""

    def __init__(self, desk: Desk) -> None:
        self.store = MemoryObjects()
        self.prefixes: list[str] = []
        self._shares = desk.worker.services.shares

    @contextmanager
    def open(self, place: Any, *, job_s3: Any = None) -> Iterator[MemoryObjects]:
        assert job_s3 is None
        S3Access.from_settings(self._shares._settings)
        self.prefixes.append("/".join(filter(None, [place.bucket, place.prefix])))
        yield self.store


@pytest.fixture
def buckets(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    found = Buckets(desk)
    monkeypatch.setattr(desk.worker.services.shares, "_open_store", found.open)
    return found


def use(desk: Desk, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    shares = desk.worker.services.shares
    bare = dict.fromkeys(WHOLE)
    monkeypatch.setattr(shares, "_settings", shares._settings.model_copy(update={**bare, **changes}))


def asked(desk: Desk, **fields: Any) -> Mapping[str, Any]:
    return desk.ask(type="generate", prompt="a square", seed=3, **{"return": "bucket", **fields})


def test_without_a_bucket_they_are_in_the_answer(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(desk, monkeypatch)

    answer = asked(desk)

    assert [image["type"] for image in answer["images"]] == ["base64"]
    assert (answer["warnings"], buckets.prefixes) == ([], [])


@pytest.mark.parametrize(
    "server",
    [
        # The bucket is known.
        "https://pictures.s3.eu-central-1.amazonaws.com",
        "https://minio.example.com/pictures",
        # It is in the server's name, or the month is the bucket: both have the same URL.
        "https://pictures.fra1.digitaloceanspaces.com",
    ],
)
def test_with_a_bucket_they_are_at_urls_below_month_and_job(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    use(desk, monkeypatch, **{**WHOLE, "bucket_endpoint_url": server})

    answer = asked(desk, num_images=2)

    now = desk.worker.services.clock.now()
    assert {prefix for prefix in buckets.prefixes if prefix} == {f"{now:%m-%y}/job-1"}
    assert [image["type"] for image in answer["images"]] == ["url", "url"]
    assert len({image["url"] for image in answer["images"]}) == 2
    assert all("data" not in image and "error" not in image for image in answer["images"])


def test_their_urls_work_for_a_week(desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch) -> None:
    use(desk, monkeypatch, **WHOLE)
    (image,) = asked(desk)["images"]

    assert "expires_s=604800" in image["url"]


def test_a_job_that_is_delivered_again_uploads_nothing_twice(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(desk, monkeypatch, **WHOLE)
    first = asked(desk, idempotency_key="twice")
    (stored,) = buckets.store.list_objects()

    again = asked(desk, idempotency_key="twice")

    assert list(buckets.store.list_objects()) == [stored]
    assert first["images"][0]["url"] == again["images"][0]["url"]


def test_a_bucket_that_fails_loses_no_result(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(desk, monkeypatch, **WHOLE)
    buckets.store.failure = UpstreamError("The store does not answer.")

    (image,) = asked(desk)["images"]

    assert image["type"] == "base64"
    assert base64.b64decode(image["data"]).startswith(b"\x89PNG")
    assert "The store does not answer." in image["error"]


def test_a_bucket_without_its_keys_is_named(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(desk, monkeypatch, bucket_endpoint_url=WHOLE["bucket_endpoint_url"])

    answer = asked(desk)

    assert [image["type"] for image in answer["images"]] == ["base64"]
    assert ["BUCKET_ACCESS_KEY_ID" in warning for warning in answer["warnings"]] == [True]


def test_a_bucket_without_its_keys_fails_no_result_that_is_too_large(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(desk, monkeypatch, bucket_endpoint_url=WHOLE["bucket_endpoint_url"])
    small = desk.worker.services.settings.model_copy(update={"max_reply_bytes": 100_000 + 2_000 + 10})
    desk.use(monkeypatch, settings=small)

    answer = desk.ask(type="generate", prompt="a square")

    assert [image["type"] for image in answer["images"]] == ["path"], answer


def test_what_is_missing_is_asked_before_a_generation_that_wants_urls(
    desk: Desk, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(desk, monkeypatch, bucket_endpoint_url=WHOLE["bucket_endpoint_url"])

    answer = desk.ask(type="generate", prompt="a square", **{"return": "url"})

    assert answer["code"] == InvalidInput("").code.value
