"""What every object store must do, run against each of them."""

from __future__ import annotations

import hashlib
import random
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.servers.hub import TOKEN, running_hub
from tests.servers.s3_server import BUCKET, SECRET_KEY, RunningS3
from tests.servers.supabase_storage import SERVICE_KEY, running_supabase

from lorapod.errors import InvalidInput, NotFound, Unsupported, UpstreamError
from lorapod.storage.huggingface import HubObjects
from lorapod.storage.local import LocalObjects
from lorapod.storage.port import ObjectStore, UrlUse
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3 import S3Objects
from lorapod.storage.supabase import SupabaseObjects
from lorapod.testing.objects import MemoryObjects

# huggingface_hub calls its own HTTP library in a way that this calls old.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

#: Above the sizes at which S3 and Supabase begin to upload in parts.
LARGE_BYTES = 20 * 1024 * 1024 + 3
RETRIES = RetryBudget(total_s=5, first_wait_s=0.1, longest_wait_s=0.5)
SECRETS = (SECRET_KEY, SERVICE_KEY, TOKEN)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place that stores can be opened at, in which nothing lies yet."""

    open: Callable[[], ObjectStore]
    #: Whether it gives signed addresses; None: it does, and nothing answers there.
    signs: bool | None = False
    #: Whether it keeps the `sha256` that it is told.
    keeps_sha256: bool = True
    keeps_time: bool = True
    #: Characters of names that it refuses.
    refuses: frozenset[str] = frozenset()


def memory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    store = MemoryObjects()
    yield Place(open=lambda: store, signs=None)


def local(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield Place(open=lambda: LocalObjects(tmp_path / "store"), keeps_sha256=False)


def s3(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    server: RunningS3 = request.getfixturevalue("s3_server")
    prefix = f"{secrets.token_hex(6)}/prefix"
    opened: list[S3Objects] = []

    def opening() -> ObjectStore:
        opened.append(S3Objects(server.access(), bucket=BUCKET, prefix=prefix, retries=RETRIES))
        return opened[-1]

    # Beside the prefix, and never to be seen.
    server.put(f"{prefix}-else/a.txt", b"else")
    yield Place(open=opening, signs=True)
    for store in opened:
        store.close()


def supabase(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    opened: list[SupabaseObjects] = []
    with running_supabase() as server:
        server.buckets["loras"] = {}

        def opening() -> ObjectStore:
            opened.append(
                SupabaseObjects(server.access(), bucket="loras", folder="some/prefix", retries=RETRIES)
            )
            return opened[-1]

        yield Place(open=opening, signs=True, refuses=frozenset("#%[]"))
        for store in opened:
            store.close()


def huggingface(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    opened: list[HubObjects] = []
    with running_hub() as server:

        def opening() -> ObjectStore:
            opened.append(
                HubObjects(server.access(), repo_id="someone/cat-lora", create_private=True, retries=RETRIES)
            )
            return opened[-1]

        # It keeps the digest that it takes itself, never the caller's word.
        yield Place(open=opening, keeps_time=False, keeps_sha256=False)
        for store in opened:
            store.close()


PLACES = {"memory": memory, "local": local, "s3": s3, "supabase": supabase, "huggingface": huggingface}


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from PLACES[request.param](request, tmp_path)


@pytest.fixture
def store(place: Place) -> ObjectStore:
    return place.open()


def made(path: Path, size: int, seed: int = 1) -> Path:
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("size", [0, 1, 5000, LARGE_BYTES])
def test_what_is_put_comes_back(place: Place, tmp_path: Path, size: int) -> None:
    source, seen = made(tmp_path / "source.bin", size), list[int]()
    stored = place.open().put_file(source, "a/b/c.safetensors", progress=seen.append)
    assert (stored.key, stored.size_bytes) == ("a/b/c.safetensors", size)
    assert seen == sorted(seen)
    assert seen[-1:] in ([size], [] if size == 0 else [size])
    target, fetched = tmp_path / "target.bin", list[int]()
    assert place.open().get_file("a/b/c.safetensors", target, progress=fetched.append) == place.open().stat(
        "a/b/c.safetensors"
    )
    assert sha256(target) == sha256(source)
    assert fetched == sorted(fetched)
    assert fetched[-1:] in ([size], [] if size == 0 else [size])
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["source.bin", "target.bin"]


def test_the_description_of_an_object(place: Place, tmp_path: Path) -> None:
    store, source = place.open(), made(tmp_path / "source.bin", 100)
    assert store.stat("a.bin") is None
    put = store.put_file(source, "a.bin", sha256=sha256(source))
    found = place.open().stat("a.bin")
    assert found == put
    assert found is not None
    assert found.size_bytes == 100
    assert (found.modified_at is not None) == place.keeps_time
    if found.modified_at is not None:
        assert found.modified_at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - found.modified_at) < timedelta(minutes=1)
    if place.keeps_sha256:
        assert found.sha256 == sha256(source)


def test_putting_again_replaces(store: ObjectStore, tmp_path: Path) -> None:
    first = store.put_file(made(tmp_path / "source.bin", 100, seed=1), "a.bin")
    source = made(tmp_path / "source.bin", 100, seed=2)
    second = store.put_file(source, "a.bin")
    assert first.etag != second.etag
    store.get_file("a.bin", tmp_path / "target.bin")
    assert sha256(tmp_path / "target.bin") == sha256(source)
    assert len(list(store.list_objects())) == 1


def test_getting_replaces_the_file_that_was_there(store: ObjectStore, tmp_path: Path) -> None:
    source = made(tmp_path / "source.bin", 100)
    store.put_file(source, "a.bin")
    (tmp_path / "target.bin").write_bytes(b"what was there before, and longer than the object" * 10)
    store.get_file("a.bin", tmp_path / "target.bin")
    assert sha256(tmp_path / "target.bin") == sha256(source)


def test_what_is_not_there(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"a/b\.bin"):
        store.get_file("a/b.bin", tmp_path / "target.bin")
    assert list(tmp_path.glob("*target*")) == []
    assert store.stat("a/b.bin") is None
    assert list(store.list_objects()) == []
    store.delete("a/b.bin")


def test_a_source_that_is_missing(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.put_file(tmp_path / "nothing.bin", "a.bin")
    assert store.stat("a.bin") is None


def test_deleting(store: ObjectStore, tmp_path: Path) -> None:
    source = made(tmp_path / "source.bin", 10)
    for key in ("a/b.bin", "a/c.bin"):
        store.put_file(source, key)
    store.delete("a/b.bin")
    assert store.stat("a/b.bin") is None
    assert [found.key for found in store.list_objects()] == ["a/c.bin"]
    store.delete("a/b.bin")


def test_listing(store: ObjectStore, tmp_path: Path) -> None:
    source = made(tmp_path / "source.bin", 10)
    keys = ["a.txt", "cats/1.png", "cats/1.txt", "cats/more/2.png", "cats-else/3.png", "dogs/more/4.png"]
    for key in keys:
        store.put_file(source, key)

    def listed(prefix: str) -> list[str]:
        return sorted(found.key for found in store.list_objects(prefix))

    assert listed("") == sorted(keys)
    assert listed("cats/") == ["cats/1.png", "cats/1.txt", "cats/more/2.png"]
    assert listed("cats") == ["cats-else/3.png", "cats/1.png", "cats/1.txt", "cats/more/2.png"]
    assert listed("cats/more/2") == ["cats/more/2.png"]
    assert listed("cows/") == []
    one = next(iter(store.list_objects("a")))
    described = store.stat("a.txt")
    assert described is not None
    assert (one.size_bytes, one.etag) == (10, described.etag)


@pytest.mark.parametrize(
    "key",
    [
        "with space.txt",
        "a (1)+2&c=d;e,f'g!h$i@j?k.txt",
        "100% (1)+[2]&c=d.txt",
        "percent%20code.txt",
        "Sub Folder/x_y-z.safetensors",
        "a#b?c.txt",
    ],
)
def test_keys_mean_themselves(place: Place, tmp_path: Path, key: str) -> None:
    store, source = place.open(), made(tmp_path / "source.bin", 10)
    if place.refuses.intersection(key):
        with pytest.raises(InvalidInput, match="does not accept the name"):
            store.put_file(source, key)
        assert list(store.list_objects()) == []
        return
    store.put_file(source, key)
    assert [found.key for found in store.list_objects()] == [key]
    assert store.stat(key) is not None
    store.get_file(key, tmp_path / "target.bin")
    assert sha256(tmp_path / "target.bin") == sha256(source)
    store.delete(key)
    assert list(store.list_objects()) == []


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.", "a\\b", "a\nb", "a\0b", "k" * 1025]
)
def test_keys_that_are_refused(store: ObjectStore, tmp_path: Path, key: str) -> None:
    source = made(tmp_path / "source.bin", 10)
    calls: list[Callable[[], object]] = [
        lambda: store.put_file(source, key),
        lambda: store.get_file(key, tmp_path / "target.bin"),
        lambda: store.stat(key),
        lambda: store.url_for(key, expires_s=5),
        lambda: store.delete(key),
    ]
    for call in calls:
        with pytest.raises(InvalidInput):
            call()
    assert list(store.list_objects()) == []


def test_several_threads_share_a_store(store: ObjectStore, tmp_path: Path) -> None:
    def both_ways(number: int) -> bool:
        source = made(tmp_path / f"source-{number}.bin", 200_000, seed=number)
        target = tmp_path / f"target-{number}.bin"
        store.put_file(source, f"many/{number}.bin")
        store.get_file(f"many/{number}.bin", target)
        return sha256(source) == sha256(target)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(both_ways, range(16)))
    assert len(list(store.list_objects("many/"))) == 16


def test_what_progress_raises_ends_the_transfer(store: ObjectStore, tmp_path: Path) -> None:
    class Cancelled(Exception):
        pass

    def stop(done: int) -> None:
        raise Cancelled

    source = made(tmp_path / "source.bin", LARGE_BYTES)
    store.put_file(source, "a.bin")
    with pytest.raises(Cancelled):
        store.get_file("a.bin", tmp_path / "target.bin", progress=stop)
    assert not (tmp_path / "target.bin").exists()
    store.get_file("a.bin", tmp_path / "target.bin")
    assert sha256(tmp_path / "target.bin") == sha256(source)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_signed_address_needs_no_credentials(place: Place, tmp_path: Path) -> None:
    store, source = place.open(), made(tmp_path / "source.bin", 5000)
    store.put_file(source, "a b/c+d.bin")
    if place.signs is False:
        with pytest.raises(Unsupported):
            store.url_for("a b/c+d.bin", expires_s=60)
        return
    if place.signs is None:
        assert httpx.URL(store.url_for("a b/c+d.bin", expires_s=60)).path == "/a b/c+d.bin"
        return
    answer = httpx.get(store.url_for("a b/c+d.bin", expires_s=60))
    assert answer.status_code == 200
    assert answer.content == source.read_bytes()
    address = store.url_for("new/put.bin", expires_s=60, use=UrlUse.PUT)
    assert httpx.put(address, content=source.read_bytes()).is_success
    store.get_file("new/put.bin", tmp_path / "target.bin")
    assert sha256(tmp_path / "target.bin") == sha256(source)
    assert not any(secret in address for secret in SECRETS)


def test_the_wrong_content_is_never_handed_over(place: Place, tmp_path: Path) -> None:
    source = made(tmp_path / "source.bin", 100)
    store = place.open()
    store.put_file(source, "a.txt", sha256=hashlib.sha256(b"something else").hexdigest())
    if not place.keeps_sha256:
        store.get_file("a.txt", tmp_path / "target.bin")
        return
    with pytest.raises(UpstreamError, match="sha256"):
        store.get_file("a.txt", tmp_path / "target.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["source.bin"]
