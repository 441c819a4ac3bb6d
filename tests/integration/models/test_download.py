"""Downloads as processes of the real manager, from real servers that misbehave as a test tells them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import stamina
from pydantic import SecretStr
from tests.integration.endpoint_caller import eventually
from tests.servers.fault_server import Fault, FaultServer, serving
from tests.servers.hub import TOKEN, HubStandIn, Repo, running_hub

from lorapod.deadline import Deadline
from lorapod.errors import Conflict, InvalidInput, UnsafePath, UnsafeUrl, Unsupported
from lorapod.files.digests import DigestBook
from lorapod.models.card import read_card
from lorapod.models.download import ABANDONED_S, ModelDownloads
from lorapod.models.kinds import ModelKind
from lorapod.models.placing import INCOMING
from lorapod.models.port import DownloadStopped, ReportDownload, WantedModel
from lorapod.models.task import DownloadKind
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.requests import ControlRequest
from lorapod.records.record import ProcessRecord
from lorapod.settings import Settings
from lorapod.testing.manager import ended, open_manager, task_on, until
from lorapod.workspace import Workspace

DATA = random.Random(1).randbytes(3_000_000)


def lora(data: bytes = DATA) -> bytes:
    header = {
        "__metadata__": {"trigger_word": "ohwx"},
        "unet.a.lora_A.weight": {"dtype": "U8", "shape": [4, 8], "data_offsets": [0, 32]},
        "unet.b.lora_B.weight": {"dtype": "U8", "shape": [1], "data_offsets": [32, len(data)]},
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


CONTENT = lora()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _quick_retries() -> Iterator[None]:
    with stamina.set_testing(testing=True, attempts=3, cap=True):
        yield


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with serving(FaultServer(CONTENT)) as opened:
        yield opened


class FakeProgram:
    """A `lorapod.models.port.Downloads` that waits to be stopped where the name says so."""

    def check(self, wanted: WantedModel) -> str:
        return f"{wanted.name}.safetensors"

    def download(self, wanted: WantedModel, *, stopped: Callable[[], bool], report: ReportDownload) -> str:
        report(0.5, None)
        while wanted.name == "endless":
            if stopped():
                raise DownloadStopped
        return f"{wanted.name}.safetensors from {wanted.source}"


class Bench:
    """A worker's downloads."""

    def __init__(self, root: Path, **settings: Any) -> None:
        self.root = root
        self.workspace = Workspace.create(root)
        defaults = {"allow_private_urls": True, "disk_min_free_bytes": 0, "store_patience_s": 0.1}
        self.digests = DigestBook(workspace=self.workspace)
        downloads = ModelDownloads(
            workspace=self.workspace,
            settings=Settings(workspace_path=root, **(defaults | settings)),
            digests=self.digests,
        )
        self.manager: RealProcessManager = open_manager(
            root, kinds=[DownloadKind(downloads, {"program": FakeProgram()})]
        )

    def start(self, source: str, **fields: Any) -> ProcessRecord:
        return task_on(self.manager, "download", source=source, **fields)

    async def get(self, source: str, **fields: Any) -> ProcessRecord:
        return await ended(self.manager, self.start(source, **fields))

    async def failed(self, source: str, **fields: Any) -> tuple[str, str]:
        """Code and message; nothing of it is left."""
        record = await self.get(source, **fields)
        assert record.failure is not None, record
        return record.failure.code.value, record.failure.message

    def files(self) -> list[str]:
        """Every file of the shelf, hidden ones too."""
        return sorted(
            path.relative_to(self.workspace.models).as_posix()
            for path in self.workspace.models.rglob("*")
            if path.is_file()
        )


@pytest.fixture
def open_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    opened: list[Bench] = []

    def make(**settings: Any) -> Bench:
        opened.append(Bench(tmp_path / "workspace", **settings))
        return opened[-1]

    yield make
    for bench in opened:
        bench.manager.close(Deadline.after(5))


@pytest.fixture
def bench(open_bench: Callable[..., Bench]) -> Bench:
    return open_bench()


