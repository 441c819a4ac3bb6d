from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import stamina
from tests.servers.fault_server import Fault, FaultServer, serving

from lorapod.errors import InsufficientStorage, NotFound, TooLarge, UnsafeUrl, UpstreamError, WorkerTimeout
from lorapod.safety import urls
from lorapod.safety.fetch import Fetched, Fetcher, FetchLimits
from lorapod.safety.part_file import Version

CONTENT = random.Random(1).randbytes(3_000_000)


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with serving(FaultServer(CONTENT)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick_retries() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=4, cap=True):
        yield


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.bin"


def limits(**fields: Any) -> FetchLimits:
    return FetchLimits(**({"keep_free_bytes": 0, "idle_s": 5} | fields))


async def fetch(server: FaultServer, target: Path, path: str = "/file.bin", **fields: Any) -> Fetched | None:
    known = fields.pop("known", None)
    progress = fields.pop("progress", None)
    async with Fetcher(allow_private=True, limits=limits(**fields)) as fetcher:
        return await fetcher.fetch(server.url(path), target, known=known, progress=progress)


def whole(target: Path, fetched: Fetched | None) -> bool:
    assert fetched is not None
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    return target.read_bytes() == CONTENT


class TestWhole:
    async def test_a_file_with_its_progress(self, server: FaultServer, target: Path) -> None:
        seen: list[tuple[int, int | None]] = []
        fetched = await fetch(server, target, progress=lambda *news: seen.append(news))
        assert whole(target, fetched)
        assert seen[0] == (0, len(CONTENT))
        assert seen[-1] == (len(CONTENT), len(CONTENT))
        assert seen == sorted(seen)

    async def test_of_unknown_length(self, server: FaultServer, target: Path) -> None:
        server.faults.append(Fault(chunked=True))
        assert whole(target, await fetch(server, target))

    async def test_the_same_version_is_not_fetched_again(self, server: FaultServer, target: Path) -> None:
        fetched = await fetch(server, target)
        assert fetched is not None
        assert await fetch(server, target.with_name("again"), known=fetched.version) is None
        assert server.sent_bytes == len(CONTENT)
        assert whole(target, fetched)

    async def test_credentials_go_to_the_first_origin_only(self, server: FaultServer, target: Path) -> None:
        async with serving(FaultServer(CONTENT)) as other:
            server.faults.append(Fault(status=302, headers={"Location": other.url()}))
            async with Fetcher(allow_private=True, limits=limits()) as fetcher:
                address = server.url(host="user:secret@127.0.0.1")
                await fetcher.fetch(address, target, headers={"X-Key": "secret"})
        assert {"authorization", "x-key"} <= server.seen[0].headers.keys()
        assert not {"authorization", "x-key"} & other.seen[0].headers.keys()


