"""Money: exact arithmetic, rates by GPU, budgets, and sums of bills."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.servers.platform import KEY, PlatformFault, PlatformStandIn, standing_in

from lorapod.client.money import price_book
from lorapod.client.money.budget import (
    LONGEST_S,
    SHORTEST_S,
    Budget,
    BudgetTooSmall,
    NoPriceKnown,
    make_budget,
)
from lorapod.client.money.groups import SpendingGroup
from lorapod.client.money.idle_workers import workers_left_on
from lorapod.client.money.price_book import PriceBook, PriceLookup, find_prices
from lorapod.client.money.spending import summed, total_of
from lorapod.client.money.training_cost import training_cost
from lorapod.platform.billing import ServerlessBill
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.prices import HourlyRate, cost_of, dollars, exact, seconds_for
from lorapod.platform.rates import EndpointRates
from lorapod.platform.transport import PlatformRetries

PRICES = st.decimals("0.01", "100", places=4)
BUDGETS = st.decimals("0.01", "10000", places=2)


class TestArithmetic:
    @given(BUDGETS, PRICES)
    def test_a_budget_pays_for_its_seconds_and_not_for_one_more(
        self, budget: Decimal, price: Decimal
    ) -> None:
        seconds = seconds_for(budget, price)
        assert seconds * price <= budget * 3600 < (seconds + 1) * price

    @given(st.integers(0, 10**7), st.integers(0, 10**7), PRICES)
    def test_costs_add_up(self, first: int, second: int, price: Decimal) -> None:
        apart = cost_of(first, price) + cost_of(second, price)
        assert abs(apart - cost_of(first + second, price)) < Decimal("1e-15")

    @given(st.floats(0, 1e6, allow_nan=False))
    def test_an_amount_is_the_one_that_was_written(self, amount: float) -> None:
        assert float(exact(amount)) == amount
        assert exact(0.1) + exact(0.2) == Decimal("0.3")

    def test_a_price_of_nothing_pays_for_no_time(self) -> None:
        with pytest.raises(ValueError, match="above zero"):
            seconds_for(Decimal(1), Decimal(0))

    @pytest.mark.parametrize(
        ("amount", "shown"),
        [
            (0, "$0.00"),
            (0.0004, "<$0.001"),
            (0.02, "$0.020"),
            (0.0996, "$0.100"),
            (1.1, "$1.10"),
            (Decimal("1234.5"), "$1,234.50"),
            (-1.5, "-$1.50"),
        ],
    )
    def test_an_amount_is_shown(self, amount: float | Decimal, shown: str) -> None:
        assert dollars(amount) == shown


def book(given: str | None = "1.2") -> PriceBook:
    if given is None:
        return PriceBook(unknown="RunPod does not say.")
    return PriceBook(given=HourlyRate(per_hour=Decimal(given)))


class TestBudget:
    @given(BUDGETS, PRICES, st.integers(1, 50))
    @example(Decimal("3.00"), Decimal("0.01"), 18)
    def test_all_trainings_together_stay_below_it(
        self, amount: Decimal, price: Decimal, trainings: int
    ) -> None:
        if seconds_for(amount, price * trainings) < SHORTEST_S:
            with pytest.raises(BudgetTooSmall):
                make_budget(amount, book(str(price)), trainings=trainings)
            return
        budget = make_budget(amount, book(str(price)), trainings=trainings)
        assert budget.seconds <= LONGEST_S
        assert budget.seconds * price * trainings <= amount * 3600

    def test_without_a_price_it_says_how_to_give_one(self) -> None:
        with pytest.raises(NoPriceKnown, match="RunPod does not say") as refused:
            make_budget(Decimal(5), book(None))
        assert "--price-per-hour" in refused.value.hint

    @pytest.mark.parametrize(
        ("limits", "wanted"),
        [
            (None, {"duration_s": 3600}),
            ({"duration_s": 60.0}, {"duration_s": 60.0}),
            ({"duration_s": 7200.0, "until": "x"}, {"duration_s": 3600, "until": "x"}),
        ],
    )
    def test_the_shorter_time_counts(self, limits: Any, wanted: Any) -> None:
        rate = HourlyRate(per_hour=Decimal(1))
        assert Budget(amount=Decimal(1), trainings=1, rate=rate, seconds=3600).limits(limits) == wanted


class TestCostOfATraining:
    def test_it_runs_and_ends(self) -> None:
        process = {"trainer": "builtin", "ran_s": 900.0, "estimate": {"duration_s": 3600.0}}
        running = training_cost(process, book())
        assert running is not None
        assert running.text == "$0.30 so far, about $1.20 in all ($1.20 an hour)"
        assert running.as_json == {"so_far_usd": 0.3, "expected_usd": 1.2, "usd_per_hour": 1.2}
        over = training_cost({**process, "ended_at": "2026-11-28T12:00:00Z"}, book())
        assert over is not None
        assert over.text == "cost $0.30 ($1.20 an hour)"

    def test_a_sweep_costs_what_its_trainings_cost(self) -> None:
        rates = {
            "a40": HourlyRate(per_hour=Decimal(1), gpu="A40"),
            "l4": HourlyRate(per_hour=Decimal(2), gpu="L4"),
        }
        prices = PriceBook(rates=EndpointRates(by_gpu=rates, possible=list(rates.values())))
        trainings = [
            {"process_id": "a", "ran_s": 3600.0, "gpu": "A40"},
            {"process_id": "b", "ran_s": 900.0, "gpu": "A40"},
            {"process_id": "c"},
            {"error": "not started"},
        ]
        sweep = {"type": "sweep", "processes": trainings, "estimate": {"duration_s": 7200.0, "gpu": "A40"}}
        found = training_cost(sweep, prices)
        assert found is not None
        assert found.text == "$1.25 so far, about $2.00 in all (A40, $1.00 an hour)"

        mixed = training_cost({**sweep, "processes": [*trainings, {"ran_s": 1800.0, "gpu": "L4"}]}, prices)
        assert mixed is not None
        assert mixed.text == "$2.25 so far, about $2.00 in all"
        assert mixed.as_json == {"so_far_usd": 2.25, "expected_usd": 2.0}

        # A part of the sum would be a wrong sum.
        assert (
            training_cost({**sweep, "processes": [*trainings, {"ran_s": 9.0, "gpu": "T4"}]}, prices) is None
        )
        assert training_cost({**sweep, "processes": [*trainings, {"ran_s": 9.0}]}, prices) is None
        assert training_cost({**sweep, "processes": []}, prices) is not None

    def test_what_is_not_known_is_not_said(self) -> None:
        assert training_cost({"trainer": "builtin", "ran_s": 900.0}, book(None)) is None
        assert training_cost({"type": "generate"}, book()) is None
        waiting = training_cost({"trainer": "builtin", "status": "queued"}, book())
        assert waiting is not None
        assert (waiting.text, waiting.as_json) == ("", {"usd_per_hour": 1.2})


AMOUNTS = st.decimals("0", "1000", places=8).map(float)
ZONES = st.integers(-12, 14).map(lambda hours: timezone(timedelta(hours=hours)))
SECONDS = st.integers(0, 365 * 86_400)


@st.composite
def bills(draw: st.DrawFn) -> ServerlessBill:
    seconds = draw(SECONDS)
    start = datetime.fromtimestamp(1_767_225_600 + seconds, draw(ZONES))
    parts = [draw(AMOUNTS) for _ in range(4)]
    names = ("gpuAmount", "cpuAmount", "diskAmount", "feeAmount")
    return ServerlessBill.model_validate(
        {
            "startTime": start.isoformat(),
            "endTime": (start + timedelta(days=1)).isoformat(),
            "serverlessId": draw(st.sampled_from(["a", "b", "c"])),
            "totalAmount": float(sum(map(exact, parts), Decimal(0))),
            **dict(zip(names, parts, strict=True)),
        }
    )


class TestBills:
    @given(st.lists(bills(), max_size=12), st.sampled_from(list(SpendingGroup)))
    def test_rows_hold_every_cent(self, billed: list[ServerlessBill], group: SpendingGroup) -> None:
        rows = summed(billed, group)
        assert sum((row.total for row in rows), Decimal(0)) == total_of(billed)
        for name in ("gpu", "cpu", "disk", "fee"):
            kept = sum((getattr(row, name) for row in rows), Decimal(0))
            dropped = [bill for bill in billed if not bill.total_amount]
            assert kept + sum((getattr(bill, f"{name}_amount") for bill in dropped), Decimal(0)) == sum(
                (getattr(bill, f"{name}_amount") for bill in billed), Decimal(0)
            )

    @given(st.lists(bills(), max_size=12))
    def test_days_are_those_of_utc_in_order(self, billed: list[ServerlessBill]) -> None:
        days = [row.of for row in summed(billed, SpendingGroup.DAY)]
        assert days == sorted(set(days))
        assert set(days) == {
            bill.start_time.astimezone(UTC).strftime("%Y-%m-%d") for bill in billed if bill.total_amount
        }

    def test_a_time_without_a_zone_is_not_taken_for_one_of_this_machine(self) -> None:
        amounts = {f"{name}Amount": 1.0 for name in ("total", "gpu", "cpu", "disk", "fee")}
        times = {"startTime": "2026-11-28T00:00:00", "endTime": "2026-11-29T00:00:00"}
        with pytest.raises(ValidationError, match="timezone"):
            ServerlessBill.model_validate({"serverlessId": "a", **times, **amounts})

    def test_an_empty_month_has_no_rows(self) -> None:
        assert summed([], SpendingGroup.DAY) == []
        assert total_of([]) == 0


@pytest.fixture
def account() -> Iterator[PlatformStandIn]:
    with standing_in() as account:
        yield account


@pytest.fixture
def _here(account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNPOD_REST_URL", account.url)
    monkeypatch.setattr(
        price_book, "RETRIES", PlatformRetries(attempts=2, first_wait_s=0.001, longest_wait_s=0.01)
    )


def endpoint_with(account: PlatformStandIn, **gpu: Any) -> str:
    made = account.add_endpoint(name="lorapod", gpu={"pools": ["ADA_24", "ADA_48_PRO"], **gpu})
    return str(made["id"])


@pytest.mark.usefixtures("_here")
class TestPrices:
    def test_each_gpu_of_the_catalog_has_its_rate(self, account: PlatformStandIn) -> None:
        found = find_prices(endpoint_with(account), KEY)

        assert found.rate("NVIDIA GeForce RTX 4090") == HourlyRate(per_hour=Decimal("1.1"), gpu="RTX 4090")
        assert found.rate("nvidia l40s") == HourlyRate(per_hour=Decimal("1.9"), gpu="L40S")
        assert found.dearest == found.rate("NVIDIA L40S")
        assert found.rate(None) is None
        assert found.rate("NVIDIA RTX PRO 6000") is None
        assert found.why_unknown("NVIDIA RTX PRO 6000") == (
            "RunPod's catalog has no price for NVIDIA RTX PRO 6000."
        )
        assert account.changes == []

    def test_a_type_that_is_excluded_does_not_count_for_a_budget(self, account: PlatformStandIn) -> None:
        found = find_prices(endpoint_with(account, excludedTypes=["NVIDIA L40S"]), KEY)
        assert found.dearest == found.rate(None) == found.rate("NVIDIA GeForce RTX 4090")

    def test_several_gpus_in_a_worker_cost_several_times_as_much(self, account: PlatformStandIn) -> None:
        found = find_prices(endpoint_with(account, count=2), KEY)
        assert found.rate("NVIDIA L40S") == HourlyRate(per_hour=Decimal("3.8"), gpu="2 x L40S")

    def test_a_price_of_nothing_is_none(self, account: PlatformStandIn) -> None:
        for gpu in account.gpus:
            gpu["price"]["serverless"] = 0
        found = find_prices(endpoint_with(account), KEY)
        assert (found.rate("NVIDIA L40S"), found.dearest) == (None, None)
        with pytest.raises(NoPriceKnown):
            make_budget(Decimal(5), found)

    def test_no_variable_of_the_endpoint_is_shown(self, account: PlatformStandIn) -> None:
        endpoint_id = endpoint_with(account)
        account.endpoints[endpoint_id]["env"] = {"HF_TOKEN": "hf_made_up"}
        found = find_prices(endpoint_id, KEY)
        assert found.endpoint is not None
        assert "hf_made_up" not in f"{found!r} {found.endpoint!r}"

    def test_an_endpoint_without_a_price_says_so(self, account: PlatformStandIn) -> None:
        unpriced = endpoint_with(account, pools=["HOPPER_141"])
        assert "no price for the GPUs" in find_prices(unpriced, KEY).unknown
        door = account.add_endpoint(name="door", cpu=[{"id": "cpu3c", "vcpuCount": 2}])
        assert "has no GPU" in find_prices(door["id"], KEY).unknown

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (PlatformFault(status=401), "does not accept the API key"),
            (PlatformFault(status=403, path="/catalog/gpus"), "may not do this"),
            (PlatformFault(status=429, retry_after="0"), "too many requests"),
            (PlatformFault(status=500), "failed with status 500"),
            (PlatformFault(cut="before"), "broke off"),
        ],
    )
    def test_what_prevents_it_is_said_and_nothing_is_raised(
        self, account: PlatformStandIn, fault: PlatformFault, said: str
    ) -> None:
        account.faults += [fault] * 2
        found = find_prices(endpoint_with(account), KEY)
        assert said in found.unknown
        assert KEY not in repr(found)

    def test_an_unknown_endpoint_and_a_wrong_server_are_said(
        self, account: PlatformStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert "knows no such thing" in find_prices("nothing", KEY).unknown
        monkeypatch.setenv("RUNPOD_REST_URL", "ftp://x")
        assert "RUNPOD_REST_URL must be a URL" in find_prices("nothing", KEY).unknown


class TestLookup:
    def test_a_slow_catalog_holds_no_command_up(self) -> None:
        answered = threading.Event()

        def slow() -> PriceBook:
            answered.wait(30)
            return book()

        lookup = PriceLookup(slow, patience_s=0.01)
        assert lookup.book().unknown == "RunPod's API did not answer in time."
        answered.set()
        patient = PriceLookup(slow)
        assert patient.book() == book()

    def test_an_error_in_its_thread_is_a_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        def broken() -> PriceBook:
            raise RuntimeError(KEY)

        assert PriceLookup(broken).book().unknown == "The prices cannot be read (RuntimeError)."
        assert KEY not in "".join(capsys.readouterr())


class Time:
    """A clock that only a sleep moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class TestWorkersLeftOn:
    @pytest.fixture
    def platform(self, account: PlatformStandIn) -> Iterator[RunpodPlatform]:
        with RunpodPlatform(KEY, url=account.url) as platform:
            yield platform

    @pytest.fixture
    def endpoint_id(self, account: PlatformStandIn) -> str:
        return endpoint_with(account)

    def test_active_workers_are_seen_at_once(
        self, account: PlatformStandIn, platform: RunpodPlatform, endpoint_id: str
    ) -> None:
        account.endpoints[endpoint_id]["workers"]["min"] = 2
        time = Time()
        left = workers_left_on(platform, endpoint_id, after_s=600, sleep=time.sleep, clock=time.clock)
        assert (left.active, time.slept) == (2, [])

    def test_it_ends_as_soon_as_no_worker_is_on(
        self, account: PlatformStandIn, platform: RunpodPlatform, endpoint_id: str
    ) -> None:
        account.workers[endpoint_id] = [_worker("w1", "IDLE"), _worker("w2", "THROTTLED")]
        time = Time()

        def sleep(seconds: float) -> None:
            time.sleep(seconds)
            account.workers[endpoint_id] = [_worker("w2", "THROTTLED")]

        left = workers_left_on(platform, endpoint_id, after_s=600, sleep=sleep, clock=time.clock)
        assert (left.active, left.idle, left.busy) == (0, [], [])
        assert len(time.slept) == 1

    def test_what_is_on_at_the_end_is_told_apart(
        self, account: PlatformStandIn, platform: RunpodPlatform, endpoint_id: str
    ) -> None:
        account.workers[endpoint_id] = [
            _worker("w1", "IDLE"),
            _worker("w2", "RUNNING"),
            _worker("w3", "UNHEALTHY"),
        ]
        time = Time()
        left = workers_left_on(platform, endpoint_id, after_s=40, sleep=time.sleep, clock=time.clock)
        assert [worker.id for worker in left.idle] == ["w1", "w3"]
        assert [worker.id for worker in left.busy] == ["w2"]
        assert time.slept == [15.0, 15.0, 10.0]


def _worker(worker_id: str, status: str) -> dict[str, Any]:
    return {"id": worker_id, "status": status, "gpuCount": 1, "isStale": False}
