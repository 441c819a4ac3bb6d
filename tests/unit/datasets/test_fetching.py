from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import stamina
from tests.servers.fault_server import Fault, FaultServer, serving
from tests.unit.datasets.library_bench import packed, picture

from lorapod.datasets.check import DatasetSummary
from lorapod.datasets.fetching import DatasetFetcher
from lorapod.datasets.sources.running import Stopped
from lorapod.errors import InsufficientStorage, InvalidInput, NotFound, TooLarge, UnsafeUrl, WorkerError
from lorapod.safety import parquet
from lorapod.settings import Settings
from lorapod.storage.port import Progress, StoredObject
from lorapod.wire.dataset import DatasetRef, FetchProgress, S3Prefix
from lorapod.workspace import Workspace

FILES = {
    "/one/a.png": picture(size=(300, 300)),
    "/one/a.txt": b"a cat",
    "/two/a.png": picture(size=(301, 300)),
    "/b": picture("JPEG", size=(302, 300)),
    "/more.zip": packed({"x/c.png": picture(size=(303, 300)), "x/c.txt": b"c", "__MACOSX/d.png": b"x"}),
}


class Running:
    """A fault server in a thread of its own, as the fetcher blocks."""

    def __init__(self) -> None:
        self.server = FaultServer(b"")
        self.server.etag = None
        self.server.files = dict(FILES)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        async with serving(self.server):
            self._ready.set()
            await self._done.wait()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __enter__(self) -> FaultServer:
        self._thread.start()
        assert self._ready.wait(5)
        return self.server

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()
        self._loop.close()


@pytest.fixture(autouse=True)
def _quick_retries() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=3, cap=True):
        yield


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with Running() as opened:
        opened.etag = '"one"'
        yield opened


class Bucket:
    """A `lorapod.storage.port.ObjectStore` in memory, as far as datasets need one."""

    def __init__(self, objects: Mapping[str, bytes]) -> None:
        self.objects = dict(objects)
        self.got: list[str] = []
        self.hang = threading.Event()
        self.hang.set()

    def list_objects(self, prefix: str = "") -> Iterator[StoredObject]:
        for key, content in self.objects.items():
            yield StoredObject(key=key, size_bytes=len(content), etag=str(hash(content)))

    def get_file(
        self,
        key: str,
        path: Path,
        *,
        listed: StoredObject | None = None,
        progress: Progress | None = None,
    ) -> StoredObject:
        assert listed is not None, "without it, each object costs three requests"
        self.got.append(key)
        while not self.hang.wait(0.05):
            if progress is not None:
                progress(0)
        path.write_bytes(self.objects[key])
        return StoredObject(key=key, size_bytes=len(self.objects[key]))

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"datasets do not need {name}")


class Place:
    """A workspace with a fetcher."""

    def __init__(self, root: Path, **fields: Any) -> None:
        self.workspace = Workspace.create(root)
        settings = Settings(
            workspace_path=root, **({"disk_min_free_bytes": 0, "allow_private_urls": True} | fields)
        )
        self.bucket = Bucket({})
        self.fetcher = DatasetFetcher(
            workspace=self.workspace,
            settings=settings,
            open_store=self.open_store,
        )
        self.told: list[FetchProgress] = []
        self.stop_at_s = float("inf")

    def open_store(self, location: Any, *, job_s3: Any = None) -> nullcontext[Bucket]:
        return nullcontext(self.bucket)

    def fetch(self, ref: DatasetRef, process_id: str = "train_1") -> DatasetSummary:
        stop_at = time.monotonic() + self.stop_at_s
        return self.fetcher.fetch(
            ref, process_id, stopped=lambda: time.monotonic() > stop_at, tell=self.told.append
        )

    def visible(self, ref: DatasetRef) -> dict[str, bytes]:
        folder = self.fetcher.folder_of(ref)
        paths = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    def left(self) -> list[str]:
        """Files that gather for datasets which are not there yet."""
        incoming = self.workspace.training_data / ".incoming"
        return sorted(path.name for path in incoming.rglob("*") if path.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "workspace")


