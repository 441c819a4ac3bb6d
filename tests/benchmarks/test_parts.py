"""Large files by parts through the local endpoint, against what that endpoint carries at all."""

from __future__ import annotations

import hashlib
import json
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.benchmarks.report import Report

from lorapod.client import Client
from lorapod.client.serving import serving
from lorapod.endpoint import EndpointConfig

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
LORA_BYTES = 200_000_000
REPLY_BYTES = 18_000_000
ROUNDS = 3

#: What the project promises of the rate at which the endpoint carries replies of that size.
LEAST_SHARE = 0.7

LARGE_BYTES = 2_000_000_000

#: It passes through the worker in less than this on top of what it takes anyway, and through the client in less than
#: that: a few parts, each as bytes, as base64 and as JSON.
MOST_MEMORY_BYTES = 400_000_000
MOST_CLIENT_BYTES = 250_000_000


def config(handler: str, workspace: Path) -> EndpointConfig:
    return EndpointConfig(
        command=[sys.executable, str(ROOT / handler)],
        environment={"WORKSPACE_PATH": str(workspace), "WARM_TRAINER": "false", "OMP_NUM_THREADS": "1"},
    )


def write_noise(path: Path, size_bytes: int) -> str:
    """A file that no compression shortens; answers its sha256."""
    block, digest = random.Random(7).randbytes(1 << 20), hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for number in range(-(-size_bytes // len(block))):
            # The length of a first box and `ftyp` say that it is a video.
            piece = (b"\0\0\0\x18ftyp" + number.to_bytes(8, "big") + block)[
                : min(len(block), size_bytes - file.tell())
            ]
            file.write(piece)
            digest.update(piece)
    return digest.hexdigest()


def test_a_lora_by_parts(tmp_path: Path, report: Report) -> None:
    """At least 0.7 of the rate of raw replies, taken in turn."""
    workspace = tmp_path / "workspace"
    write_noise(workspace / "output/lora.safetensors", LORA_BYTES)
    replies = -(-LORA_BYTES * 4 // 3 // REPLY_BYTES)
    wish = {"type": "raw", "size": LORA_BYTES * 4 // 3 // replies}
    raw_s, parts_s = [], []
    with (
        serving(config("tests/benchmarks/raw_reply_handler.py", workspace)) as bare,
        serving(config("Backend/rp_handler.py", workspace)) as endpoint,
        Client(bare.url) as raw_client,
        Client(endpoint.url) as client,
    ):
        raw_client.runsync(wish | {"size": 1})
        client.call("ping")
        for turn in range(ROUNDS):
            began = time.perf_counter()
            for _ in range(replies):
                assert len(raw_client.runsync(wish).output["data"]) == wish["size"]
            raw_s.append(time.perf_counter() - began)
            began = time.perf_counter()
            client.download("output/lora.safetensors", tmp_path / f"{turn}.safetensors")
            parts_s.append(time.perf_counter() - began)
    raw, parts = statistics.median(raw_s), statistics.median(parts_s)
    report(
        "A LoRA of 200 MB by parts",
        LORA_BYTES / parts / 1e6,
        "MB/s",
        against=f"{replies} raw replies of that size",
        reference=LORA_BYTES / raw / 1e6,
        ratio_at_least=LEAST_SHARE,
    )


def test_two_gigabytes_there_and_back(tmp_path: Path, report: Report) -> None:
    """Byte-identical, and in constant memory on the worker and in a client that is a process of its own.

    The endpoint keeps results for a minute, as RunPod does for longer: no bound on that one.
    """
    workspace, folder, back = tmp_path / "workspace", tmp_path / "mine", tmp_path / "back.mp4"
    sha256 = write_noise(folder / "film.mp4", LARGE_BYTES)
    with serving(config("Backend/rp_handler.py", workspace)) as endpoint, Client(endpoint.url) as client:
        client.call("ping")
        (pid,) = [worker.pid for worker in endpoint.workers if worker.pid]
        idle = psutil.Process(pid).memory_info().rss
        arguments = (endpoint.url, folder, "films", "training_data/films/film.mp4", back)
        argv = [sys.executable, str(ROOT / "tests/benchmarks/large_file_client.py"), *map(str, arguments)]
        told = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
        worker_bytes = _peak_bytes(pid) - idle
    with back.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == sha256
    large = f"{LARGE_BYTES / 1e9:g} GB"
    report(f"{large} up", told["sent_s"], "s")
    report(f"{large} down", told["fetched_s"], "s")
    report("Memory of the client, up", told["up_bytes"] / 1e6, "MB")
    report(
        "Memory of the client, up and down", told["peak_bytes"] / 1e6, "MB", at_most=MOST_CLIENT_BYTES / 1e6
    )
    report("Memory of the worker", worker_bytes / 1e6, "MB", at_most=MOST_MEMORY_BYTES / 1e6)


def _peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
