"""200 MB to and from a real S3 server: the S3 store, boto3's transfer manager and obstore, in turn in the same run.

`cold` is the first download after an upload, `down` the second. Held to the bound are `up` and `down`; a cold download
of the S3 store is one stream and falls behind the transfer manager's ten on a server that reads ahead for none.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.benchmarks.report import Report
from tests.servers.s3_server import BUCKET, KEY_ID, SECRET_KEY, RunningS3

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(600)]

FILE_BYTES = 200_000_000
ROUNDS = 6

#: What the project promises: this share of the speed of boto3's transfer manager, this much memory above the base.
LEAST_SPEED_RATIO = 0.9
MOST_MEMORY_BYTES = 120_000_000

SCRIPT = Path(__file__).with_name("object_store_transfer.py")


class Mover:
    """One client, in a process of its own."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen
        self.seen: list[dict[str, Any]] = []

    def ask(self, order: dict[str, Any]) -> Any:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.write(json.dumps(order) + "\n")
        self._popen.stdin.flush()
        return json.loads(self._popen.stdout.readline())

    def rate(self, way: str) -> float:
        """Of the fastest round, in MB/s: the server writes to a disk that others use too."""
        fastest: float = min(one[f"{way}_s"] for one in self.seen)
        return FILE_BYTES / 1e6 / fastest

    def peak(self, way: str) -> int:
        peak: int = max(one[f"{way}_bytes"] for one in self.seen)
        return peak


@contextmanager
def mover(client: str, server: RunningS3, path: Path) -> Iterator[Mover]:
    with subprocess.Popen(
        [sys.executable, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as popen:
        one = Mover(popen)
        order = {
            "client": client,
            "url": server.url,
            "key_id": KEY_ID,
            "secret_key": SECRET_KEY,
            "bucket": BUCKET,
        }
        assert one.ask({**order, "path": str(path.with_name(client))}) == "ready"
        yield one
        assert popen.stdin is not None
        popen.stdin.close()


def test_speed_and_memory(s3_server: RunningS3, tmp_path: Path, report: Report) -> None:
    path = tmp_path / "lora.bin"
    path.write_bytes(os.urandom(FILE_BYTES))
    clients = ["ours", "boto3"]
    if importlib.util.find_spec("obstore"):  # no dependency: `pip install obstore` to compare it again
        clients.append("obstore")
    with ExitStack() as stack:
        movers = {client: stack.enter_context(mover(client, s3_server, path)) for client in clients}
        for turn in range(ROUNDS):
            # Whoever comes first meets the server still busy with the last one's data: each is first in turn.
            for client in clients[turn % len(clients) :] + clients[: turn % len(clients)]:
                one = movers[client]
                one.seen.append(one.ask({"path": str(path), "key": client}))
                assert one.seen[-1]["same"]
    ways = {"up": "Upload to S3", "cold": "First download from S3", "down": "Further downloads from S3"}
    for client, one in movers.items():
        if client == "ours":
            continue
        for way, what in ways.items():
            report(
                f"{what}",
                movers["ours"].rate(way),
                "MB/s",
                against=client,
                reference=one.rate(way),
                ratio_at_least=LEAST_SPEED_RATIO if client == "boto3" and way != "cold" else None,
            )
    for way, what in ways.items():
        report(
            f"{what}, memory",
            movers["ours"].peak(way) / 1e6,
            "MB",
            against="boto3",
            reference=movers["boto3"].peak(way) / 1e6,
            at_most=MOST_MEMORY_BYTES / 1e6,
        )
