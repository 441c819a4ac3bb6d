"""What the commands say of money: estimates, budgets, the running cost, and workers that are left on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.integration.platform.conftest import IMAGE, RunCommand
from tests.report_worker import ReportWorker
from tests.servers.platform import KEY, PlatformFault, PlatformStandIn
from tests.servers.platform_parts import worker

from lorapod.client import Client, RetryPolicy
from lorapod.client.commands import follow, live, watch
from lorapod.client.commands.session import Connection
from lorapod.client.money import idle_workers, price_book
from lorapod.client.report_page.live import LiveServer
from lorapod.platform.transport import PlatformRetries
from lorapod.testing.fake_queue import FakeQueue

GPU = "NVIDIA GeForce RTX 4090"
ID = "train_0123456789ab"
ESTIMATE = {"duration_s": 2618.0, "basis": "measured on this GPU", "gpu": GPU, "explanation": "x"}
TRAIN = ("train", "--preset", "sd15", "--dataset", "cat")


def process(status: str = "running", **fields: Any) -> dict[str, Any]:
    return {
        "process_id": ID,
        "type": "train",
        "name": "cat",
        "trainer": "ai-toolkit",
        "status": status,
        "progress": {"step": 0, "total_steps": 100},
        "checkpoints": [],
        "samples": [],
        "output_path": f"output/{ID}",
        "gpu": GPU,
        "ran_s": 900.0,
        "estimate": ESTIMATE,
        "ended_at": None if status == "running" else "2026-11-28T12:00:00Z",
        **fields,
    }


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQueue]:
    """The queue of the endpoint, in memory."""
    queue = FakeQueue()
    queue.states = [{"status": "COMPLETED", "output": started()}]
    once = RetryPolicy(attempts=1)
    with Client("https://runpod.test/v2/fake", KEY, http=queue, retries=once) as client:
        monkeypatch.setattr(Connection, "client", lambda _self: client)
        monkeypatch.setattr(client, "close", lambda: None)
        yield queue


@pytest.fixture
def endpoint(call: RunCommand, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An endpoint as `deploy` makes it, with RTX 4090 and L40S, which `lorapod.toml` names."""
    quick = PlatformRetries(attempts=2, first_wait_s=0.001, longest_wait_s=0.01)
    monkeypatch.setattr(price_book, "RETRIES", quick)
    monkeypatch.setattr(idle_workers, "INTERVAL_S", 0.01)
    call("deploy", "--image", IMAGE, "--yes")
    (made,) = account.endpoints.values()
    account.requests.clear()
    return made


def started(**fields: Any) -> dict[str, Any]:
    return {"process_id": ID, "status": "queued", "estimate": ESTIMATE, **fields}


def rehearsed(**fields: Any) -> dict[str, Any]:
    return {
        "warnings": [],
        "accepted": True,
        "trainer": "ai-toolkit",
        "refused": [],
        "estimate": ESTIMATE,
        **fields,
    }


def sent(queue: FakeQueue) -> dict[str, Any]:
    return next(asked for asked in reversed(queue.inputs) if asked["type"] in {"train", "resume"})


