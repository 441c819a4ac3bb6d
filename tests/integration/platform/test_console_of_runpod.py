"""What the console asks RunPod: the doctor's findings, their fixes, and the bill; the key stays in the console."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.platform.conftest import IMAGE, RunCommand
from tests.running_console import running_console
from tests.servers.platform import KEY, PlatformFault, PlatformStandIn
from tests.unit.client.console.test_console_server import HttpCaller

from lorapod.client import Client
from lorapod.client.console.of_runpod import RunpodEndpoint
from lorapod.testing.fake_queue import FakeQueue


@pytest.fixture
def endpoint(call: RunCommand, account: PlatformStandIn) -> dict[str, Any]:
    """An endpoint as `deploy` makes it, with max workers at 0; it and its volume cost something."""
    call("deploy", "--image", IMAGE, "--yes")
    (made,) = account.endpoints.values()
    (volume,) = account.volumes
    made["workers"]["max"] = 0
    account.billing.today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    account.billing.add(made["id"], gpu=0.1, disk=0.2)
    account.billing.add(made["id"], days_ago=1, gpu=2.5)
    account.billing.add("ep-other", gpu=7.0)
    account.billing.add_volume(volume, 0.25, days_ago=1)
    account.requests.clear()
    return made


@pytest.fixture
def caller(
    account: PlatformStandIn, endpoint: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[HttpCaller]:
    monkeypatch.setenv("RUNPOD_REST_URL", account.url)
    runpod = RunpodEndpoint(endpoint["id"], KEY, {**os.environ, "RUNPOD_API_KEY": KEY})
    queue = FakeQueue()
    client = Client("https://runpod.test/v2/fake/", KEY, http=queue)
    with running_console(
        client, tmp_path / "cache", bill=runpod.bill(), doctor=runpod.doctor(), prices=runpod.prices()
    ) as console:
        caller = HttpCaller(console=console)
        caller.open()
        yield caller
    assert queue.inputs == []
    assert KEY not in str(caller.answers)


def post(caller: HttpCaller, path: str, **body: Any) -> None:
    assert caller.send(path, method="POST", body=body).status == 202, caller.text
    caller.console.wait_for_asks()


def test_a_finding_is_mended_by_its_button(
    caller: HttpCaller, account: PlatformStandIn, endpoint: dict[str, Any]
) -> None:
    post(caller, "/api/doctor/look")
    told = caller.json("/api/doctor")
    found = told["findings"][0]
    assert (found["severity"], found["fixable"]) == ("problem", True)
    assert "Max workers is 0" in found["message"]
    assert not told["wakes_worker"]
    assert account.changes == []

    post(caller, "/api/doctor/fix", check=found["check"])
    assert endpoint["workers"]["max"] > 0
    told = caller.json("/api/doctor")
    assert "Max workers is 0" not in str(told["findings"])
    assert told["ask"]["problem"] is None
    assert caller.send("/api/doctor/fix", method="POST", body={"check": found["check"]}).status == 404


def test_a_platform_that_refuses_is_told(caller: HttpCaller, account: PlatformStandIn) -> None:
    account.faults = [PlatformFault(status=403, detail=f"the key {KEY} may not do that") for _ in range(9)]
    post(caller, "/api/doctor/look")
    told = caller.json("/api/doctor")
    assert "may not do that" in str(told)
    assert told["findings"][0]["severity"] == "problem"
    # The fixture fails if the key is in an answer.


def test_home_shows_what_runpod_billed_and_which_volume(caller: HttpCaller) -> None:
    caller.console.wait_until(lambda: caller.json("/api/home")["bill"] is not None)
    bill = caller.json("/api/home")["bill"]
    assert bill["total_usd"] == pytest.approx(3.05)
    assert bill["volumes_usd"] == pytest.approx(0.25)
    assert bill["today_usd"] == pytest.approx(0.3)
    assert [(volume["size_gb"], volume["data_center"]) for volume in bill["volumes"]] == [(100, "EU-RO-1")]
    assert bill["problem"] is None
    assert caller.json("/api/endpoint")["ask_cost"].startswith("about $")
