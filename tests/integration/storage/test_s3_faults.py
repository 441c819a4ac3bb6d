"""The S3 store on a real server, when things go wrong."""

from __future__ import annotations

import hashlib
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from tests.servers.flaky_proxy import FlakyProxy, flaky_proxy
from tests.servers.s3_server import BUCKET, SECRET_KEY, RunningS3, running_s3

from lorapod.storage.mirror.artifact import MirroredRun
from lorapod.storage.mirror.ledger import UploadLedger
from lorapod.storage.mirror.mirror import Mirror
from lorapod.storage.orphans import ORPHAN_AGE
from lorapod.storage.port import StoredObject, StoreRefused, StoreUnavailable, UrlUse
from lorapod.storage.retry_budget import RetryBudget
from lorapod.storage.s3 import S3Objects
from lorapod.testing.clock import FakeClock
from lorapod.wire.dataset import S3Prefix
from lorapod.wire.storage import UploadTargets

FILE_BYTES = 40 * 1024 * 1024 + 7
RETRIES = RetryBudget(total_s=40, first_wait_s=0.05, longest_wait_s=0.5)
FEW_RETRIES = RetryBudget(total_s=0.2, first_wait_s=0.1, longest_wait_s=0.1)


@contextmanager
def opened(
    server: RunningS3,
    *,
    port: int | None = None,
    bucket: str = BUCKET,
    prefix: str = "",
    secret_key: str = SECRET_KEY,
    retries: RetryBudget = RETRIES,
) -> Iterator[S3Objects]:
    access = server.access(port=port, secret_key=secret_key)
    with closing(S3Objects(access, bucket=bucket, prefix=prefix, retries=retries)) as store:
        yield store


@pytest.fixture
def prefix() -> str:
    return secrets.token_hex(6)


@pytest.fixture
def proxy(s3_server: RunningS3) -> Iterator[FlakyProxy]:
    with flaky_proxy(s3_server.port) as proxy:
        yield proxy


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(random.Random(3).randbytes(FILE_BYTES))
    return path


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_the_old_object_of_the_same_size_is_no_success(
    s3_server: RunningS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"new")
    with opened(s3_server, retries=FEW_RETRIES) as store:
        old = StoredObject(key="a.bin", size_bytes=3, sha256="0" * 64)
        monkeypatch.setattr(store, "_stat", lambda _: old)
        with pytest.raises(StoreUnavailable, match="not what was uploaded"):
            store.put_file(path, "a.bin", sha256=sha256(path))


def parts_left(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(".part")]


def open_uploads(server: RunningS3, prefix: str) -> int:
    with closing(server.client()) as client:
        return len(client.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix).get("Uploads", []))


def interrupted(server: RunningS3, at_bytes: int) -> tuple[Callable[[int], None], threading.Thread]:
    """A progress that kills the server once, and what starts it again a moment later."""
    reached = threading.Event()

    def again() -> None:
        if reached.wait(60):
            server.start()

    def progress(done: int) -> None:
        if done >= at_bytes and not reached.is_set():
            server.kill()
            reached.set()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    return progress, thread


