"""A dataset of many objects: requests, lines of the log, and downloads at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.servers.hub import Repo, running_hub
from tests.servers.s3_server import BUCKET, RunningS3
from tests.servers.supabase_storage import Held, running_supabase

from lorapod.datasets.download import Download
from lorapod.datasets.ledger import FetchLedger
from lorapod.datasets.sources.objects import ObjectSource
from lorapod.storage.huggingface import HubObjects, RepoKind
from lorapod.storage.port import ObjectStore
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3 import S3Objects
from lorapod.storage.supabase import SupabaseObjects

MANY = 600
SOME = 40
#: Most downloads at the same time.
BOUND = 8
RETRIES = RetryBudget(total_s=2, first_wait_s=0.05, longest_wait_s=0.2)


def fetched(store: ObjectStore, folder: Path) -> dict[str, bytes]:
    """Fetch everything, as a dataset is fetched."""
    download = Download(
        source=ObjectSource(store, name="here"),
        folder=folder / "got",
        ledger=FetchLedger(folder / "ledger", folder),
        trigger_word=None,
        fix=False,
        keep_free_bytes=0,
    )
    files = asyncio.run(download.run(lambda _: None))
    return {one.file.path: one.path.read_bytes() for one in files}


def made(count: int) -> dict[str, bytes]:
    return {f"{number:04}.txt": f"a cat, number {number}".encode() for number in range(count)}


@pytest.mark.timeout(120)
def test_each_of_many_objects_costs_one_request_and_no_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running_supabase() as server:
        files = made(MANY)
        server.buckets["loras"] = {f"f/{name}": Held(each, "text/plain", {}) for name, each in files.items()}
        server.downloads_together = 2
        with closing(SupabaseObjects(server.access(), bucket="loras", folder="f", retries=RETRIES)) as store:
            assert fetched(store, tmp_path) == files
        downloads = Counter(path for method, path in server.requests if method == "GET")
        assert len(downloads) == MANY
        assert set(downloads.values()) == {1}
        assert len(server.requests) - MANY < 10
        assert 2 <= server.most_downloads <= BOUND
    assert len(caplog.records) < 10


def test_each_object_in_s3_costs_one_request(
    tmp_path: Path, s3_server: RunningS3, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    files = made(SOME)
    for name, content in files.items():
        s3_server.put(f"{tmp_path.name}/{name}", content)
    sent: list[str] = []
    with closing(
        S3Objects(s3_server.access(), bucket=BUCKET, prefix=tmp_path.name, retries=RETRIES)
    ) as store:

        def note(request: Any, **_: Any) -> None:
            sent.append(request.method)

        store._client.meta.events.register("before-send.s3", note)
        assert fetched(store, tmp_path) == files
    assert len(sent) == SOME + 1
    assert len(caplog.records) < 10


def test_each_file_of_a_repository_costs_one_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    files = made(SOME)
    with running_hub() as server:
        server.repos["someone/cats"] = Repo(private=False, commits=[dict(files)])
        with closing(
            HubObjects(server.access(), repo_id="someone/cats", kind=RepoKind.DATASET, retries=RETRIES)
        ) as store:
            assert fetched(store, tmp_path) == files
        assert len(server.requests) < SOME + 5
    assert len(caplog.records) < 10


def test_a_listed_object_that_changed_is_looked_at_again(tmp_path: Path) -> None:
    with running_supabase() as server:
        server.buckets["loras"] = {"f/a.txt": Held(b"before", "text/plain", {})}
        with closing(SupabaseObjects(server.access(), bucket="loras", folder="f", retries=RETRIES)) as store:
            (listed,) = store.list_objects()
            for now in (b"after!", b"longer than before", b"no"):
                server.buckets["loras"]["f/a.txt"] = Held(now, "text/plain", {})
                stored = store.get_file("a.txt", tmp_path / "a.txt", listed=listed)
                assert (tmp_path / "a.txt").read_bytes() == now
                assert stored == store.stat("a.txt")


def test_a_listed_object_in_s3_that_changed_is_looked_at_again(tmp_path: Path, s3_server: RunningS3) -> None:
    key = f"{tmp_path.name}/a.txt"
    s3_server.put(key, b"before")
    with closing(
        S3Objects(s3_server.access(), bucket=BUCKET, prefix=tmp_path.name, retries=RETRIES)
    ) as store:
        (listed,) = store.list_objects()
        s3_server.put(key, b"after!")
        store.get_file("a.txt", tmp_path / "a.txt", listed=listed)
        assert (tmp_path / "a.txt").read_bytes() == b"after!"
