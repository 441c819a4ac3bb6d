"""The management API, against a stand-in whose every request and answer RunPod's specification judges."""

from __future__ import annotations

import pytest
from tests.servers.platform import PlatformFault, PlatformStandIn
from tests.servers.platform_parts import log_lines, worker

from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import (
    AccessDenied,
    AnswerUnreadable,
    KeyRefused,
    NotOnPlatform,
    PlatformError,
    PlatformFailed,
    PlatformUnreachable,
    RateLimited,
    RequestRefused,
    StateConflict,
)
from lorapod.platform.models import FlashBoot, Stock, WorkerCondition
from lorapod.platform.requests import EndpointSettings, GpuChoice, QueueDelay, VolumeOrder, WorkerChoice

SETTINGS = EndpointSettings(
    name="lorapod",
    type="QUEUE",
    image="me/lorapod:1",
    env={"HANDLER": "backend"},
    gpu=GpuChoice(pools=["ADA_24"], min_cuda_version="13.0"),
    workers=WorkerChoice(min=0, max=2, idle_timeout=60),
    scaling=QueueDelay(type="QUEUE_DELAY", queue_delay=4),
    timeout=86_400_000,
    flashboot=FlashBoot.FLASHBOOT,
)


class TestEndpoints:
    def test_an_endpoint_is_made_read_changed_and_deleted(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        made = platform.create_endpoint(SETTINGS)

        assert platform.endpoint(made.id) == made
        assert platform.endpoints() == [made]
        assert made.gpu is not None
        assert made.gpu.min_cuda_version == "13.0"
        assert made.flashboot == FlashBoot.FLASHBOOT
        assert made.workers.idle_timeout == 60

        changed = platform.update_endpoint(made.id, EndpointSettings(timeout=1000))

        assert changed.timeout == 1000
        assert account.requests[-1] == ("PATCH", f"/v2/serverless/{made.id}", {"timeout": 1000})

        platform.delete_endpoint(made.id)

        assert account.endpoints == {}

    def test_workers_and_releases_are_read(self, account: PlatformStandIn, platform: RunpodPlatform) -> None:
        made = platform.create_endpoint(SETTINGS)
        account.workers[made.id] = [worker("w1", "THROTTLED", image="me/lorapod:0")]
        account.releases[made.id] = [
            {
                "id": "r1",
                "source": "MANUAL",
                "createdAt": "2026-11-20T10:00:00Z",
                "workerCount": 0,
                "diff": [{"field": "workersMax", "old": 3, "new": 0}],
            }
        ]

        (found,) = platform.workers(made.id)
        (release,) = platform.releases(made.id)

        assert (found.status, found.image) == (WorkerCondition.THROTTLED, "me/lorapod:0")
        assert [(change.field, change.new) for change in release.diff] == [("workersMax", 0)]

    def test_the_end_of_a_log_is_read_from_a_stream_that_stays_open(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        made = platform.create_endpoint(SETTINGS)
        account.logs["w1"] = log_lines("one", "two: three", "four")

        lines = platform.worker_log(made.id, "w1", lines=2)

        assert [line.line for line in lines] == ["two: three", "four"]
        assert lines[0].source == "container"

    def test_secrets_of_an_endpoint_are_in_no_representation(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        made = account.add_endpoint(name="x", image="i", env={"HF_TOKEN": "hf_made_up"})

        assert "hf_made_up" not in repr(platform.endpoint(made["id"]))


class TestVolumesAndCatalog:
    def test_a_volume_is_made_and_listed(self, platform: RunpodPlatform) -> None:
        made = platform.create_volume(VolumeOrder(name="lorapod", size=100, data_center="US-KS-2"))

        assert platform.volumes() == [made]
        assert (made.size, made.data_center) == (100, "US-KS-2")

    def test_the_catalog_has_prices_and_stock(self, platform: RunpodPlatform) -> None:
        gpus = {gpu.id: gpu for gpu in platform.gpu_types(min_cuda_version="13.0")}
        cpus = {cpu.id: cpu for cpu in platform.cpu_flavors(vcpu_count=2)}
        places = {place.id: place for place in platform.data_centers()}

        assert gpus["NVIDIA GeForce RTX 4090"].price.serverless == 1.1
        assert gpus["NVIDIA RTX PRO 6000"].pool is None
        assert gpus["NVIDIA RTX A4000"].availability is Stock.NONE
        assert cpus["cpu5c"].price.serverless_per_vcpu == 0.035
        assert places["CA-MTL-1"].network_volume_types == []


class TestFaults:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, RequestRefused),
            (401, KeyRefused),
            (403, AccessDenied),
            (404, NotOnPlatform),
            (409, StateConflict),
            (422, RequestRefused),
            (418, RequestRefused),
            (429, RateLimited),
            (500, PlatformFailed),
            (503, PlatformFailed),
        ],
    )
    def test_a_refusal_says_what_and_what_to_do(
        self, status: int, kind: type[PlatformError], account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(status=status, detail="because of reasons.")] * 9

        with pytest.raises(kind) as caught:
            platform.volumes()

        assert "because of reasons" in caught.value.message
        assert ".." not in caught.value.message
        assert caught.value.hint

    def test_the_problems_of_a_request_are_kept(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(status=422, errors=["$.image: no such image"])]

        with pytest.raises(RequestRefused) as caught:
            platform.create_endpoint(SETTINGS)

        assert caught.value.problems == ("$.image: no such image",)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_reading_is_repeated_until_it_succeeds(
        self, status: int, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(status=status)] * 2

        assert platform.volumes() == []
        assert len(account.requests) == 3

    def test_retry_after_is_told_once_patience_ends(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        # The stand-in's waits are cut to `longest_wait_s`.
        account.faults = [PlatformFault(status=429, retry_after="0")] * 2 + [
            PlatformFault(status=429, retry_after="120")
        ]

        with pytest.raises(RateLimited, match="Try again in 120 s"):
            platform.volumes()

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_nothing_is_made_twice_after_a_failure(
        self, status: int, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(status=status, method="POST")]

        with pytest.raises(PlatformFailed):
            platform.create_volume(VolumeOrder(name="lorapod", size=100, data_center="US-KS-2"))

        assert len(account.requests) == 1

    def test_a_creation_that_had_no_effect_is_repeated(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(status=429, method="POST", retry_after="0")]

        platform.create_volume(VolumeOrder(name="lorapod", size=100, data_center="US-KS-2"))

        assert len(account.volumes) == 1

    def test_a_broken_connection_is_repeated_for_what_only_reads(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(cut="after")]

        assert platform.volumes() == []

    def test_a_broken_connection_is_not_repeated_for_a_creation(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.faults = [PlatformFault(method="POST", cut="after")]

        with pytest.raises(PlatformUnreachable, match="may have been made"):
            platform.create_volume(VolumeOrder(name="lorapod", size=100, data_center="US-KS-2"))

        assert len(account.volumes) == 1

    def test_an_answer_of_another_form_is_named(
        self, account: PlatformStandIn, platform: RunpodPlatform
    ) -> None:
        account.add_volume(name="lorapod", size="a hundred", dataCenter="US-KS-2")

        with pytest.raises(AnswerUnreadable, match=r"0\.size"):
            platform.volumes()

        account.referee.breaches.clear()