@pytest.mark.slow
def test_the_server_is_killed_in_the_middle_and_comes_back(source: Path, tmp_path: Path) -> None:
    with running_s3() as server, opened(server) as store:
        progress, thread = interrupted(server, FILE_BYTES // 4)
        stored = store.put_file(source, "lora.safetensors", sha256=sha256(source), progress=progress)
        thread.join()
        assert stored.size_bytes == FILE_BYTES
        assert [one.key for one in store.list_objects("lora")] == ["lora.safetensors"]
        assert open_uploads(server, "lora") == 0

        progress, thread = interrupted(server, FILE_BYTES // 4)
        target = tmp_path / "target.bin"
        store.get_file("lora.safetensors", target, progress=progress)
        thread.join()
        assert sha256(target) == sha256(source)
        assert parts_left(tmp_path) == []


@pytest.mark.parametrize("status", ["503 Slow Down", "429 Too Many Requests", "500 Internal Server Error"])
def test_it_comes_back_later_when_asked_to(
    s3_server: RunningS3, proxy: FlakyProxy, prefix: str, tmp_path: Path, status: str
) -> None:
    small = tmp_path / "small.bin"
    small.write_bytes(b"content")
    with opened(s3_server, port=proxy.port, prefix=prefix) as store:
        proxy.answer(6, status)
        store.put_file(small, "a.bin")
        assert proxy.harmed == 6
    with opened(s3_server, port=proxy.port, prefix=prefix) as store:
        proxy.answer(6, status)
        store.get_file("a.bin", tmp_path / "target.bin")
        assert proxy.harmed == 12
    assert (tmp_path / "target.bin").read_bytes() == b"content"


def test_connections_are_reset_in_the_middle_of_parts(
    s3_server: RunningS3, proxy: FlakyProxy, prefix: str, source: Path, tmp_path: Path
) -> None:
    with opened(s3_server, port=proxy.port, prefix=prefix) as store:
        proxy.reset(12, after_bytes=2_000_000)
        store.put_file(source, "a.bin", sha256=sha256(source))
        assert proxy.harmed >= 5
    with opened(s3_server, port=proxy.port, prefix=prefix) as store:
        proxy.reset(12, after_bytes=1_000_000)
        store.get_file("a.bin", tmp_path / "target.bin")
        assert proxy.harmed >= 10
    assert sha256(tmp_path / "target.bin") == sha256(source)
    assert parts_left(tmp_path) == []
    assert open_uploads(s3_server, prefix) == 0


def test_a_broken_download_goes_on_where_it_was(
    s3_server: RunningS3, prefix: str, source: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int) -> None:
        if done > FILE_BYTES // 2:
            raise Stopped

    target, seen = tmp_path / "target.bin", list[int]()
    with opened(s3_server, prefix=prefix) as store:
        store.put_file(source, "a.bin", sha256=sha256(source))
        with pytest.raises(Stopped):
            store.get_file("a.bin", target, progress=stop)
        [part] = parts_left(tmp_path)
        kept = part.stat().st_size
        assert kept > FILE_BYTES // 2
        store.get_file("a.bin", target, progress=seen.append)
    assert kept < seen[0] <= kept + (1 << 20)
    assert sha256(target) == sha256(source)
    assert parts_left(tmp_path) == []


def test_what_changed_since_is_fetched_anew(
    s3_server: RunningS3, prefix: str, source: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int) -> None:
        raise Stopped

    with opened(s3_server, prefix=prefix) as store:
        store.put_file(source, "a.bin")
        with pytest.raises(Stopped):
            store.get_file("a.bin", tmp_path / "target.bin", progress=stop)
        source.write_bytes(random.Random(4).randbytes(FILE_BYTES))
        store.put_file(source, "a.bin")
        store.get_file("a.bin", tmp_path / "target.bin")
    assert sha256(tmp_path / "target.bin") == sha256(source)
    assert parts_left(tmp_path) == []


def test_what_changes_in_the_middle_is_fetched_anew(
    s3_server: RunningS3, prefix: str, source: Path, tmp_path: Path
) -> None:
    with opened(s3_server, prefix=prefix) as store:
        store.put_file(source, "a.bin")
        changed = threading.Event()

        def change(done: int) -> None:
            if not changed.is_set():
                changed.set()
                source.write_bytes(random.Random(4).randbytes(FILE_BYTES))
                store.put_file(source, "a.bin")

        store.get_file("a.bin", tmp_path / "target.bin", progress=change)
    assert sha256(tmp_path / "target.bin") == sha256(source)


def test_wrong_credentials_are_refused_at_once(s3_server: RunningS3, prefix: str, tmp_path: Path) -> None:
    small = tmp_path / "small.bin"
    small.write_bytes(b"content")
    with opened(s3_server, prefix=prefix, secret_key="another-secret-key") as store:
        begun = time.monotonic()
        for call in (
            lambda: store.put_file(small, "a.bin"),
            lambda: store.get_file("a.bin", tmp_path / "target.bin"),
            lambda: list(store.list_objects()),
            lambda: store.delete("a.bin"),
        ):
            with pytest.raises(StoreRefused, match="refuses access") as caught:
                call()
            assert "BUCKET_SECRET_ACCESS_KEY" in caught.value.hint
            assert "another-secret-key" not in f"{caught.value} {caught.value.hint}"
        assert time.monotonic() - begun < RETRIES.total_s / 2


def test_a_bucket_that_is_not_there(s3_server: RunningS3, tmp_path: Path) -> None:
    with (
        opened(s3_server, bucket="no-such-bucket") as store,
        pytest.raises(StoreRefused, match="no-such-bucket"),
    ):
        list(store.list_objects())


def test_a_server_that_stays_away(s3_server: RunningS3, tmp_path: Path) -> None:
    small = tmp_path / "small.bin"
    small.write_bytes(b"content")
    with opened(s3_server, port=1, retries=FEW_RETRIES) as store:
        with pytest.raises(StoreUnavailable, match="did not answer") as caught:
            store.put_file(small, "a.bin")
        assert caught.value.retryable
        assert SECRET_KEY not in f"{caught.value} {caught.value.hint}"


def test_a_signed_address_expires(s3_server: RunningS3, prefix: str, tmp_path: Path) -> None:
    small = tmp_path / "small.bin"
    small.write_bytes(b"content")
    with opened(s3_server, prefix=prefix) as store:
        store.put_file(small, "a.bin")
        addresses = {use: store.url_for("a.bin", expires_s=4, use=use) for use in UrlUse}
        assert httpx.get(addresses[UrlUse.GET]).content == b"content"
        deadline = time.monotonic() + 20
        while httpx.get(addresses[UrlUse.GET]).status_code != 403:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert httpx.put(addresses[UrlUse.PUT], content=b"other").status_code == 403
        store.get_file("a.bin", tmp_path / "target.bin")
    assert (tmp_path / "target.bin").read_bytes() == b"content"


def test_orphan_uploads_are_swept(s3_server: RunningS3, prefix: str) -> None:
    with closing(s3_server.client()) as client, opened(s3_server, prefix=prefix) as store:
        for name in ("a.bin", "b/c.bin"):
            client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/{name}")
        beside = client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}-else/a.bin")
        assert store.sweep(before=datetime.now(UTC) - timedelta(hours=1)) == 0
        assert store.sweep(before=datetime.now(UTC) + timedelta(minutes=1)) == 2
        assert open_uploads(s3_server, f"{prefix}/") == 0
        assert open_uploads(s3_server, f"{prefix}-else/") == 1
        client.abort_multipart_upload(Bucket=BUCKET, Key=beside["Key"], UploadId=beside["UploadId"])


def begin_upload(server: RunningS3, key: str) -> None:
    """As a worker does that is killed in the middle."""
    with closing(server.client()) as client:
        upload = client.create_multipart_upload(Bucket=BUCKET, Key=key)
        client.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"x" * 100_000
        )


