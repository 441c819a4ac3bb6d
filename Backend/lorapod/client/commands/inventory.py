"""`inventory`: list a bucket or a RunPod network volume over S3, without a worker."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import Annotated, Any

import typer

from lorapod.client.bucket import Bucket
from lorapod.client.commands.screen import Screen, size
from lorapod.client.commands.session import AsJson, ExitCode
from lorapod.client.errors import LorapodError
from lorapod.client.http import PooledSender, Timeouts

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")


BucketOption = Annotated[
    str,
    typer.Option(
        envvar=["RUNPOD_TRAINING_STORAGE_VOLUME_ID", "BUCKET_NAME"],
        help="Id of the network volume, or name of the bucket.",
    ),
]
EndpointUrlOption = Annotated[
    str | None,
    typer.Option(
        envvar=["RUNPOD_ENDPOINT_URL", "BUCKET_ENDPOINT_URL", "AWS_ENDPOINT_URL"],
        help="URL of the S3 server. Default: Amazon's.",
    ),
]
RegionOption = Annotated[
    str | None,
    typer.Option(
        envvar=["RUNPOD_TRAINING_STORAGE_REGION", "BUCKET_REGION", "AWS_DEFAULT_REGION"],
        help="Region of the bucket.",
    ),
]
AccessKeyOption = Annotated[
    str | None,
    typer.Option(
        envvar=["RUNPOD_ACCESS_KEY", "BUCKET_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"],
        help="Access key. Set the variable instead of the option.",
    ),
]
SecretKeyOption = Annotated[
    str | None,
    typer.Option(
        envvar=["RUNPOD_SECRET_ACCESS_KEY", "BUCKET_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"],
        show_envvar=True,
        help="Secret key. Set the variable instead of the option: other users of this machine can read a "
        "command line.",
    ),
]
PrefixOption = Annotated[
    str, typer.Option(envvar="RUNPOD_S3_PREFIX", help="List only keys that begin with this.")
]
EverythingOption = Annotated[bool, typer.Option("--all", help="List every object, not only model weights.")]


def inventory(
    *,
    bucket: BucketOption,
    endpoint_url: EndpointUrlOption = None,
    region: RegionOption = None,
    access_key: AccessKeyOption = None,
    secret_key: SecretKeyOption = None,
    prefix: PrefixOption = "",
    everything: EverythingOption = False,
    as_json: AsJson = False,
) -> None:
    """List the models in a bucket or on a network volume, with their sizes and the total."""
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
        screen.error(LorapodError(f"The bucket {bucket} cannot be listed: {error}"))
        raise typer.Exit(ExitCode.ENDPOINT) from None
    _print(found, screen)


def _print(found: list[dict[str, Any]], screen: Screen) -> None:
    total = sum(one["size_bytes"] for one in found)
    if screen.as_json:
        screen.answer({"objects": found, "count": len(found), "total_bytes": total})
        return
    rows = [(one["key"], size(one["size_bytes"]), one["modified_at"]) for one in found]
    screen.table(("key", "size", "modified"), rows, right=(1,), whole=(0, 2))
    screen.line(f"{len(found)} objects, {size(total)}")
