"""`lorapod inventory` on a real S3 server, as RunPod's interface to a volume is one."""

from __future__ import annotations

import json

import pytest
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3
from typer.testing import CliRunner

from lorapod.client.cli import app

WEIGHTS = "inventory/models/loras/cat.safetensors"
NOTES = "inventory/notes.txt"


@pytest.fixture
def environment(s3_server: RunningS3) -> dict[str, str]:
    """The variables that scripts for RunPod's volumes know."""
    client = s3_server.client()
    client.put_object(Bucket=BUCKET, Key=WEIGHTS, Body=b"w" * 2000)
    client.put_object(Bucket=BUCKET, Key=NOTES, Body=b"n")
    return {
        "RUNPOD_ENDPOINT_URL": s3_server.url,
        "RUNPOD_ACCESS_KEY": KEY_ID,
        "RUNPOD_SECRET_ACCESS_KEY": SECRET_KEY,
        "RUNPOD_TRAINING_STORAGE_REGION": "us-east-1",
        "RUNPOD_TRAINING_STORAGE_VOLUME_ID": BUCKET,
        "RUNPOD_S3_PREFIX": "inventory/",
        "COLUMNS": "200",
    }


def test_weights_are_listed_with_their_sum(environment: dict[str, str]) -> None:
    done = CliRunner().invoke(app, ["inventory"], env=environment)

    assert done.exit_code == 0, done.output
    assert WEIGHTS in done.output
    assert NOTES not in done.output
    assert "1 objects, 2.0 kB" in done.output


def test_everything_is_listed_where_asked(environment: dict[str, str]) -> None:
    done = CliRunner().invoke(app, ["inventory", "--all", "--json"], env=environment)

    answer = json.loads(done.stdout)
    assert {one["key"] for one in answer["objects"]} == {WEIGHTS, NOTES}
    assert (answer["count"], answer["total_bytes"]) == (2, 2001)


def test_a_wrong_key_is_told_in_a_sentence(environment: dict[str, str]) -> None:
    wrong = {**environment, "RUNPOD_SECRET_ACCESS_KEY": "not-the-secret"}

    done = CliRunner().invoke(app, ["inventory"], env=wrong)

    assert done.exit_code == 4
    assert f"The bucket {BUCKET} cannot be listed" in done.output
    assert "not-the-secret" not in done.output
