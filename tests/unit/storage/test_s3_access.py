from __future__ import annotations

from typing import Any

import pytest

from lorapod.errors import InvalidInput, UnsafeUrl
from lorapod.settings import Settings
from lorapod.storage.s3_access import S3Access

SECRET = "the-secret"


def from_settings(**values: Any) -> S3Access:
    return S3Access.from_settings(
        Settings(bucket_access_key_id="id", bucket_secret_access_key=SECRET, **values)
    )


@pytest.mark.parametrize(
    ("values", "endpoint", "bucket", "region"),
    [
        ({}, None, None, "us-east-1"),
        ({"bucket_name": "b", "bucket_region": "eu-west-1"}, None, "b", "eu-west-1"),
        ({"bucket_endpoint_url": "https://s3.example.com"}, "https://s3.example.com", None, "us-east-1"),
        ({"bucket_endpoint_url": "http://host:9000/b/"}, "http://host:9000", "b", "us-east-1"),
        ({"bucket_endpoint_url": "http://host/a", "bucket_name": "b"}, "http://host", "b", "us-east-1"),
        (
            {"bucket_endpoint_url": "https://my.bucket.s3.eu-west-1.amazonaws.com"},
            "https://s3.eu-west-1.amazonaws.com",
            "my.bucket",
            "eu-west-1",
        ),
        (
            {"bucket_endpoint_url": "https://s3.eu-west-1.amazonaws.com/b"},
            "https://s3.eu-west-1.amazonaws.com",
            "b",
            "eu-west-1",
        ),
        (
            {"bucket_endpoint_url": "https://s3.eu-central-1.wasabisys.com/b"},
            "https://s3.eu-central-1.wasabisys.com",
            "b",
            "eu-central-1",
        ),
        (
            {"bucket_endpoint_url": "https://b.s3.us-west-004.backblazeb2.com"},
            "https://b.s3.us-west-004.backblazeb2.com",
            None,
            "us-west-004",
        ),
        (
            {"bucket_endpoint_url": "https://s3.my-site.example.com", "bucket_region": "auto"},
            "https://s3.my-site.example.com",
            None,
            "auto",
        ),
        (
            {"bucket_endpoint_url": "https://s3.my-site.example.com"},
            "https://s3.my-site.example.com",
            None,
            "us-east-1",
        ),
    ],
)
def test_the_address_may_hold_bucket_and_region(
    values: dict[str, str], endpoint: str | None, bucket: str | None, region: str
) -> None:
    access = from_settings(**values)
    assert (access.endpoint_url, access.bucket, access.region) == (endpoint, bucket, region)


def test_without_credentials_it_says_what_to_set() -> None:
    with pytest.raises(InvalidInput) as caught:
        S3Access.from_settings(Settings(bucket_name="b"))
    assert "BUCKET_SECRET_ACCESS_KEY" in caught.value.hint


@pytest.mark.parametrize("url", ["s3.example.com", "ftp://host", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="BUCKET_ENDPOINT_URL"):
        from_settings(bucket_endpoint_url=url)


def test_a_job_can_bring_its_own() -> None:
    job = {
        "endpointUrl": "https://s3.example.com",
        "accessId": "other",
        "accessSecret": SECRET,
        "bucketName": "jobs",
    }
    access = S3Access.from_job(job, Settings())
    assert (access.key_id, access.bucket) == ("other", "jobs")
    assert access.secret_key.get_secret_value() == SECRET
    assert SECRET not in repr(access)
    with pytest.raises(InvalidInput, match="accessSecret, bucketName"):
        S3Access.from_job({**job, "accessSecret": None, "bucketName": 5}, Settings())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000", "http://169.254.169.254", "http://10.1.2.3", "http://0x7f.1"]
)
def test_a_jobs_server_must_be_public(url: str) -> None:
    job = {"endpointUrl": url, "accessId": "other", "accessSecret": SECRET, "bucketName": "jobs"}
    with pytest.raises(UnsafeUrl):
        S3Access.from_job(job, Settings())
    if "0x" not in url:
        assert S3Access.from_job(job, Settings(allow_private_urls=True)).endpoint_url == url


def test_a_jobs_address_may_hold_no_credentials() -> None:
    job = {
        "endpointUrl": "https://me:word@host",
        "accessId": "o",
        "accessSecret": SECRET,
        "bucketName": "jobs",
    }
    with pytest.raises(InvalidInput, match="accessId"):
        S3Access.from_job(job, Settings())