def urls(server: FaultServer, *paths: str, **fields: Any) -> DatasetRef:
    return DatasetRef(urls=[server.url(path) for path in paths or FILES], **fields)


WHOLE = {
    "one__a.png": FILES["/one/a.png"],
    "one__a.txt": b"a cat",
    "two__a.png": FILES["/two/a.png"],
    "b.jpg": FILES["/b"],
    "c.png": picture(size=(303, 300)),
    "c.txt": b"c",
}


class TestUrls:
    def test_pictures_captions_and_a_zip(self, place: Place, server: FaultServer) -> None:
        summary = place.fetch(urls(server))
        assert place.visible(urls(server)) == WHOLE
        assert (summary.images, summary.captions, summary.path.name[:5]) == (4, 2, "urls_")
        assert place.left() == []
        assert place.told[-1].files == place.told[-1].total_files == 5
        assert place.told[-1].received_bytes == sum(map(len, FILES.values()))

    def test_into_a_folder_of_its_own_once(self, place: Place, server: FaultServer) -> None:
        folder = place.workspace.root / "session" / "dataset"
        folder.parent.mkdir()
        ref = urls(server)
        for _ in range(2):  # the second time the addresses may have expired
            summary = place.fetcher.fetch(
                ref, "train_1", stopped=lambda: False, tell=place.told.append, folder=folder
            )
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == WHOLE
            assert (summary.path, summary.images) == (folder, 4)
            server.files = {}
        assert place.visible(ref) == {}
        assert place.left() == []

    def test_the_same_again_is_not_fetched_and_keeps_its_caches(
        self, place: Place, server: FaultServer
    ) -> None:
        folder = place.fetch(urls(server)).path
        (folder / "_latent_cache").mkdir()
        (folder / "_latent_cache" / "a.safetensors").touch()
        sent = server.sent_bytes
        place.fetch(urls(server), "train_2")
        assert server.sent_bytes == sent
        assert (folder / "_latent_cache" / "a.safetensors").exists()

    def test_another_list_fetches_only_what_is_new(self, place: Place, server: FaultServer) -> None:
        place.fetch(urls(server, "/one/a.png", "/one/a.txt"))
        sent = server.sent_bytes
        place.fetch(urls(server, "/b", "/one/a.png", "/one/a.txt"))
        assert server.sent_bytes - sent == len(FILES["/b"])
        assert place.visible(urls(server, "/b", "/one/a.png", "/one/a.txt")).keys() == {
            "a.png",
            "a.txt",
            "b.jpg",
        }

    def test_what_changed_is_fetched_again(self, place: Place, server: FaultServer) -> None:
        ref = urls(server, "/one/a.png", "/one/a.txt")
        place.fetch(ref)
        server.etag, server.files["/one/a.txt"] = '"two"', b"a dog"
        place.fetch(ref)
        assert place.visible(ref)["a.txt"] == b"a dog"

    def test_a_file_that_somebody_changed_here_is_fetched_again(
        self, place: Place, server: FaultServer
    ) -> None:
        ref = urls(server, "/one/a.png", "/one/a.txt")
        (place.fetch(ref).path / "a.txt").write_bytes(b"mine")
        place.fetch(ref)
        assert place.visible(ref)["a.txt"] == b"a cat"

    def test_the_trigger_word_where_asked(self, place: Place, server: FaultServer) -> None:
        ref = urls(server, trigger_word="ohwx")
        for process_id in ("train_1", "train_2"):
            place.fetch(ref, process_id)
            assert place.visible(ref)["one__a.txt"] == b"ohwx, a cat"
            assert place.visible(ref)["b.txt"] == b"ohwx"
        place.fetch(urls(server))
        assert place.visible(urls(server))["one__a.txt"] == b"a cat"

    def test_an_address_signed_afresh_is_the_same(self, place: Place, server: FaultServer) -> None:
        place.fetch(urls(server, "/one/a.png?X-Amz-Signature=1"))
        sent = server.sent_bytes
        place.fetch(urls(server, "/one/a.png?X-Amz-Signature=2"))
        assert server.sent_bytes == sent
        assert b"Signature" not in b"".join(
            path.read_bytes() for path in (place.workspace.training_data / ".fetched").iterdir()
        )

    def test_names_come_of_the_address_or_of_the_server(self, place: Place, server: FaultServer) -> None:
        server.files |= {"/it%27s%20me%20%231.png": FILES["/b"], "/one%2Ftwo.png": FILES["/one/a.png"]}
        server.files["/get"] = FILES["/two/a.png"]
        server.names = {"/get": "photo, red.png"}
        ref = urls(server, "/it%27s%20me%20%231.png", "/one%2Ftwo.png", "/get")
        for _ in range(2):
            place.fetch(ref)
            assert place.visible(ref).keys() == {"it's me #1.png", "one_two.png", "photo, red.png"}

    def test_an_archive_that_is_not_unpacked_is_refused_before_it_is_fetched(
        self, place: Place, server: FaultServer
    ) -> None:
        server.files["/cats.7z"] = b"7z"
        with pytest.raises(InvalidInput, match="7z archives are not unpacked"):
            place.fetch(urls(server, "/cats.7z"))
        assert server.seen == []
        place.bucket.objects = {"cats/cats.rar": b"x"}
        with pytest.raises(InvalidInput, match=r"only \.rar") as raised:
            place.fetch(TestObjects.REF)
        assert ".zip" in raised.value.hint

    def test_a_web_page_instead_of_the_file_is_said(self, place: Place, server: FaultServer) -> None:
        server.files |= {
            "/login": b"<!DOCTYPE html><title>Sign in</title>",
            "/x.zip": b"<html>Sign in</html>",
        }
        for path in ("/login", "/x.zip"):
            with pytest.raises(InvalidInput, match="web page") as raised:
                place.fetch(urls(server, path))
            assert "login" in raised.value.hint

    def test_a_private_address_is_refused_before(self, tmp_path: Path) -> None:
        strict = Place(tmp_path / "strict", allow_private_urls=False)
        ref = DatasetRef(urls=["http://127.0.0.1/a.png"])
        with pytest.raises(UnsafeUrl):
            strict.fetcher.precheck(ref)
        with pytest.raises(UnsafeUrl):
            strict.fetch(ref)