class TestEstimates:
    def test_a_dry_run_says_what_it_costs_on_the_gpu(
        self, call: RunCommand, queue: FakeQueue, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        queue.actions["train"] = lambda _: rehearsed()

        shown = call(*TRAIN, "--dry-run")

        assert shown.splitlines()[-1] == "takes about 44 min on RTX 4090, $0.80 (measured on this GPU)"
        assert [path for _, path, _ in account.requests] == [
            f"/v2/serverless/{endpoint['id']}",
            "/v2/catalog/gpus",
        ]

    def test_a_script_gets_it_as_numbers(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        queue.actions["train"] = lambda _: rehearsed()
        told = json.loads(call(*TRAIN, "--dry-run", "--json"))
        assert told["cost"] == {"expected_usd": 0.799944, "usd_per_hour": 1.1, "gpu": "RTX 4090"}

    def test_so_does_a_start(self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]) -> None:
        assert "takes about 44 min on RTX 4090, $0.80" in call(*TRAIN)
        assert json.loads(call(*TRAIN, "--json"))["cost"]["expected_usd"] == 0.799944

    @pytest.mark.parametrize(
        ("faults", "said"),
        [
            ([PlatformFault(status=403)], "The API key may not do this"),
            ([PlatformFault(status=500)] * 2, "failed with status 500"),
            ([PlatformFault(cut="before")] * 2, "broke off"),
        ],
    )
    @pytest.mark.usefixtures("queue")
    def test_a_training_starts_without_a_price_and_says_why(
        self,
        call: RunCommand,
        account: PlatformStandIn,
        endpoint: dict[str, Any],
        faults: list[PlatformFault],
        said: str,
    ) -> None:
        account.faults += faults
        shown = call(*TRAIN)
        assert shown.splitlines()[0] == ID
        assert f"takes about 44 min on {GPU} (measured on this GPU). No price is known." in shown
        assert said in shown
        assert "$" not in shown

    def test_a_person_may_give_the_price(
        self, call: RunCommand, queue: FakeQueue, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        assert "$1.45" in call(*TRAIN, "--price-per-hour", "$2")
        assert account.requests == []

    def test_an_endpoint_that_is_named_by_its_url_has_no_list_price(
        self, call: RunCommand, queue: FakeQueue, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        told = call("--url", "http://127.0.0.1:9/v2/local", *TRAIN)
        assert "No price is known. An endpoint that is named by its URL has no list price." in told
        assert account.requests == []

    @pytest.mark.parametrize("amount", ["", "abc", "0", "-1", "nan", "inf", "1e9", "5 dollars"])
    @pytest.mark.parametrize("option", ["--price-per-hour", "--max-cost"])
    def test_what_is_no_amount_is_refused(
        self, call: RunCommand, queue: FakeQueue, option: str, amount: str
    ) -> None:
        told = call(*TRAIN, option, amount, code=2)
        assert "not an amount of dollars" in told
        assert not queue.inputs


class TestBudget:
    def test_it_becomes_a_limit_at_the_price_of_the_dearest_gpu(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        shown = call(*TRAIN, "--max-cost", "1.90")

        assert sent(queue)["limits"] == {"duration_s": 3600}
        assert "--max-cost $1.90 pays for 1 h 00 min (L40S, $1.90 an hour)" in shown
        assert "more than --max-cost pays for" not in shown

    def test_a_training_that_takes_longer_is_warned_of(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        shown = call(*TRAIN, "--max-cost", "$0.50")

        assert sent(queue)["limits"] == {"duration_s": 947}
        assert "it takes about 44 min ($1.38), more than --max-cost pays for" in shown

    def test_the_shorter_time_counts(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        call(*TRAIN, "--max-cost", "1.90", "--max-time", "5m", "--until", "2030-01-01T00:00+00:00")
        assert sent(queue)["limits"] == {"duration_s": 300.0, "until": "2030-01-01T00:00:00+00:00"}

    def test_a_sweep_shares_it(self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]) -> None:
        shown = call(*TRAIN, "--max-cost", "1.90", "--vary", "rank=8,16")

        assert sent(queue)["limits"] == {"duration_s": 1800}
        assert "shared by 2 trainings, pays for 30 min of each" in shown
        # The estimate is of both together.
        assert "more than --max-cost pays for" not in shown

    def test_a_resume_has_one_too(self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]) -> None:
        shown = call("resume", ID, "--max-cost", "0.95")

        assert sent(queue)["limits"] == {"duration_s": 1800}
        assert "pays for 30 min" in shown
        assert "takes about 44 min on RTX 4090, $0.80" in shown

    def test_a_dry_run_sends_it_too(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        queue.actions["train"] = lambda _: rehearsed()
        assert "more than --max-cost pays for" in call(*TRAIN, "--dry-run", "--max-cost", "0.5")
        assert sent(queue)["limits"] == {"duration_s": 947}

    def test_without_a_price_nothing_starts(
        self, call: RunCommand, queue: FakeQueue, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.faults.append(PlatformFault(status=403))
        told = call(*TRAIN, "--max-cost", "5", code=1)

        assert "--max-cost needs a price, and no price is known. The API key may not do this" in told
        assert "--price-per-hour" in told
        assert not queue.inputs
        call(*TRAIN, "--max-cost", "5", "--price-per-hour", "2.50")
        assert sent(queue)["limits"] == {"duration_s": 7200}

    def test_too_little_is_refused(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        assert "pays for 18 s of training" in call(*TRAIN, "--max-cost", "0.01", code=2)
        assert not queue.inputs


class TestRunningCost:
    def test_a_status_shows_it(self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]) -> None:
        queue.actions["process_status"] = lambda _: process()

        assert "$0.28 so far, about $0.80 in all (RTX 4090, $1.10 an hour)" in call("status", ID)
        assert json.loads(call("status", ID, "--json"))["cost"] == {
            "so_far_usd": 0.275,
            "expected_usd": 0.799944,
            "usd_per_hour": 1.1,
            "gpu": "RTX 4090",
        }

    @pytest.mark.usefixtures("endpoint")
    def test_it_is_followed_to_the_end(
        self, call: RunCommand, queue: FakeQueue, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(follow, "follow", partial(live.follow, interval_s=0.01))
        states = [process(), process("completed", ran_s=1800.0)]
        queue.actions["process_status"] = lambda _: states.pop(0)

        shown = call("status", ID, "--follow").splitlines()

        assert shown[0].endswith("  $0.28")
        assert shown[-1].endswith("  $0.55")
        # The prices are read once.
        assert len(account.requests) == 2

    def test_a_script_that_follows_gets_it(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        queue.actions["process_status"] = lambda _: process("completed")
        (line,) = call("status", ID, "--follow", "--json").splitlines()
        assert json.loads(line)["cost"]["so_far_usd"] == 0.275

    def test_without_a_price_the_status_is_as_it_was(
        self, call: RunCommand, queue: FakeQueue, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.faults += [PlatformFault(status=403)] * 2
        queue.actions["process_status"] = lambda _: process()
        assert "$" not in call("status", ID)
        assert "cost" not in json.loads(call("status", ID, "--json"))

    def test_what_is_no_training_costs_nothing_that_is_known(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        queue.actions["process_status"] = lambda _: process(trainer=None, type="generate")
        assert "$" not in call("status", ID)


class TestPages:
    def test_a_report_has_it(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any], folder: Path
    ) -> None:
        ReportWorker(queue).add_training(steps=(0,), ran_s=1800.0)
        call("report", ID)
        assert "$0.55" in (folder / f"{ID}.html").read_text("utf-8")
        call("report", ID, "--price-per-hour", "4")
        assert "$2.00" in (folder / f"{ID}.html").read_text("utf-8")

    def test_so_has_the_live_page(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watch, "LAST_LOOK_S", 0.0)
        pages: list[str] = []
        monkeypatch.setattr(LiveServer, "publish", lambda _self, page, *, ended: pages.append(page.html()))
        ReportWorker(queue).add_training(steps=(0,), ran_s=1800.0)
        call("watch", ID)
        assert "$0.55" in pages[-1]


class TestWorkersLeftOn:
    @pytest.fixture(autouse=True)
    def _ended(self, queue: FakeQueue) -> None:
        queue.actions["process_status"] = lambda _: process("completed")

    def test_an_active_worker_is_warned_of_with_its_price_and_the_command(
        self, call: RunCommand, endpoint: dict[str, Any]
    ) -> None:
        endpoint["workers"]["min"] = 1
        told = (
            f"{endpoint['id']} keeps 1 active worker on, which costs money also without a job, up to $1.90 an hour. "
            "`lorapod deploy --active-workers 0` ends that."
        )
        for options in ((), ("--follow",)):
            assert f"warning: {told}" in call(*TRAIN, *options)
        # The first warning is hours away from the end.
        shown = call(*TRAIN, "--follow", "--idle-after", "10m")
        assert shown.splitlines()[-1] == f"warning: the training has ended, and {told}"

    def test_an_idle_worker_is_named(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.workers[endpoint["id"]] = [worker("w1", "IDLE", gpuTypeId=GPU), worker("w2", "RUNNING")]
        shown = call(*TRAIN, "--follow", "--idle-after", "1s")
        assert f"w1 of {endpoint['id']} is still on (idle) and costs $1.10 an hour." in shown
        assert f"w2 of {endpoint['id']} runs another job." in shown

    def test_none_is_left_on(self, call: RunCommand, endpoint: dict[str, Any]) -> None:
        assert f"No worker of {endpoint['id']} is left on." in call(*TRAIN, "-f", "--idle-after", "10m")

    def test_what_is_not_known_is_said_and_the_training_counts(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        account.faults.append(PlatformFault(status=403, path="/workers"))
        shown = call(*TRAIN, "--follow", "--idle-after", "10m")
        assert "whether a worker is left on is not known: The API key may not do this" in shown

    def test_a_failed_training_still_ends_with_three(
        self, call: RunCommand, queue: FakeQueue, endpoint: dict[str, Any]
    ) -> None:
        queue.actions["process_status"] = lambda _: process("failed")
        assert "is left on" in call(*TRAIN, "--follow", "--idle-after", "10m", code=3)

    def test_it_goes_with_follow_and_a_time(self, call: RunCommand, queue: FakeQueue) -> None:
        assert "goes with --follow" in call(*TRAIN, "--idle-after", "10m", code=2)
        assert "is not a time" in call(*TRAIN, "--follow", "--idle-after", "soon", code=2)
        assert not queue.inputs

    def test_elsewhere_it_says_that_it_cannot_look(
        self, call: RunCommand, account: PlatformStandIn, endpoint: dict[str, Any]
    ) -> None:
        told = call("--url", "http://127.0.0.1:9/v2/local", *TRAIN, "--follow", "--idle-after", "10m")
        assert "--idle-after looks at endpoints of RunPod only" in told


def test_no_file_has_the_key_and_nothing_is_changed(
    call: RunCommand, queue: FakeQueue, account: PlatformStandIn, endpoint: dict[str, Any], folder: Path
) -> None:
    queue.actions["process_status"] = lambda _: process("completed")
    call(*TRAIN, "--follow", "--max-cost", "5", "--idle-after", "10m")
    call("cost")

    assert account.changes == []
    assert [path for path in folder.rglob("*") if path.is_file() and KEY in path.read_text("utf-8")] == []