class TestFaults:
    @pytest.mark.parametrize("part", range(6))
    async def test_a_reset_at_every_part(self, server: FaultServer, target: Path, part: int) -> None:
        server.faults += [Fault(reset_after=part * len(CONTENT) // 6)]
        assert whole(target, await fetch(server, target))
        # What the reset met unread in a socket is lost, all of it at worst; that it goes on, the next test shows.
        assert len(server.seen) == 2
        assert server.sent_bytes <= len(CONTENT) + part * len(CONTENT) // 6

    async def test_many_resets_that_each_bring_something(self, server: FaultServer, target: Path) -> None:
        server.faults += [Fault(reset_after=200_000) for _ in range(10)]
        assert whole(target, await fetch(server, target))

    async def test_a_server_without_ranges(self, server: FaultServer, target: Path) -> None:
        server.ranges = False
        server.faults += [Fault(reset_after=1_000_000)]
        assert whole(target, await fetch(server, target))

    async def test_a_server_without_etag(self, server: FaultServer, target: Path) -> None:
        server.etag = None
        server.faults += [Fault(reset_after=1_000_000)]
        assert whole(target, await fetch(server, target))

    async def test_content_that_changes_midway(self, server: FaultServer, target: Path) -> None:
        server.content, server.etag = bytes(2_000_000), '"zero"'
        server.faults += [Fault(reset_after=1_500_000)]
        with pytest.raises(asyncio.CancelledError):
            await self.cancelled_at(server, target, 1_000_000)
        server.content, server.etag = CONTENT, '"one"'
        assert whole(target, await fetch(server, target))

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    async def test_try_later(self, server: FaultServer, target: Path, status: int) -> None:
        server.faults += [Fault(status=status)] * 2
        assert whole(target, await fetch(server, target))

    async def test_retry_after_is_honoured(self, server: FaultServer, target: Path) -> None:
        server.faults += [Fault(status=429, headers={"Retry-After": "1"})]
        with stamina.set_testing(testing=False):
            began = time.monotonic()
            assert whole(target, await fetch(server, target))
        assert time.monotonic() - began >= 1

    @pytest.mark.parametrize(
        ("status", "error"),
        [(404, NotFound), (410, NotFound), (403, UpstreamError), (400, UpstreamError), (204, UpstreamError)],
    )
    async def test_no_hope(
        self, server: FaultServer, target: Path, status: int, error: type[Exception]
    ) -> None:
        server.faults += [Fault(status=status)]
        with pytest.raises(error) as raised:
            await fetch(server, target, "/file.bin?token=secret")
        assert len(server.seen) == 1
        assert "secret" not in str(raised.value)
        assert list(target.parent.iterdir()) == []

    async def test_a_server_that_stays_away(self, server: FaultServer, target: Path) -> None:
        server.faults += [Fault(status=503)] * 10
        with pytest.raises(UpstreamError, match="answers 503"):
            await fetch(server, target)
        assert len(server.seen) == 4

    async def test_a_length_that_is_a_lie(self, server: FaultServer, target: Path) -> None:
        server.ranges = False
        server.faults += [Fault(lie_bytes=1000)] * 10
        with pytest.raises(UpstreamError):
            await fetch(server, target)
        assert target.name not in {path.name for path in target.parent.iterdir()}

    async def test_a_stalled_server(self, server: FaultServer, target: Path) -> None:
        server.faults += [Fault(stall_after=1_000_000)]
        assert whole(target, await fetch(server, target, idle_s=0.3))

    async def test_a_slow_server_is_given_up_after_all_the_time(
        self, server: FaultServer, target: Path
    ) -> None:
        server.faults += [Fault(stall_after=1_000_000)]
        with pytest.raises(WorkerTimeout):
            await fetch(server, target, total_s=0.5)

    async def test_nobody_there(self, target: Path) -> None:
        async with serving(FaultServer(b"")) as gone:
            address = gone.url("/a?token=secret")
        async with Fetcher(allow_private=True, limits=limits()) as fetcher:
            with pytest.raises(UpstreamError, match="cannot be reached") as raised:
                await fetcher.fetch(address, target)
        assert "secret" not in str(raised.value)

    async def test_a_stop_takes_no_second_and_keeps_what_came(
        self, server: FaultServer, target: Path
    ) -> None:
        server.faults += [Fault(stall_after=2_000_000)]
        began = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await self.cancelled_at(server, target, 2_000_000)
        assert time.monotonic() - began < 1
        before = server.sent_bytes
        assert whole(target, await fetch(server, target))
        assert server.sent_bytes - before == len(CONTENT) - 2_000_000
        assert server.seen[-1].headers["range"] == "bytes=2000000-"

    async def test_another_worker_that_writes_to_the_same_file(
        self, server: FaultServer, target: Path
    ) -> None:
        disturbed = False

        def progress(done: int, _total: int | None) -> None:
            nonlocal disturbed
            if done > 1_000_000 and not disturbed:
                disturbed = True
                with target.with_name("file.bin.part").open("ab") as part:
                    part.write(b"disturbed")

        assert whole(target, await fetch(server, target, progress=progress))

    @staticmethod
    async def cancelled_at(server: FaultServer, target: Path, size_bytes: int) -> None:
        task: asyncio.Task[Fetched | None]

        def progress(done: int, _total: int | None) -> None:
            if done >= size_bytes:
                task.cancel()

        task = asyncio.create_task(fetch(server, target, progress=progress))
        await task


class TestLimits:
    async def test_too_large_is_told_before(self, server: FaultServer, target: Path) -> None:
        with pytest.raises(TooLarge):
            await fetch(server, target, max_bytes=1000)
        assert list(target.parent.iterdir()) == []

    async def test_too_large_is_noticed_midway(self, server: FaultServer, target: Path) -> None:
        server.faults += [Fault(chunked=True)]
        with pytest.raises(TooLarge):
            await fetch(server, target, max_bytes=2_000_000)
        assert list(target.parent.iterdir()) == []

    async def test_no_room_is_told_before(self, server: FaultServer, target: Path) -> None:
        with pytest.raises(InsufficientStorage, match="bytes free"):
            await fetch(server, target, keep_free_bytes=1 << 60)
        assert list(target.parent.iterdir()) == []

    async def test_a_disk_that_fills_up(
        self, server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import resource

        monkeypatch.setattr(shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1 << 60}))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            with pytest.raises(InsufficientStorage, match="ran full"):
                await fetch(server, target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(target.parent.iterdir()) == []


class Names:
    """A resolver that answers what a test says, one answer a question, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, _port: int) -> Sequence[tuple[int, str]]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(10 if ":" in address else 2, address) for address in answer]


@pytest.fixture
def _loopback_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1, and it alone of the private ones, counts as public: a server of the test's own stands there."""
    real = urls.is_public
    monkeypatch.setattr(urls, "is_public", lambda address: address == "127.0.0.1" or real(address))


class TestPrivate:
    @pytest.mark.parametrize(
        "addresses",
        [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]],
    )
    async def test_names_of_private_addresses(
        self, server: FaultServer, target: Path, addresses: list[str]
    ) -> None:
        async with Fetcher(limits=limits(), lookup=Names(addresses)) as fetcher:
            with pytest.raises(UnsafeUrl):
                await fetcher.fetch(server.url(host="innocent.example"), target)
        assert server.seen == []

    @pytest.mark.usefixtures("_loopback_is_public")
    @pytest.mark.parametrize(
        "location",
        [
            "http://127.0.0.2/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]/",
            "http://2130706434/",
            "//10.0.0.1/x",
            "file:///etc/passwd",
            "http://inside.example/",
            "",
            "http://[/",
        ],
    )
    async def test_redirects_inwards(self, server: FaultServer, target: Path, location: str) -> None:
        server.faults += [Fault(status=302, headers={"Location": location})] * 8
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        async with Fetcher(limits=limits(), lookup=names) as fetcher:
            with pytest.raises(UnsafeUrl):
                await fetcher.fetch(server.url(host="innocent.example"), target)
        assert list(target.parent.iterdir()) == []

    @pytest.mark.usefixtures("_loopback_is_public")
    async def test_the_connection_goes_to_the_address_that_was_judged(
        self, server: FaultServer, target: Path
    ) -> None:
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        async with Fetcher(limits=limits(), lookup=names) as fetcher:
            assert whole(target, await fetcher.fetch(server.url(host="innocent.example"), target))
        assert names.asked == ["innocent.example"]
        assert server.seen[0].headers["host"] == f"innocent.example:{server.port}"

    @pytest.mark.usefixtures("_loopback_is_public")
    async def test_a_name_that_means_something_else_at_the_second_try(
        self, server: FaultServer, target: Path
    ) -> None:
        server.faults += [Fault(reset_after=500_000)]
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        async with Fetcher(limits=limits(), lookup=names) as fetcher:
            with pytest.raises(UnsafeUrl):
                await fetcher.fetch(server.url(host="innocent.example"), target)
        assert list(target.parent.iterdir()) == []

    async def test_no_socket_for_a_private_address_however_it_is_come_by(self) -> None:
        info = (2, 1, 6, "", ("127.0.0.1", 80))
        with pytest.raises(UnsafeUrl):
            urls.checked_socket(info, allow_private=False)

    async def test_the_environments_proxy_is_not_used(
        self, server: FaultServer, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
        assert whole(target, await fetch(server, target))

    async def test_endless_redirects(self, server: FaultServer, target: Path) -> None:
        server.faults += [Fault(status=302, headers={"Location": "/again"})] * 20
        with pytest.raises(UnsafeUrl, match="more than 5 times"):
            await fetch(server, target)


def test_versions() -> None:
    assert not Version()
    assert Version(etag='W/"weak"').if_range is None
    assert Version(etag='"strong"', last_modified="x").if_range == '"strong"'