class TestFailures:
    def test_every_file_that_is_not_there(self, place: Place, server: FaultServer) -> None:
        server.faults += [Fault(status=404)] * 3
        with pytest.raises(NotFound, match="Other files that could not be fetched: 2") as raised:
            place.fetch(urls(server))
        assert len(raised.value.details) == 3
        assert place.visible(urls(server)) == {}
        assert place.left() == []

    def test_files_that_are_known_to_be_too_large_are_not_fetched(self, place: Place) -> None:
        place.bucket.objects = {"a.png": FILES["/one/a.png"], "a.txt": b"x" * 3_000_000, "b.txt": b"b"}
        with pytest.raises(TooLarge, match="1000000") as raised:
            place.fetch(DatasetRef(s3=S3Prefix(bucket="cats")))
        assert [error["field"] for error in raised.value.details] == ["a.txt"]
        assert place.bucket.got == []
        assert place.left() == []

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (picture(size=(300, 300))[:-500], "cut off or damaged"),
            (b"<html>no such picture</html>", "not an image but text"),
            (b"", "empty"),
        ],
    )
    def test_a_broken_picture_refuses_the_dataset(
        self, place: Place, server: FaultServer, content: bytes, message: str
    ) -> None:
        server.files["/one/a.png"] = content
        with pytest.raises(InvalidInput, match=message) as raised:
            place.fetch(urls(server))
        assert [error["field"] for error in raised.value.details] == ["a.png"]
        assert place.visible(urls(server)) == {}
        assert place.left() == []

    def test_what_no_trainer_reads_is_left_out(self, place: Place, server: FaultServer) -> None:
        server.files["/page"] = b"<html>"
        summary = place.fetch(urls(server, "/one/a.png", "/page"))
        assert summary.images == 1
        assert "page was left out" in summary.warnings[0]

    def test_nothing_that_a_trainer_reads(self, place: Place, server: FaultServer) -> None:
        with pytest.raises(InvalidInput, match="no images"):
            place.fetch(urls(server, "/one/a.txt"))

    def test_a_server_that_comes_back_is_gone_on_with(self, place: Place, server: FaultServer) -> None:
        large = picture(size=(1000, 1000))
        server.files["/large.png"] = large
        server.faults += [Fault(reset_after=2_000_000), *[Fault(status=503)] * 5]
        with pytest.raises(WorkerError):
            place.fetch(urls(server, "/large.png"))
        # A reset connection may lose what was sent and not read yet.
        [part] = (place.workspace.training_data / ".incoming").rglob("*.part")
        assert 0 < (kept := part.stat().st_size) <= 2_000_000
        server.faults.clear()
        sent = server.sent_bytes
        place.fetch(urls(server, "/large.png"))
        assert server.sent_bytes - sent == len(large) - kept
        assert place.left() == []

    def test_a_stop_ends_it_within_a_second_and_the_next_goes_on(
        self, place: Place, server: FaultServer
    ) -> None:
        server.faults += [Fault(stall_after=10)] * 5
        place.stop_at_s = 0.5
        began = time.monotonic()
        with pytest.raises(Stopped):
            place.fetch(urls(server))
        assert time.monotonic() - began < 1.5
        place.stop_at_s = float("inf")
        place.fetch(urls(server))
        assert place.visible(urls(server)) == WHOLE

    def test_too_large(self, tmp_path: Path, server: FaultServer) -> None:
        small = Place(tmp_path / "small", max_fetch_bytes=1000)
        with pytest.raises(TooLarge):
            small.fetch(urls(server))
        assert small.left() == []

    def test_no_room(self, tmp_path: Path, server: FaultServer) -> None:
        full = Place(tmp_path / "full", disk_min_free_bytes=1 << 60)
        with pytest.raises(InsufficientStorage, match="bytes free"):
            full.fetch(urls(server))
        assert full.left() == []
        assert server.seen == []

    def test_a_disk_that_fills_up(
        self, small_root: Path, server: FaultServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1 << 50}))
        full = Place(small_root)
        server.files["/large.mp4"] = os.urandom(3_000_000)
        with pytest.raises(InsufficientStorage, match="ran full"):
            full.fetch(urls(server, "/large.mp4", "/one/a.png"))
        assert full.left() == []
        assert full.visible(urls(server, "/one/a.png")) == {}


