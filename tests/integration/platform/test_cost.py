"""`lorapod cost`: what RunPod billed, by day and by endpoint, and what happens if it does not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.platform.conftest import IMAGE, RunCommand
from tests.servers.platform import KEY, PlatformFault, PlatformStandIn


@pytest.fixture
def endpoint(call: RunCommand, account: PlatformStandIn) -> str:
    """The id of an endpoint as `deploy` makes it, which `lorapod.toml` names; it and its volume cost something."""
    call("deploy", "--image", IMAGE, "--yes")
    (made,) = account.endpoints.values()
    (volume,) = account.volumes
    account.requests.clear()
    account.billing.add(made["id"], gpu=0.1, disk=0.2)
    account.billing.add(made["id"], days_ago=1, gpu=2.5, fee=0.25)
    account.billing.add("ep-other", days_ago=1, gpu=7.0)
    account.billing.add_volume(volume, 0.23, days_ago=1)
    account.billing.add_volume("vol-other", 5.0)
    return str(made["id"])


def answer(call: RunCommand, *options: str) -> dict[str, Any]:
    return dict(json.loads(call("cost", "--json", *options)))


class TestWhatCounts:
    def test_the_endpoint_and_the_volume_of_this_folder(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str
    ) -> None:
        shown = call("cost")

        rows = [line.split() for line in shown.splitlines()]
        assert rows[:3] == [
            ["day", "GPU", "CPU", "disk", "fee", "total"],
            ["2026-11-27", "$2.50", "$0.25", "$2.75"],
            ["2026-11-28", "$0.10", "$0.20", "$0.30"],
        ]
        assert f"lorapod ({endpoint}): $3.05 in the last 30 days (UTC)" in shown
        assert "volume vol" in shown
        assert "$0.23" in shown
        assert "together: $3.28" in shown
        assert account.changes == []

    def test_a_script_gets_exact_sums(self, call: RunCommand, endpoint: str) -> None:
        told = answer(call)

        assert told["endpoints"] == [endpoint]
        # In binary numbers, 0.1 + 0.2 is something else.
        assert told["rows"][1] == {
            "day": "2026-11-28",
            "gpu_usd": 0.1,
            "cpu_usd": 0.0,
            "disk_usd": 0.2,
            "fee_usd": 0.0,
            "total_usd": 0.3,
        }
        assert (told["serverless_usd"], told["volumes_usd"], told["total_usd"]) == (3.05, 0.23, 3.28)

    def test_all_of_the_account_by_endpoint(self, call: RunCommand, endpoint: str) -> None:
        told = answer(call, "--all", "--by", "endpoint")

        named = [(row["endpoint_id"], row["name"], row["total_usd"]) for row in told["rows"]]
        assert named == [("ep-other", None, 7.0), (endpoint, "lorapod", 3.05)]
        assert told["total_usd"] == 15.28
        assert "ep-other (deleted)" in call("cost", "--all", "--by", "endpoint")

    def test_a_named_endpoint_that_is_deleted_already(self, call: RunCommand, endpoint: str) -> None:
        shown = call("cost", "--endpoint", "ep-other")

        assert "ep-other (deleted): $7.00 in the last 30 days" in shown
        assert "volume" not in shown

    def test_the_front_door_counts_too(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str
    ) -> None:
        call("deploy", "--yes", "--front-door", "cpu")
        (door,) = (each["id"] for each in account.endpoints.values() if "cpu" in each)
        account.billing.add(door, cpu=0.04)

        told = answer(call, "--by", "endpoint")

        assert [(row["endpoint_id"], row["total_usd"]) for row in told["rows"]] == [
            (endpoint, 3.05),
            (door, 0.04),
        ]
        assert told["volumes_usd"] == 0.23

    def test_several_volumes_count_and_no_others(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str
    ) -> None:
        more = account.add_volume(name="more", size=10, dataCenter="EU-RO-1")["id"]
        account.endpoints[endpoint]["networkVolumes"].append(more)
        account.billing.add_volume(more, 0.5)

        told = answer(call)

        assert [one["total_usd"] for one in told["volumes"]] == [0.23, 0.5]
        assert told["volumes_usd"] == 0.73

    def test_without_a_deployment_everything_counts(
        self, call: RunCommand, endpoint: str, folder: Path
    ) -> None:
        (folder / "lorapod.toml").unlink()

        assert "all endpoints: $10.05 in the last 30 days" in call("cost")


class TestDays:
    def test_only_so_many_days_are_asked_for(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str
    ) -> None:
        assert answer(call, "--days", "1")["total_usd"] == 0.3
        assert f"lorapod ({endpoint}): $0.30 today (UTC)" in call("cost", "--days", "1")
        (volume,) = account.volumes
        asked = [path for _, path, _ in account.requests if "/billing/" in path]
        # One endpoint is asked for alone: the account may have hundreds.
        assert asked[:2] == [
            f"/v2/billing/serverless?lastN=1&bucketSize=day&serverlessId={endpoint}",
            f"/v2/billing/network-volumes?lastN=1&bucketSize=day&networkVolumeId={volume}",
        ]

    def test_nothing_was_billed(self, call: RunCommand, account: PlatformStandIn, endpoint: str) -> None:
        account.billing.serverless.clear()
        account.billing.volumes.clear()

        shown = call("cost")

        assert shown.splitlines() == [f"lorapod ({endpoint}): $0.00 in the last 30 days (UTC)"]
        assert answer(call)["rows"] == []

    @pytest.mark.parametrize(
        "options", [("--days", "0"), ("--days", "x"), ("--by", "hour"), ("--all", "--endpoint", "e")]
    )
    def test_a_wrong_call_ends_with_two(self, call: RunCommand, options: tuple[str, ...]) -> None:
        call("cost", *options, code=2)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (PlatformFault(status=401, path="/billing/serverless"), "does not accept the API key"),
            (PlatformFault(status=403, path="/billing/serverless"), "may not do this"),
            (PlatformFault(status=404, path="/billing/serverless"), "knows no such thing"),
            (PlatformFault(status=403, path="/billing/network-volumes"), "may not do this"),
        ],
    )
    def test_a_refusal_ends_with_one_and_what_to_do(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str, fault: PlatformFault, said: str
    ) -> None:
        account.faults.append(fault)
        assert said in call("cost", code=1)

    def test_an_unknown_endpoint_is_named(self, call: RunCommand, endpoint: str) -> None:
        told = call("cost", "--endpoint", "ep-nothing", code=1)
        assert "RunPod has no endpoint ep-nothing, and billed nothing for it" in told
        assert json.loads(call("cost", "--endpoint", "ep-nothing", "--json", code=1))["hint"]

    @pytest.mark.parametrize(
        "fault",
        [
            PlatformFault(status=429, path="/billing/serverless", retry_after="0"),
            PlatformFault(status=500, path="/billing/serverless"),
            PlatformFault(cut="before", path="/billing/serverless"),
            PlatformFault(cut="after", path="/billing/network-volumes"),
        ],
    )
    def test_what_passes_is_tried_again(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str, fault: PlatformFault
    ) -> None:
        account.faults.append(fault)
        assert "together: $3.28" in call("cost")

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (PlatformFault(status=429, path="/billing/serverless"), "too many requests"),
            (PlatformFault(status=500, path="/billing/serverless"), "failed with status 500"),
            (PlatformFault(cut="before", path="/billing/serverless"), "broke off"),
        ],
    )
    def test_what_stays_ends_with_one(
        self, call: RunCommand, account: PlatformStandIn, endpoint: str, fault: PlatformFault, said: str
    ) -> None:
        account.faults += [fault] * 3
        assert said in call("cost", code=1)

    def test_without_a_key_it_says_where_one_is_made(self, call: RunCommand) -> None:
        assert "RUNPOD_API_KEY" in call("cost", code=1, key="")

    def test_a_wrong_key_is_not_shown(self, call: RunCommand, account: PlatformStandIn) -> None:
        told = call("cost", code=1, key=f"{KEY}x")
        assert "does not accept the API key" in told
        assert f"{KEY}x" not in told
