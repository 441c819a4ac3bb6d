"""S3 buckets that demand more than a plain one, on a real server."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.auth
import pytest
from mypy_boto3_s3 import S3Client
from tests.servers.s3_server import RunningS3

from lorapod.errors import WorkerError
from lorapod.storage.port import StoreRefused
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3 import PART_BYTES, S3Objects

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


@pytest.fixture(params=[versioned, locked])
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
