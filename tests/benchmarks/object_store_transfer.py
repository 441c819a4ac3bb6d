"""Moves one file to and from an S3 server in a process of its own, and says how long it took and what memory it held.

Called with a JSON object: client (ours, boto3, obstore), url, key_id, secret_key, bucket, path, rounds.
"""

from __future__ import annotations

import filecmp
import gc
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Move = Callable[[Path, str], object]


def ours(order: dict[str, Any]) -> tuple[Move, Move]:
    from pydantic import SecretStr

    from lorapod.storage.retry_budget import RetryBudget
    from lorapod.storage.s3 import S3Objects
    from lorapod.storage.s3_access import S3Access

    access = S3Access(
        key_id=order["key_id"], secret_key=SecretStr(order["secret_key"]), endpoint_url=order["url"]
    )
    store = S3Objects(access, bucket=order["bucket"], retries=RetryBudget())
    return store.put_file, lambda path, key: store.get_file(key, path)


def boto3(order: dict[str, Any]) -> tuple[Move, Move]:
    import boto3 as library

    client = library.session.Session().client(
        "s3",
        endpoint_url=order["url"],
        region_name="us-east-1",
        aws_access_key_id=order["key_id"],
        aws_secret_access_key=order["secret_key"],
    )
    bucket = order["bucket"]
    return (
        lambda path, key: client.upload_file(str(path), bucket, key),
        lambda path, key: client.download_file(bucket, key, str(path)),
    )


def obstore(order: dict[str, Any]) -> tuple[Move, Move]:
    import obstore as library
    from obstore.store import S3Store

    store = S3Store(
        order["bucket"],
        endpoint=order["url"],
        region="us-east-1",
        access_key_id=order["key_id"],
        secret_access_key=order["secret_key"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )

    def get(path: Path, key: str) -> None:
        with path.open("wb") as file:
            for chunk in library.get(store, key).stream(min_chunk_size=8 << 20):
                file.write(chunk)

    return lambda path, key: library.put(store, key, path, chunk_size=8 << 20, max_concurrency=12), get


def memory_bytes(field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def measured(move: Move, path: Path, key: str) -> tuple[float, int]:
    gc.collect()
    base = memory_bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    begun = time.perf_counter()
    move(path, key)
    return time.perf_counter() - begun, memory_bytes("VmHWM") - base


def main() -> None:
    lines = iter(sys.stdin)
    order = json.loads(next(lines))
    put, get = {"ours": ours, "boto3": boto3, "obstore": obstore}[order["client"]](order)
    small = Path(order["path"])
    small.write_bytes(b"warm")
    put(small, "warm")
    get(small, "warm")
    say("ready")
    for line in lines:
        order = json.loads(line)
        path = Path(order["path"])
        target = path.with_suffix(f".{order['key']}")
        up_s, up_bytes = measured(put, path, order["key"])
        cold_s, cold_bytes = measured(get, target, order["key"])
        target.unlink()
        down_s, down_bytes = measured(get, target, order["key"])
        same = filecmp.cmp(path, target, shallow=False)
        target.unlink()
        times = {"up_s": up_s, "cold_s": cold_s, "down_s": down_s}
        say({**times, "up_bytes": up_bytes, "cold_bytes": cold_bytes, "down_bytes": down_bytes, "same": same})


def say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