def named(name: str) -> Fault:
    return Fault(headers={"Content-Disposition": f'attachment; filename="{name}"'})


async def test_a_model_comes_whole_with_its_card_and_digest(
    bench: Bench, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await bench.get(
        server.url("/my/cat.safetensors?token=planted"), kind="lora", sha256=SHA256.upper()
    )
    assert record.status == "completed", record
    assert record.outcome == {
        "path": "models/loras/cat.safetensors",
        "name": "cat.safetensors",
        "kind": "lora",
        "size_bytes": len(CONTENT),
        "sha256": SHA256,
        "source": server.url("/my/cat.safetensors"),
    }
    assert record.progress.percent == 100.0
    assert record.fetch is not None
    assert (record.fetch.files, record.fetch.received_bytes) == (1, len(CONTENT))
    path = bench.workspace.models / "loras/cat.safetensors"
    assert path.read_bytes() == CONTENT
    assert read_card(path).source == server.url("/my/cat.safetensors")
    assert bench.files() == ["loras/cat.safetensors", "loras/cat.safetensors.card.json"]
    # Gigabytes are not read again for a digest that is known.
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert bench.digests.sha256(path) == SHA256
    assert "planted" not in bench.workspace.log_path(record.process_id).read_text()


class TestNames:
    async def test_the_server_s_own_and_the_content_s_kind(self, bench: Bench, server: FaultServer) -> None:
        server.faults.append(named("My LoRA v1.5.safetensors"))
        record = await bench.get(server.url("/api/download/models/123?type=Model"))
        assert record.outcome["path"] == "models/loras/My LoRA v1.5.safetensors"

    async def test_the_caller_s_own_with_folders(self, bench: Bench, server: FaultServer) -> None:
        server.faults.append(named("x.safetensors"))
        record = await bench.get(server.url("/api/123"), kind="lora", name="animals/cat v1.0")
        assert record.outcome["path"] == "models/loras/animals/cat v1.0.safetensors"

    @pytest.mark.parametrize(
        ("told", "expected"),
        [
            ("../../../stray.safetensors", "stray.safetensors"),
            ("/etc/stray.safetensors", "stray.safetensors"),
            ("..\\\\stray.safetensors", "stray.safetensors"),
            (".hidden.safetensors", "hidden.safetensors"),
        ],
    )
    async def test_a_server_s_wish_leads_nowhere_else(
        self, bench: Bench, server: FaultServer, told: str, expected: str
    ) -> None:
        server.faults.append(named(told))
        record = await bench.get(server.url("/api/1"), kind="lora")
        assert record.outcome["path"] == f"models/loras/{expected}"

    @pytest.mark.parametrize(
        "name", ["../stray", "/stray", ".stray", "a//../../b", "a\0b", "-rf", ".", "./."]
    )
    def test_a_caller_s_that_is_none_is_refused_at_once(
        self, bench: Bench, server: FaultServer, name: str
    ) -> None:
        with pytest.raises(InvalidInput, match="name"):
            bench.start(server.url("/x.safetensors"), kind="lora", name=name)
        assert server.seen == []

    @pytest.mark.parametrize("told", ["..", "/", "._-"])
    async def test_a_server_s_that_is_none_is_told(
        self, bench: Bench, server: FaultServer, told: str
    ) -> None:
        server.faults.append(named(told))
        assert (await bench.failed(server.url("/api/1"), kind="lora"))[0] == "invalid_input"

    async def test_none_at_all_is_told(self, bench: Bench, server: FaultServer) -> None:
        code, message = await bench.failed(server.url("/api/123"), kind="lora")
        assert (code, "has no file name" in message) == ("invalid_input", True)
        assert bench.files() == []


class TestRefusals:
    @pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".pth", ".bin", ".gguf"])
    async def test_formats_that_may_hold_code(
        self, open_bench: Callable[..., Bench], server: FaultServer, suffix: str
    ) -> None:
        bench = open_bench()
        with pytest.raises(Unsupported, match="safetensors"):
            bench.start(server.url(f"/x{suffix}"), kind="checkpoint")
        server.faults.append(named(f"x{suffix}"))
        assert (await bench.failed(server.url("/api/1"), kind="checkpoint"))[0] == "unsupported"
        # Its bytes were not waited for.
        assert bench.files() == []
        bench.manager.close(Deadline.after(5))
        bold = open_bench(allow_pickled_models=True)
        record = await bold.get(server.url(f"/x{suffix}"), kind="upscale")
        assert record.outcome["path"] == f"models/upscale_models/x{suffix}"

    async def test_what_is_no_model(self, bench: Bench, server: FaultServer) -> None:
        server.faults.append(named("login.html"))
        code, message = await bench.failed(server.url("/api/1"), kind="lora")
        assert (code, "is not a model" in message, bench.files()) == ("invalid_input", True, [])

    def test_a_private_address(self, open_bench: Callable[..., Bench], server: FaultServer) -> None:
        bench = open_bench(allow_private_urls=False)
        with pytest.raises(UnsafeUrl):
            bench.start(server.url("/x.safetensors"), kind="lora")

    async def test_another_digest(self, bench: Bench, server: FaultServer) -> None:
        code, message = await bench.failed(server.url("/x.safetensors"), kind="lora", sha256="0" * 64)
        assert (code, bench.files()) == ("upstream_error", [])
        assert SHA256 in message

    async def test_a_page_instead_of_a_model(self, bench: Bench, server: FaultServer) -> None:
        server.content = b"<html>Please log in.</html>"
        code, _ = await bench.failed(server.url("/x.safetensors"), kind="lora")
        assert (code, bench.files()) == ("invalid_input", [])

    async def test_a_file_that_is_cut_off(self, bench: Bench, server: FaultServer) -> None:
        server.content = CONTENT[:-1]
        code, message = await bench.failed(server.url("/x.safetensors"), kind="lora")
        assert (code, "cut off" in message, bench.files()) == ("upstream_error", True, [])

    async def test_a_folder_that_leads_outside(
        self, bench: Bench, server: FaultServer, tmp_path: Path
    ) -> None:
        outside = tmp_path / "outside"
        outside.mkdir()
        (bench.workspace.models / "loras").symlink_to(outside)
        with pytest.raises(UnsafePath):
            bench.start(server.url("/x.safetensors"), kind="lora", name="deep/x")
        # Its kind is known only by its content.
        assert (await bench.failed(server.url("/x.safetensors"), name="deep/x"))[0] == "unsafe_path"
        assert list(outside.iterdir()) == []

    async def test_one_that_is_too_large(self, open_bench: Callable[..., Bench], server: FaultServer) -> None:
        bench = open_bench(max_model_bytes=1_000_000)
        code, _ = await bench.failed(server.url("/x.safetensors"), kind="lora")
        assert (code, bench.files()) == ("too_large", [])

    async def test_a_full_disk(self, open_bench: Callable[..., Bench], server: FaultServer) -> None:
        bench = open_bench(disk_min_free_bytes=1 << 60)
        code, _ = await bench.failed(server.url("/x.safetensors"), kind="lora")
        assert (code, bench.files()) == ("insufficient_storage", [])

    async def test_nothing_there(self, bench: Bench, server: FaultServer) -> None:
        server.faults.append(Fault(status=404))
        code, _ = await bench.failed(server.url("/x.safetensors"), kind="lora")
        assert (code, bench.files()) == ("not_found", [])


