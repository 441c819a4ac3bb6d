"""`inventory`: what lies in a bucket, RunPod's S3 interface to a network volume among them; asks no worker."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated

import typer

from lorapod.client.bucket import Bucket
from lorapod.client.commands.screen import Screen, size
from lorapod.client.commands.session import AsJson, ExitCode
from lorapod.client.errors import LorapodError
from lorapod.client.http import PooledSender, Timeouts

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
            envvar=["RUNPOD_ENDPOINT_URL", "BUCKET_ENDPOINT_URL", "AWS_ENDPOINT_URL"],
            help="The S3 server; else Amazon's.",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            envvar=["RUNPOD_TRAINING_STORAGE_REGION", "BUCKET_REGION", "AWS_DEFAULT_REGION"],
            help="Its region.",
        ),
    ] = None,
    access_key: Annotated[
        str | None,
        typer.Option(
            envvar=["RUNPOD_ACCESS_KEY", "BUCKET_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"],
            help="Prefer the variable.",
        ),
    ] = None,
    secret_key: Annotated[
        str | None,
        typer.Option(
            envvar=["RUNPOD_SECRET_ACCESS_KEY", "BUCKET_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"],
            show_envvar=True,
            help="Only from the variable: others of this machine can read a command line.",
        ),
    ] = None,
    prefix: Annotated[str, typer.Option(envvar="RUNPOD_S3_PREFIX", help="Only what is below it.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every object, not only weights.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the models in a bucket or on a network volume, with their sizes and the sum."""
    screen = Screen(as_json=as_json)
    try:
        with closing(PooledSender(Timeouts())) as http:
            objects = Bucket(
                bucket,
                http=http,
                endpoint_url=endpoint_url,
                region=region,
                access_key=access_key,
                secret_key=secret_key,
            ).objects(prefix)
            found = [asdict(one) for one in objects if everything or one.key.endswith(WEIGHTS)]
    except LorapodError as error:
        screen.tell_error(LorapodError(f"The bucket {bucket} cannot be listed: {error}"))
        raise typer.Exit(ExitCode.ENDPOINT) from None
    total = sum(one["size_bytes"] for one in found)
    if as_json:
        screen.answer({"objects": found, "count": len(found), "total_bytes": total})
        return
    rows = [(one["key"], size(one["size_bytes"]), one["modified_at"]) for one in found]
    screen.table(("key", "size", "modified"), rows, right=(1,))
    screen.line(f"{len(found)} objects, {size(total)}")
