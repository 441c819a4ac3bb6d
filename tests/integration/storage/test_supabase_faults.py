"""The Supabase store, when things go wrong; against a stand-in that behaves as the real server was seen to."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from tests.servers.flaky_proxy import flaky_proxy
from tests.servers.supabase_storage import SERVICE_KEY, Held, SupabaseStandIn, running_supabase

from lorapod.errors import InvalidInput, TooLarge, WorkerError
from lorapod.storage.port import StoreRefused, StoreUnavailable
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.supabase import SupabaseObjects
from lorapod.storage.supabase_resumable import CHUNK_BYTES

RETRIES = RetryBudget(total_s=5, first_wait_s=0.05, longest_wait_s=0.2)


@pytest.fixture
def server() -> Iterator[SupabaseStandIn]:
    with running_supabase() as server:
        server.buckets["loras"] = {}
        yield server


@pytest.fixture
def store(server: SupabaseStandIn) -> Iterator[SupabaseObjects]:
    with closing(SupabaseObjects(server.access(), bucket="loras", folder="f", retries=RETRIES)) as store:
        yield store


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(random.Random(3).randbytes(4 * CHUNK_BYTES + 5))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.bin"
    path.write_bytes(b"content")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_entry_is_listed_beyond_the_servers_cap(
    server: SupabaseStandIn, store: SupabaseObjects
) -> None:
    for number in range(3200):
        server.buckets["loras"][f"f/cats/{number:05}.txt"] = Held(b"x", "text/plain", {})
    assert len({one.key for one in store.list_objects()}) == 3200
    assert len(list(store.list_objects("cats/0000"))) == 10


def test_a_large_file_goes_over_the_resumable_endpoint(
    server: SupabaseStandIn, store: SupabaseObjects, small: Path, source: Path
) -> None:
    store.put_file(small, "small.bin")
    assert server.chunks == 0
    store.put_file(source, "large.bin", content_type="application/x-lora", sha256=sha256(source))
    assert server.chunks == 5
    held = server.buckets["loras"]["f/large.bin"]
    assert (held.content_type, held.metadata) == ("application/x-lora", {"sha256": sha256(source)})


def test_an_upload_goes_on_from_the_offset_that_the_server_kept(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path
) -> None:
    server.break_chunks = {1, 3, 5}
    store.put_file(source, "a.bin")
    assert server.chunks == 5, "a chunk that had come was sent again"
    assert len(server.uploads) == 1
    assert server.buckets["loras"]["f/a.bin"].content == source.read_bytes()


def test_an_upload_that_the_server_forgot_is_begun_again(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path
) -> None:
    forgotten = False

    def forget(done: int) -> None:
        nonlocal forgotten
        if not forgotten:
            forgotten = True
            server.uploads.clear()

    store.put_file(source, "a.bin", progress=forget)
    assert server.buckets["loras"]["f/a.bin"].content == source.read_bytes()


def test_connections_are_reset_on_the_way(server: SupabaseStandIn, source: Path, tmp_path: Path) -> None:
    with flaky_proxy(server.port) as proxy:
        access = server.access(port=proxy.port)
        with closing(SupabaseObjects(access, bucket="loras", retries=RETRIES)) as store:
            proxy.reset(4, after_bytes=2_000_000)
            store.put_file(source, "a.bin", sha256=sha256(source))
        with closing(SupabaseObjects(access, bucket="loras", retries=RETRIES)) as store:
            proxy.reset(4, after_bytes=3_000_000)
            store.get_file("a.bin", tmp_path / "target.bin")
        assert proxy.harmed == 8
    assert sha256(tmp_path / "target.bin") == sha256(source)


def test_a_broken_download_goes_on_where_it_was(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path, tmp_path: Path
) -> None:
    store.put_file(source, "a.bin")
    server.break_downloads, server.break_after = 3, 5_000_000
    seen: list[int] = []
    store.get_file("a.bin", tmp_path / "target.bin", progress=seen.append)
    assert seen == sorted(seen), "what had come was fetched again"
    assert sha256(tmp_path / "target.bin") == sha256(source)


@pytest.mark.parametrize("fault", [web.HTTPTooManyRequests, web.HTTPBadGateway, web.HTTPServiceUnavailable])
def test_it_comes_back_later_when_asked_to(
    server: SupabaseStandIn,
    store: SupabaseObjects,
    small: Path,
    tmp_path: Path,
    fault: type[web.HTTPException],
) -> None:
    server.faults = [fault() for _ in range(3)]
    store.put_file(small, "a.bin")
    server.faults = [fault() for _ in range(3)]
    store.get_file("a.bin", tmp_path / "target.bin")
    server.faults = [fault() for _ in range(3)]
    assert [one.key for one in store.list_objects()] == ["a.bin"]
    assert server.faults == []
    assert (tmp_path / "target.bin").read_bytes() == b"content"


def test_a_server_that_is_away_and_comes_back(small: Path) -> None:
    server = SupabaseStandIn()
    server.buckets["loras"] = {}
    with server.running():
        store = SupabaseObjects(server.access(), bucket="loras", retries=RETRIES)
        store.put_file(small, "a.bin")
    few_retries = RetryBudget(total_s=0.1, first_wait_s=0.05, longest_wait_s=0.05)
    with (
        closing(SupabaseObjects(server.access(), bucket="loras", retries=few_retries)) as other,
        pytest.raises(StoreUnavailable, match="did not answer"),
    ):
        other.put_file(small, "b.bin")
    with server.running(), closing(store):
        store.put_file(small, "b.bin")
        assert sorted(one.key for one in store.list_objects()) == ["a.bin", "b.bin"]


def test_a_wrong_key_is_refused_at_once(server: SupabaseStandIn, small: Path, source: Path) -> None:
    begun = time.monotonic()
    with closing(SupabaseObjects(server.access(key="wrong"), bucket="loras", retries=RETRIES)) as store:
        for path in (small, source):
            with pytest.raises(StoreRefused, match="refuses access") as caught:
                store.put_file(path, "a.bin")
            assert "SUPABASE_SERVICE_KEY" in caught.value.hint
    assert time.monotonic() - begun < 3


def test_a_large_file_replaces_the_one_that_is_there(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path
) -> None:
    store.put_file(source, "a.bin", sha256=sha256(source))
    source.write_bytes(source.read_bytes()[::-1])
    server.break_chunks = {7, 10}
    assert store.put_file(source, "a.bin", sha256=sha256(source)).sha256 == sha256(source)
    assert server.buckets["loras"]["f/a.bin"].content == source.read_bytes()


def test_a_conflict_that_is_not_about_the_offset_is_refused_at_once(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path
) -> None:
    def somebody_is_faster(_: int) -> None:
        server.buckets["loras"]["f/a.bin"] = Held(b"theirs", "text/plain", {})
        server.may_replace = False

    with pytest.raises(StoreRefused, match="already exists") as caught:
        store.put_file(source, "a.bin", progress=somebody_is_faster)
    assert "replace" in caught.value.hint
    assert [method for method, _ in server.requests] == ["POST", "PATCH", "PATCH"]


@pytest.mark.parametrize("size", ["small", "source"])
@pytest.mark.parametrize(
    "refusal",
    [
        ("b\u00fccher.bin", {}, InvalidInput, "does not accept the name", "Latin letters"),
        ("a#.bin", {}, InvalidInput, "does not accept the name", "Latin letters"),
        (
            "a.bin",
            {"file_size_limit": 3},
            TooLarge,
            "does not accept a file of the size",
            "upload size limit",
        ),
        (
            "a.bin",
            {"refused_types": {"application/x-lora"}},
            StoreRefused,
            "content type",
            "MIME types",
        ),
        ("a.bin", {"may_replace": False}, StoreRefused, "already exists", "replace"),
    ],
)
def test_what_is_refused_is_told_in_a_sentence_of_its_own(
    server: SupabaseStandIn,
    store: SupabaseObjects,
    request: pytest.FixtureRequest,
    size: str,
    refusal: tuple[str, dict[str, Any], type[WorkerError], str, str],
) -> None:
    name, limits, error, sentence, hint = refusal
    server.buckets["loras"]["f/a.bin"] = Held(b"theirs", "text/plain", {})
    vars(server).update(limits)
    with pytest.raises(error, match=sentence) as caught:
        store.put_file(request.getfixturevalue(size), name, content_type="application/x-lora")
    assert hint in caught.value.hint
    assert len(server.requests) == 1


@pytest.mark.parametrize("there", ["nothing", "the same size"])
def test_an_upload_that_ended_without_its_object_is_begun_again(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path, there: str
) -> None:
    if there != "nothing":
        old = Held(bytes(source.stat().st_size), "text/plain", {"sha256": "0" * 64})
        server.buckets["loras"]["f/a.bin"] = old
    server.lost_ends = 1
    store.put_file(source, "a.bin", sha256=sha256(source))
    assert server.buckets["loras"]["f/a.bin"].content == source.read_bytes()


def test_an_object_that_stays_the_old_one_is_no_success(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path
) -> None:
    old = Held(bytes(source.stat().st_size), "text/plain", {"sha256": "0" * 64})
    server.buckets["loras"]["f/a.bin"] = old
    server.lost_ends = 99
    with pytest.raises(StoreUnavailable, match="not what was uploaded"):
        store.put_file(source, "a.bin", sha256=sha256(source))


def test_an_empty_folder_is_told_from_a_bucket_that_does_not_exist(
    server: SupabaseStandIn, store: SupabaseObjects
) -> None:
    assert list(store.list_objects()) == []
    del server.buckets["loras"]
    with pytest.raises(StoreRefused, match="no Supabase bucket 'loras'"):
        list(store.list_objects())


def test_a_bucket_that_is_not_there(server: SupabaseStandIn, small: Path, source: Path) -> None:
    with closing(SupabaseObjects(server.access(), bucket="other", retries=RETRIES)) as store:
        for path in (small, source):
            with pytest.raises(StoreRefused, match="no Supabase bucket 'other'"):
                store.put_file(path, "a.bin")
        with pytest.raises(StoreRefused, match="other"):
            list(store.list_objects())


def test_a_name_that_the_server_does_not_take(store: SupabaseObjects, small: Path) -> None:
    with pytest.raises(InvalidInput, match="does not accept the name"):
        store.put_file(small, "bücher.bin")


@pytest.mark.timeout(30)
@pytest.mark.parametrize("size", [3, 3 * CHUNK_BYTES, 9 * CHUNK_BYTES])
def test_an_object_that_changes_between_a_look_and_its_download_is_looked_at_again(
    server: SupabaseStandIn, store: SupabaseObjects, source: Path, tmp_path: Path, size: int
) -> None:
    store.put_file(source, "a.bin")
    changed = random.Random(4).randbytes(size)

    def change() -> None:
        server.buckets["loras"]["f/a.bin"] = Held(changed, "text/plain", {})

    server.break_downloads, server.break_after = 1, 4 * CHUNK_BYTES
    server.before_downloads = [lambda: None, change]
    store.get_file("a.bin", tmp_path / "target.bin")
    assert (tmp_path / "target.bin").read_bytes() == changed


def test_a_signed_address_expires(store: SupabaseObjects, small: Path) -> None:
    store.put_file(small, "a.bin")
    address = store.url_for("a.bin", expires_s=1)
    assert SERVICE_KEY not in address
    assert httpx.get(address).content == b"content"
    deadline = time.monotonic() + 10
    while httpx.get(address).is_success:
        assert time.monotonic() < deadline
        time.sleep(0.1)