async def stalled(bench: Bench, server: FaultServer) -> ProcessRecord:
    """A download that has two of its three megabytes."""
    server.faults.append(Fault(stall_after=2_000_000))
    record = bench.start(server.url("/x.safetensors"), kind="lora")
    part = bench.workspace.models / INCOMING / record.process_id / "model.part"
    await eventually(lambda: part.exists() and part.stat().st_size == 2_000_000, "two megabytes")
    return record


class TestOneOfThatName:
    async def test_is_a_conflict_before_anything_is_asked(self, bench: Bench, server: FaultServer) -> None:
        await bench.get(server.url("/x.safetensors"), kind="lora")
        asked = len(server.seen)
        with pytest.raises(Conflict, match=r"models/loras/x\.safetensors"):
            bench.start(server.url("/x.safetensors"), kind="lora")
        assert len(server.seen) == asked

    async def test_is_replaced_where_that_is_asked_for(self, bench: Bench, server: FaultServer) -> None:
        await bench.get(server.url("/x.safetensors"), kind="lora")
        server.content, server.etag = lora(b"y" * 100), '"two"'
        record = await bench.get(server.url("/x.safetensors"), kind="lora", overwrite=True)
        path = bench.workspace.models / "loras/x.safetensors"
        assert path.read_bytes() == server.content
        assert bench.digests.sha256(path) == record.outcome["sha256"]

    async def test_that_comes_meanwhile_stays(self, bench: Bench, server: FaultServer) -> None:
        record = await stalled(bench, server)
        path = bench.workspace.models / "loras/x.safetensors"
        path.parent.mkdir()
        path.write_bytes(b"mine")
        bench.manager.ask(record.process_id, ControlRequest(save=False, grace_s=1))
        await ended(bench.manager, record)
        with pytest.raises(Conflict):
            bench.manager.resume(record.process_id)
        assert path.read_bytes() == b"mine"

    async def test_two_at_once(self, bench: Bench, server: FaultServer) -> None:
        records = [bench.start(server.url(f"/{i}"), kind="lora", name="x.safetensors") for i in range(2)]
        ends = [await ended(bench.manager, record) for record in records]
        assert sorted(end.status.value for end in ends) == ["completed", "failed"]
        (failure,) = [end.failure for end in ends if end.failure]
        assert failure.code == "conflict"
        assert bench.files() == ["loras/x.safetensors", "loras/x.safetensors.card.json"]