class TestObjects:
    REF = DatasetRef.model_validate({"s3": {"prefix": "cats"}})

    def test_a_prefix(self, place: Place) -> None:
        place.bucket.objects = {
            "one/a.png": FILES["/one/a.png"],
            "one/a.txt": b"a cat",
            "README.md": b"x",
        }
        summary = place.fetch(self.REF)
        assert summary.images == 1
        assert (
            "Left out, since a dataset holds images, captions and videos only: README.md." in summary.warnings
        )
        assert place.visible(self.REF).keys() == {"a.png", "a.txt"}
        place.fetch(self.REF)
        assert sorted(place.bucket.got) == ["one/a.png", "one/a.txt"]
        del place.bucket.objects["one/a.txt"]
        place.bucket.objects["two/a.png"] = FILES["/two/a.png"]
        place.fetch(self.REF)
        assert place.bucket.got[2:] == ["two/a.png"]
        assert place.visible(self.REF).keys() == {"one__a.png", "two__a.png"}

    def test_folders_and_archives_are_kept_apart_again_and_again(self, place: Place) -> None:
        place.bucket.objects = {
            "cats.zip": packed({"c/1.png": FILES["/one/a.png"], "c/1.txt": b"one", "c/x/2.png": FILES["/b"]}),
            "dogs.zip": packed({"1.png": FILES["/two/a.png"], "1.txt": b"two"}),
            "z/1.png": picture(size=(310, 300)),
        }
        names = {"1.png", "1.txt", "x__2.png", "dogs__1.png", "dogs__1.txt", "z__1.png"}
        for _ in range(2):  # the second time out of the first dataset
            assert place.fetch(self.REF).images == 4
            assert place.visible(self.REF).keys() == names
            assert place.visible(self.REF)["dogs__1.txt"] == b"two"
        place.bucket.objects["1.png"] = picture(size=(311, 300))
        place.fetch(self.REF)
        assert place.visible(self.REF).keys() == {
            "1.png", "z__1.png", "cats__1.png", "cats__1.txt", "cats__x__2.png", "dogs__1.png", "dogs__1.txt",
        }  # fmt: skip
        assert place.bucket.got == ["cats.zip", "dogs.zip", "z/1.png", "1.png"]

    def test_captions_of_any_form_again_and_again(self, place: Place) -> None:
        place.bucket.objects = {
            "train/1.png": FILES["/one/a.png"],
            "train/metadata.csv": "file_name,text\n1.png,a café".encode("cp1252"),
            "train/2.JPG": FILES["/b"],
            "train/2.Caption": b"two",
            "more.zip": packed({"3.png": FILES["/two/a.png"], "3.json": b'{"caption": "three"}'}),
        }
        for attempt in range(2):
            summary = place.fetch(self.REF)
            assert (summary.images, summary.captions) == (3, 3)
            found = place.visible(self.REF)
            texts = [found[f"{stem}.txt"].decode() for stem in ("train__1", "train__2", "3")]
            assert texts == ["a café", "two", "three"]
            assert any("Windows-1252" in warning for warning in summary.warnings) is (attempt == 0)
            assert any("train/2.JPG is train__2.JPG" in warning for warning in summary.warnings)
        assert len(place.bucket.got) == 5

    def test_control_images_lie_in_a_folder_that_no_trainer_learns_from(self, place: Place) -> None:
        place.bucket.objects = {
            "p/target/1.png": FILES["/one/a.png"],
            "p/target/1.txt": b"one",
            "p/control/1.PNG": FILES["/two/a.png"],
        }
        for _ in range(2):
            summary = place.fetch(self.REF)
            assert (summary.images, summary.captions) == (1, 1)
            assert any("control_path" in warning for warning in summary.warnings)
            assert (summary.path / "_controls" / "1.png").read_bytes() == FILES["/two/a.png"]
        assert len(place.bucket.got) == 3

    def test_nothing_there(self, place: Place) -> None:
        with pytest.raises(NotFound):
            place.fetch(self.REF)

    def test_tables_are_not_read_without_what_it_needs(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parquet, "find_spec", lambda _: None)
        place.bucket.objects = {"train.parquet": b"x"}
        with pytest.raises(InvalidInput, match=r"only \.parquet"):
            place.fetch(self.REF)

    def test_a_store_that_hangs_is_left_behind(self, place: Place) -> None:
        place.bucket.objects = {"a.png": FILES["/one/a.png"]}
        place.bucket.hang.clear()
        place.stop_at_s = 0.3
        began = time.monotonic()
        with pytest.raises(Stopped):
            place.fetch(self.REF)
        assert time.monotonic() - began < 1.3
        place.bucket.hang.set()
