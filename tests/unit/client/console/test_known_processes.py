"""What the console keeps of processes: summaries and whole ones, and what a list reads of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.known_processes import KnownProcesses

ID = "train_0123456789ab"


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DiskCache]:
    cache = DiskCache(tmp_path)
    yield cache
    cache.close()


@pytest.fixture
def known(cache: DiskCache) -> KnownProcesses:
    return KnownProcesses(cache)


def process(**fields: Any) -> dict[str, Any]:
    started = {"process_id": ID, "type": "train", "status": "running", "created_at": "2026-01-01T00:00:00Z"}
    return {**started, "progress": {"step": 1}, **fields}


def test_a_summary_replaces_what_it_tells_and_keeps_the_rest(known: KnownProcesses) -> None:
    failed = {"code": "internal", "message": "It broke."}
    known.learn(process(status="failed", failure=failed, samples=[{"path": "a", "step": 1}]), whole=True)

    known.learn(process(progress={"step": 2}), whole=False)

    now = known.get(ID)
    assert now is not None
    assert now.whole
    assert now.process["progress"] == {"step": 2}
    assert now.process["samples"]
    # It was resumed: the old failure is over.
    assert "failure" not in now.process


def test_what_only_a_worker_tells_stays_when_the_volume_is_read(known: KnownProcesses) -> None:
    known.learn(process(settings={"rank": 16}, sample_prompts=["a cat"], warnings=["old"]), whole=True)
    known.learn(process(samples=[]), whole=True)

    now = known.get(ID)
    assert now is not None
    assert now.process["settings"] == {"rank": 16}
    assert now.process["sample_prompts"] == ["a cat"]
    assert "warnings" not in now.process


def test_a_list_reads_little_of_a_large_process(known: KnownProcesses, cache: DiskCache) -> None:
    samples = [{"path": f"output/{step}.png", "step": step, "index": 0} for step in range(2000)]
    known.learn(process(samples=samples, log_tail=["x" * 1000] * 200, dataset={"images": 3}), whole=True)
    known.learn_spark(ID, [0.5, 0.25])

    (listed,) = known.all()

    assert listed.process["samples"][-1]["step"] == 1999
    assert listed.spark == [0.5, 0.25]
    assert len(json.dumps(cache.documents("brief"))) < 2_000
    whole = known.get(ID)
    assert whole is not None
    assert len(whole.process["samples"]) == 2000


def test_no_secret_is_kept(known: KnownProcesses, cache: DiskCache) -> None:
    known.learn(process(log_tail=["token: hf_abcdefghijklmnopqrstuvwxyz"]), whole=True)

    assert "hf_abcdefghijklmnopqrstuvwxyz" not in json.dumps(cache.documents("process"))


def test_what_is_forgotten_is_in_no_list(known: KnownProcesses) -> None:
    known.learn(process(), whole=True)
    known.forget(ID)

    assert known.all() == []
    assert known.get(ID) is None
