"""`inventory`: what lies in a bucket, RunPod's S3 interface to a network volume among them; asks no worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorapod.client.commands.screen import Screen, size
from lorapod.client.commands.session import AsJson, ExitCode
from lorapod.client.errors import LorapodError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")


def inventory(
    *,
    bucket: Annotated[
        str,
        typer.Option(
            envvar=["RUNPOD_TRAINING_STORAGE_VOLUME_ID", "BUCKET_NAME"], help="Volume id, or bucket."
        ),
    ],
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            envvar=["RUNPOD_ENDPOINT_URL", "BUCKET_ENDPOINT_URL"], help="The S3 server; else Amazon's."
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(envvar=["RUNPOD_TRAINING_STORAGE_REGION", "BUCKET_REGION"], help="Its region."),
    ] = None,
    access_key: Annotated[
        str | None,
        typer.Option(envvar=["RUNPOD_ACCESS_KEY", "BUCKET_ACCESS_KEY_ID"], help="Prefer the variable."),
    ] = None,
    secret_key: Annotated[
        str | None,
        typer.Option(
            envvar=["RUNPOD_SECRET_ACCESS_KEY", "BUCKET_SECRET_ACCESS_KEY"],
            show_envvar=True,
            help="Only from the variable: others of this machine can read a command line.",
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(envvar="RUNPOD_S3_PREFIX", help="Only what is below it.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every object, not only weights.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models in a bucket or on a network volume, with their sizes and the sum."""
    from botocore.exceptions import BotoCoreError, ClientError

    screen = Screen(as_json=as_json)
    try:
        client = _client(endpoint_url, region, access_key, secret_key)
        found = [
            one for one in _objects(client, bucket, prefix) if everything or one["key"].endswith(WEIGHTS)
        ]
    except (BotoCoreError, ClientError) as error:
        screen.tell_error(LorapodError(f"The bucket {bucket} cannot be listed: {error}"))
        raise typer.Exit(ExitCode.ENDPOINT) from None
    total = sum(one["size_bytes"] for one in found)
    if as_json:
        screen.answer({"objects": found, "count": len(found), "total_bytes": total})
        return
    rows = [(one["key"], size(one["size_bytes"]), one["modified_at"]) for one in found]
    screen.table(("key", "size", "modified"), rows, right=(1,))
    screen.line(f"{len(found)} objects, {size(total)}")


def _client(
    endpoint_url: str | None, region: str | None, access_key: str | None, secret_key: str | None
) -> S3Client:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )


def _objects(client: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            yield {
                "key": one["Key"],
                "size_bytes": one["Size"],
                "modified_at": one["LastModified"].isoformat(),
            }