class TestOnTheWay:
    async def test_a_cancelled_one_goes_on_where_it_was(self, bench: Bench, server: FaultServer) -> None:
        record = await stalled(bench, server)
        bench.manager.ask(record.process_id, ControlRequest(save=False, grace_s=1))
        assert (await ended(bench.manager, record)).status == "cancelled"
        bench.manager.resume(record.process_id)
        end = await ended(bench.manager, record)
        assert (end.status, end.outcome["sha256"]) == ("completed", SHA256)
        assert server.seen[-1].headers["range"] == "bytes=2000000-"

    async def test_one_of_a_worker_that_was_stopped_too(
        self, open_bench: Callable[..., Bench], server: FaultServer
    ) -> None:
        bench = open_bench()
        record = await stalled(bench, server)
        await asyncio.to_thread(bench.manager.close, Deadline.after(5))
        other = open_bench()
        assert other.manager.get(record.process_id).status == "interrupted"
        other.manager.resume(record.process_id)
        assert (await ended(other.manager, record)).status == "completed"
        assert server.sent_bytes <= len(CONTENT) + 100_000
        assert other.files() == ["loras/x.safetensors", "loras/x.safetensors.card.json"]

    async def test_connections_that_break(self, bench: Bench, server: FaultServer) -> None:
        server.faults += [Fault(reset_after=500_000) for _ in range(4)]
        assert (await bench.get(server.url("/x.safetensors"), kind="lora")).status == "completed"
        assert server.sent_bytes <= len(CONTENT) + 4 * (1 << 20)

    async def test_what_nobody_went_on_with_is_swept_away(self, bench: Bench, server: FaultServer) -> None:
        old, new = (bench.workspace.models / INCOMING / name / "model.part" for name in ("old", "new"))
        for part in (old, new):
            part.parent.mkdir(parents=True)
            part.write_bytes(b"x")
        os.utime(old, (0, old.stat().st_mtime - ABANDONED_S - 60))
        await bench.get(server.url("/x.safetensors"), kind="lora")
        assert not old.parent.exists()
        assert new.exists()