def test_a_mirror_ends_old_uploads_of_its_own_folder_only(
    s3_server: RunningS3, prefix: str, tmp_path: Path
) -> None:
    own, other = f"{prefix}/cat/checkpoints/cat_000000250.safetensors", f"{prefix}/dog/checkpoints/dog"
    for key in (own, other):
        begin_upload(s3_server, key)
    folder = tmp_path / "cat"
    (folder / "samples").mkdir(parents=True)
    (folder / "samples" / "1.png").write_bytes(b"a picture")
    clock = FakeClock(datetime.now(UTC))

    def step() -> None:
        target = UploadTargets(s3=S3Prefix(prefix=prefix))
        mirror = Mirror(
            MirroredRun(process_id="train_0", folder=folder, log=tmp_path / "train.log", root="cat"),
            UploadLedger(target=target, folder="cat", log="train.log", root="cat"),
            path=tmp_path / "ledger.json",
            open_target=lambda _: opened(s3_server, prefix=prefix),
            clock=clock,
            scratch=tmp_path / "scratch",
        )
        assert mirror.step(still=True) is None

    step()
    assert open_uploads(s3_server, prefix) == 2
    (tmp_path / "ledger.json").unlink()
    clock.advance(ORPHAN_AGE.total_seconds() + 60)
    step()
    assert open_uploads(s3_server, f"{prefix}/cat/") == 0
    assert open_uploads(s3_server, f"{prefix}/dog/") == 1


def test_an_upload_takes_the_orphans_of_its_key_along(
    s3_server: RunningS3, prefix: str, source: Path
) -> None:
    with closing(s3_server.client()) as client, opened(s3_server, prefix=prefix) as store:
        client.create_multipart_upload(Bucket=BUCKET, Key=f"{prefix}/a.bin")
        store.put_file(source, "a.bin")
        assert open_uploads(s3_server, prefix) == 0


def test_listing_goes_through_all_pages(s3_server: RunningS3, prefix: str) -> None:
    keys = [f"{number:04}.txt" for number in range(1005)]
    with closing(s3_server.client()) as client, opened(s3_server, prefix=prefix) as store:
        for key in keys:
            client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=b"")
        found: list[StoredObject] = list(store.list_objects())
    assert sorted(one.key for one in found) == keys
