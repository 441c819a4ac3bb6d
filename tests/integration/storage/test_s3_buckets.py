"""S3 buckets that demand more than a plain one, on a real server."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.auth
import pytest
from botocore.awsrequest import AWSPreparedRequest
from mypy_boto3_s3 import S3Client
from mypy_boto3_s3.type_defs import ServerSideEncryptionConfigurationTypeDef
from tests.servers.s3_server import RunningS3

from lorapod.errors import WorkerError
from lorapod.storage import s3 as s3_module
from lorapod.storage.port import StoreRefused
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3 import PART_BYTES, S3Objects
from lorapod.storage.s3_access import S3Access
from lorapod.storage.s3_client import make_client

RETRIES = RetryBudget(total_s=2, first_wait_s=0.1, longest_wait_s=0.5)


def versioned(client: S3Client, bucket: str) -> None:
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def locked(client: S3Client, bucket: str) -> None:
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )


def encrypted(client: S3Client, bucket: str) -> None:
    client.create_bucket(Bucket=bucket)
    rules: ServerSideEncryptionConfigurationTypeDef = {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)


@pytest.fixture(params=[versioned, locked, encrypted])
def bucket(request: pytest.FixtureRequest, s3_server: RunningS3) -> Iterator[str]:
    make: Callable[[S3Client, str], None] = request.param
    name = f"{make.__name__}-{secrets.token_hex(4)}"
    with closing(s3_server.client()) as client:
        make(client, name)
        yield name


@pytest.mark.parametrize("size", [7, PART_BYTES + 7])
def test_an_object_is_put_replaced_listed_fetched_and_removed(
    s3_server: RunningS3, bucket: str, tmp_path: Path, size: int
) -> None:
    source, target = tmp_path / "source.bin", tmp_path / "target.bin"
    key = f"{size}/a.bin"
    with closing(S3Objects(s3_server.access(), bucket=bucket, prefix="p", retries=RETRIES)) as store:
        for seed in (1, 2):
            source.write_bytes(random.Random(seed).randbytes(size))
            stored = store.put_file(source, key)
            assert stored.size_bytes == size
            (listed,) = store.list_objects(f"{size}/")
            assert (listed.key, listed.size_bytes) == (key, size)
            store.get_file(key, target, listed=listed)
            assert target.read_bytes() == source.read_bytes()
        store.delete(key)
        assert store.stat(key) is None
        assert list(store.list_objects(f"{size}/")) == []
        store.put_file(source, key)
        assert store.stat(key) is not None


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_wrong_is_named(
    s3_server: RunningS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")
    monkeypatch.setattr(
        botocore.auth,
        "get_current_datetime",
        lambda remove_tzinfo=True: (datetime.now(UTC) + timedelta(hours=hours)).replace(
            tzinfo=None if remove_tzinfo else UTC
        ),
    )
    with (
        closing(S3Objects(s3_server.access(), bucket="loras", retries=RETRIES)) as store,
        pytest.raises(WorkerError) as caught,
    ):
        store.put_file(tmp_path / "a.bin", "a.bin")
    assert isinstance(caught.value, StoreRefused)
    assert "clock" in caught.value.message


@pytest.mark.parametrize("size", [7, PART_BYTES + 7])
def test_a_bucket_that_encrypts_encrypts_what_is_put(s3_server: RunningS3, tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes(b"a" * size)
    with closing(s3_server.client()) as client:
        encrypted(client, bucket := f"encrypted-{secrets.token_hex(4)}")
        with closing(S3Objects(s3_server.access(), bucket=bucket, retries=RETRIES)) as store:
            store.put_file(tmp_path / "a.bin", "a.bin")

        assert client.head_object(Bucket=bucket, Key="a.bin")["ServerSideEncryption"] == "AES256"


def test_a_bucket_whose_policy_demands_an_encryption_header_refuses_at_once(
    s3_server: RunningS3, tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(b"content")
    with closing(s3_server.client()) as client:
        client.create_bucket(Bucket=(bucket := f"demanding-{secrets.token_hex(4)}"))
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
            "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
        with (
            closing(S3Objects(s3_server.access(), bucket=bucket, retries=RETRIES)) as store,
            pytest.raises(StoreRefused),
        ):
            store.put_file(tmp_path / "a.bin", "a.bin")
        client.put_object(Bucket=bucket, Key="b.bin", Body=b"content", ServerSideEncryption="AES256")


@pytest.mark.parametrize(("size", "writes"), [(7, 1), (PART_BYTES + 7, 2)])
def test_every_write_carries_a_checksum_as_some_buckets_demand(
    s3_server: RunningS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, writes: int
) -> None:
    """No server here demands one, so what is sent is looked at."""
    (tmp_path / "a.bin").write_bytes(b"a" * size)
    sent: list[bool] = []

    def look(request: AWSPreparedRequest, **_: object) -> None:
        if request.method == "PUT":
            names = {name.lower() for name in request.headers}
            sent.append(any(name.startswith("x-amz-checksum-") or name == "x-amz-trailer" for name in names))

    def make(access: S3Access) -> S3Client:
        client = make_client(access)
        client.meta.events.register("before-send.s3", look)
        return client

    monkeypatch.setattr(s3_module, "make_client", make)
    with closing(S3Objects(s3_server.access(), bucket="loras", prefix="checked", retries=RETRIES)) as store:
        store.put_file(tmp_path / "a.bin", f"{size}.bin")

    assert sent == [True] * writes
