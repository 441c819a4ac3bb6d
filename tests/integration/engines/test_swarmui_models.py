"""SwarmUI's models by the worker's actions' port, and its downloads, against the stand-in."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from pydantic import SecretStr
from tests.servers.fault_server import Fault, FaultServer
from tests.servers.fault_thread import FaultThread
from tests.servers.swarmui import SwarmStandIn

from lorapod.engines.swarmui.addresses import ModelAddresses
from lorapod.engines.swarmui.connection import SocketDropped, SwarmUnreachable
from lorapod.engines.swarmui.downloads import SwarmDownloads
from lorapod.engines.swarmui.models import SwarmModels
from lorapod.engines.swarmui.session import SwarmSession
from lorapod.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    UnsafeUrl,
    Unsupported,
    UpstreamError,
    WorkerError,
)
from lorapod.models.kinds import ModelKind
from lorapod.models.port import DownloadStopped, WantedModel


@pytest.fixture
def server() -> Iterator[SwarmStandIn]:
    stand_in = SwarmStandIn()
    stand_in.models.add("LoRA", "people/cat.safetensors", title="Cat", tags=["pet"], author="me")
    stand_in.models.add("LoRA", "dog.safetensors")
    stand_in.models.add("VAE", "dog.safetensors")
    with stand_in.running():
        yield stand_in


@pytest.fixture
def catalog(server: SwarmStandIn) -> SwarmModels:
    return SwarmModels(server.url, SwarmSession())


def names(catalog: SwarmModels, **fields: Any) -> list[str]:
    page = catalog.page(**{"kind": None, "limit": 100, "cursor": None, **fields})
    return [f"{model.kind}:{model.name}" for model in page.models]


class TestLists:
    def test_every_kind_is_listed(self, catalog: SwarmModels) -> None:
        assert names(catalog) == [
            "checkpoint:Official/tiny-turbo",
            "checkpoint:Official/tiny",
            "checkpoint:other",
            "lora:dog",
            "lora:people/cat",
            "vae:dog",
        ]

    def test_one_kind_is_listed(self, catalog: SwarmModels, server: SwarmStandIn) -> None:
        assert names(catalog, kind=ModelKind.LORA) == ["lora:dog", "lora:people/cat"]
        assert [fields["subtype"] for fields in server.fields_of("ListModels")] == ["LoRA"]
        assert names(catalog, kind=ModelKind.UPSCALE) == []

    def test_pages_follow_one_another(self, catalog: SwarmModels) -> None:
        whole, found, cursor = names(catalog), [], None
        for _ in range(10):
            page = catalog.page(kind=None, limit=2, cursor=cursor)
            found += [f"{model.kind}:{model.name}" for model in page.models]
            cursor = page.next_cursor
            if cursor is None:
                break

        assert found == whole

    @pytest.mark.parametrize("cursor", ["x", "AAAA", "e30=", "WzFd", "ü"])
    def test_a_cursor_of_somebody_elses_is_refused(self, catalog: SwarmModels, cursor: str) -> None:
        with pytest.raises(InvalidInput, match="cursor"):
            names(catalog, cursor=cursor)

    def test_a_server_that_is_away_is_told(self) -> None:
        server = SwarmStandIn()
        with server.running():
            pass

        with pytest.raises(SwarmUnreachable):
            names(SwarmModels(server.url, SwarmSession()))
        with pytest.raises(Unsupported, match="This worker has no SwarmUI"):
            names(SwarmModels(server.url, SwarmSession(), named=False))


class TestCards:
    @pytest.mark.parametrize("name", ["people/cat", "people/cat.safetensors", "cat", "cat.safetensors"])
    def test_a_model_is_found_by_its_name(self, catalog: SwarmModels, name: str) -> None:
        found = catalog.describe(name, kind=None, digest=True)

        assert (found.name, found.kind, found.title) == ("people/cat", "lora", "Cat")

    def test_one_with_another_suffix_is_found_without_it(self, catalog: SwarmModels) -> None:
        assert catalog.describe("other", kind=None, digest=False).format == "gguf"

    def test_a_kind_tells_two_apart(self, catalog: SwarmModels) -> None:
        assert catalog.describe("dog", kind=ModelKind.VAE, digest=False).kind == "vae"
        assert catalog.describe("dog", kind=ModelKind.LORA, digest=False).kind == "lora"

    def test_several_of_one_name_are_a_question(self, catalog: SwarmModels, server: SwarmStandIn) -> None:
        server.models.add("LoRA", "animals/cat.safetensors")

        with pytest.raises(Conflict, match="2 models 'cat'") as refused:
            catalog.describe("cat", kind=None, digest=False)

        assert "animals/cat.safetensors, people/cat.safetensors" in refused.value.hint

    def test_one_that_is_not_there(self, catalog: SwarmModels) -> None:
        with pytest.raises(NotFound, match="no model 'flux'"):
            catalog.describe("flux", kind=None, digest=False)


class TestEdits:
    def test_only_what_was_asked_for_changes(self, catalog: SwarmModels, server: SwarmStandIn) -> None:
        changed = catalog.edit(
            "people/cat", kind=None, changes={"description": "A cat.", "tags": ["pet", "fur"]}
        )

        assert (changed.title, changed.author, changed.description) == ("Cat", "me", "A cat.")
        assert changed.tags == ["pet", "fur"]
        (asked,) = server.fields_of("EditModelMetadata")
        assert asked["model"] == "people/cat.safetensors"
        assert asked["subtype"] == "LoRA"

    def test_null_removes(self, catalog: SwarmModels) -> None:
        changed = catalog.edit("people/cat", kind=None, changes={"title": None, "tags": None})

        assert (changed.title, changed.tags, changed.author) == (None, None, "me")

    def test_two_at_once_lose_nothing(self, catalog: SwarmModels) -> None:
        fields: Sequence[dict[str, Any]] = [
            {"title": "New"},
            {"author": "you"},
            {"license": "MIT"},
            {"usage_hint": "x"},
        ]
        threads = [
            threading.Thread(
                target=catalog.edit, args=("people/cat",), kwargs={"kind": None, "changes": each}
            )
            for each in fields
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = catalog.describe("people/cat", kind=None, digest=False)
        assert (found.title, found.author, found.license, found.usage_hint) == ("New", "you", "MIT", "x")

    def test_one_of_another_server_is_not_edited(self, catalog: SwarmModels, server: SwarmStandIn) -> None:
        server.models.add("LoRA", "far.safetensors", local=False)

        with pytest.raises(Unsupported, match="another server"):
            catalog.edit("far", kind=None, changes={"title": "x"})

    def test_a_field_that_it_has_not_changes_nothing(
        self, catalog: SwarmModels, server: SwarmStandIn
    ) -> None:
        with pytest.raises(Unsupported, match="'source'"):
            catalog.edit("people/cat", kind=None, changes={"source": "x"})
        assert server.fields_of("EditModelMetadata") == []


@pytest.fixture
def origin(server: SwarmStandIn) -> Iterator[FaultServer]:
    with FaultThread() as found:
        server.models.sources[found.url("/m.safetensors")] = b"x" * 5000
        server.models.sources[found.url("/m.gguf")] = b"x" * 5000
        yield found


class Told:
    def __init__(self) -> None:
        self.shares: list[float | None] = []
        self.stop = threading.Event()

    def report(self, share: float | None, _speed: float | None) -> None:
        self.shares.append(share)


def download(
    server: SwarmStandIn, source: str, told: Told | None = None, *, name: str = "new", **addresses: Any
) -> str:
    told = told or Told()
    found = ModelAddresses(**{"allow_private": True, **addresses})
    wanted = WantedModel(source=source, kind=ModelKind.LORA, name=name, metadata={"modelspec.title": "New"})
    return SwarmDownloads(server.url, SwarmSession(), found).download(
        wanted, stopped=told.stop.is_set, report=told.report
    )


class TestDownloads:
    def test_it_comes_with_progress(self, server: SwarmStandIn, origin: FaultServer) -> None:
        told = Told()

        assert download(server, origin.url("/m.safetensors"), told) == "new.safetensors"

        assert told.shares == [0.2, 0.4, 0.6, 0.8, 1.0]
        (asked,) = server.models.downloads
        assert (asked["type"], asked["name"]) == ("LoRA", "new")
        assert asked["metadata"] == '{"modelspec.title": "New"}'
        assert "new.safetensors" in server.models.sets["LoRA"]

    def test_another_suffix_survives_a_signed_address(
        self, server: SwarmStandIn, origin: FaultServer
    ) -> None:
        signed = origin.url("/blob?signature=abc")
        server.models.sources[signed] = b"x"
        origin.faults.append(Fault(status=302, headers={"Location": signed}))

        assert download(server, origin.url("/m.gguf")) == "new.gguf"
        assert server.models.downloads[0]["url"] == f"{signed}#.gguf"

    def test_names_are_what_swarmui_makes_of_them(self, server: SwarmStandIn, origin: FaultServer) -> None:
        assert download(server, origin.url("/m.safetensors"), name="my cats/cat v1.5.safetensors") == (
            "my_cats/cat_v1_5.safetensors"
        )
        assert "my_cats/cat_v1_5.safetensors" in server.models.sets["LoRA"]

    @pytest.mark.parametrize("name", ["../up", "a//b", "/abs", "a\\b", "", "x/", "con\0"])
    def test_names_that_lead_elsewhere_are_refused(
        self, server: SwarmStandIn, origin: FaultServer, name: str
    ) -> None:
        with pytest.raises(InvalidInput, match="name"):
            download(server, origin.url("/m.safetensors"), name=name)

    def test_the_hub_is_asked_with_the_token_and_swarmui_is_not_told_it(
        self, server: SwarmStandIn, origin: FaultServer
    ) -> None:
        signed = origin.url("/cdn?signature=abc", host="localhost")
        server.models.sources[signed] = b"x"
        origin.faults.append(Fault(status=302, headers={"Location": signed}))

        download(
            server,
            "hf://me/models@v1/sub/m.safetensors",
            hf_endpoint=origin.url(""),
            hf_token=SecretStr("hf_secret_token"),
        )

        first, second = origin.seen
        assert first.path == "/me/models/resolve/v1/sub/m.safetensors"
        assert first.headers["authorization"] == "Bearer hf_secret_token"
        assert "authorization" not in second.headers
        assert "hf_secret_token" not in str(server.asked)

    @pytest.mark.parametrize(
        "source", ["hf://one", "hf://a/b", "hf:///x", "ftp://x/y", "file:///etc/passwd", "x"]
    )
    def test_what_is_no_address_is_refused(self, server: SwarmStandIn, source: str) -> None:
        with pytest.raises(WorkerError):
            download(server, source)
        assert server.models.downloads == []

    def test_a_private_address_never_reaches_swarmui(self, server: SwarmStandIn, origin: FaultServer) -> None:
        with pytest.raises(UnsafeUrl):
            download(server, origin.url("/m.safetensors"), allow_private=False)
        assert server.models.downloads == []

    def test_nor_one_that_another_leads_to(self, server: SwarmStandIn, origin: FaultServer) -> None:
        origin.faults.append(Fault(status=302, headers={"Location": "ftp://127.0.0.1/"}))

        with pytest.raises(UnsafeUrl):
            download(server, origin.url("/m.safetensors"))
        assert server.models.downloads == []

    def test_a_circle_of_redirects_ends(self, server: SwarmStandIn, origin: FaultServer) -> None:
        origin.faults.extend([Fault(status=302, headers={"Location": "/again"})] * 10)

        with pytest.raises(UnsafeUrl, match="more than 5 times"):
            download(server, origin.url("/m.safetensors"))

    @pytest.mark.parametrize(
        ("status", "kind"), [(404, NotFound), (403, UpstreamError), (500, UpstreamError)]
    )
    def test_what_the_origin_refuses_is_told(
        self, server: SwarmStandIn, origin: FaultServer, status: int, kind: type[WorkerError]
    ) -> None:
        origin.faults.append(Fault(status=status))

        with pytest.raises(kind, match=str(status)):
            download(server, origin.url("/m.safetensors"))

    def test_one_that_is_there_already(self, server: SwarmStandIn, origin: FaultServer) -> None:
        with pytest.raises(Conflict, match="already exists"):
            download(server, origin.url("/m.safetensors"), name="dog")

    def test_a_failure_at_swarmui_is_told_without_the_signature(
        self, server: SwarmStandIn, origin: FaultServer
    ) -> None:
        with pytest.raises(UpstreamError) as failed:
            download(server, origin.url("/gone?signature=abc"))

        assert "got response code 404" in failed.value.message
        assert "signature" not in failed.value.message

    def test_it_is_cancelled_at_swarmui(self, server: SwarmStandIn, origin: FaultServer) -> None:
        server.models.chunk_s = 0.05
        server.models.sources[origin.url("/m.safetensors")] = b"x" * 1_000_000
        told = Told()
        threading.Timer(0.3, told.stop.set).start()
        began_s = time.monotonic()

        with pytest.raises(DownloadStopped):
            download(server, origin.url("/m.safetensors"), told)

        assert time.monotonic() - began_s < 5
        assert server.models.cancelled == 1
        assert "new.safetensors" not in server.models.sets["LoRA"]

    def test_a_connection_that_breaks_is_told(self, server: SwarmStandIn, origin: FaultServer) -> None:
        server.models.drop_after = 2

        with pytest.raises(SocketDropped, match="may still fetch it"):
            download(server, origin.url("/m.safetensors"))

    def test_a_kind_that_it_has_not_is_refused(self, server: SwarmStandIn) -> None:
        wanted = WantedModel(source="https://example.org/x.safetensors", kind=ModelKind.UPSCALE, name="x")

        with pytest.raises(Unsupported, match="upscale"):
            SwarmDownloads(server.url, SwarmSession(), ModelAddresses()).check(wanted)