class TestTheHub:
    @pytest.fixture
    def hub(self) -> Iterator[HubStandIn]:
        with running_hub() as server:
            server.repos["me/lora"] = Repo(private=True)
            server.repos["me/lora"].commits.append({"sub/cat.safetensors": CONTENT})
            server.repos["me/lora"].commits.append({"sub/cat.safetensors": lora(b"z" * 100)})
            yield server

    @staticmethod
    def settings(hub: HubStandIn, **changes: Any) -> Mapping[str, Any]:
        return {"hf_endpoint": hub.url, "hf_token": SecretStr(TOKEN), "allow_private_urls": False, **changes}

    async def test_a_file_as_it_is_in_one_commit(
        self, open_bench: Callable[..., Bench], hub: HubStandIn
    ) -> None:
        bench = open_bench(**self.settings(hub))
        source = "hf://me/lora/sub/cat.safetensors"
        record = await bench.get(source, kind="lora")
        assert record.status == "completed", record
        assert record.outcome["path"] == "models/loras/cat.safetensors"
        assert record.outcome["source"] == source
        assert hub.authorized == [True]

    async def test_a_broken_download_goes_on(self, open_bench: Callable[..., Bench], hub: HubStandIn) -> None:
        hub.repos["me/lora"].commits.append({"cat.safetensors": CONTENT})
        hub.break_downloads, hub.break_after = 1, 2_000_000
        bench = open_bench(**self.settings(hub))
        record = await bench.get("hf://me/lora/cat.safetensors", kind="lora")
        assert record.outcome["sha256"] == SHA256
        first, second = hub.ranges
        assert first is None
        # How much had come when the connection broke is the network's business.
        assert second is not None
        assert second.startswith("bytes=")
        assert second != "bytes=0-"

    @pytest.mark.parametrize(
        ("source", "code"),
        [
            ("hf://me/lora/nothing.safetensors", "not_found"),
            ("hf://me/nobody/cat.safetensors", "upstream_error"),
        ],
    )
    async def test_what_is_not_there(
        self, open_bench: Callable[..., Bench], hub: HubStandIn, source: str, code: str
    ) -> None:
        bench = open_bench(**self.settings(hub))
        assert (await bench.failed(source, kind="lora"))[0] == code
        assert bench.files() == []

    def test_a_hub_that_is_never_asked(self, open_bench: Callable[..., Bench], hub: HubStandIn) -> None:
        bench = open_bench(**self.settings(hub, hf_hub_offline=True))
        with pytest.raises(Unsupported, match="HF_HUB_OFFLINE is set"):
            bench.start("hf://me/lora/sub/cat.safetensors", kind="lora")


class TestByAnotherProgram:
    async def test_it_is_asked_by_its_own_name_of_the_file(self, bench: Bench) -> None:
        record = await bench.get("hf://me/lora/cat.safetensors@v1", engine="program", kind="lora", name="cat")
        assert record.outcome == {
            "name": "cat.safetensors from hf://me/lora@v1/cat.safetensors",
            "kind": ModelKind.LORA,
            "engine": "program",
        }
        assert record.engine == "program"

    async def test_it_is_stopped(self, bench: Bench) -> None:
        record = bench.start("https://x/y.safetensors", engine="program", kind="lora", name="endless")
        await until(bench.manager, record, lambda now: now.progress.percent == 50)
        bench.manager.ask(record.process_id, ControlRequest(save=False, grace_s=1))
        assert (await ended(bench.manager, record)).status == "cancelled"

    @pytest.mark.parametrize(
        "fields",
        [
            {"engine": "nobody", "kind": "lora", "name": "x"},
            {"engine": "program", "name": "x"},
            {"engine": "program", "kind": "lora"},
            {"engine": "program", "kind": "lora", "name": "x", "sha256": SHA256},
            {"engine": "program", "kind": "lora", "name": "x", "overwrite": True},
        ],
    )
    def test_what_it_cannot_do(self, bench: Bench, fields: dict[str, Any]) -> None:
        with pytest.raises((InvalidInput, Unsupported)):
            bench.start("https://x/y.safetensors", **fields)
