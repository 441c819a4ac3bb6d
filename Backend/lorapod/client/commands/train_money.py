"""What a training costs, before it starts and after it has ended: its estimate, its budget, workers that are left on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from lorapod.client.commands.estimates import estimate_json, estimate_text, shown_time
from lorapod.client.commands.money_options import look_up_prices, money
from lorapod.client.commands.screen import Screen
from lorapod.client.commands.session import Connection
from lorapod.client.money.budget import Budget, BudgetTooSmall, make_budget
from lorapod.client.money.price_book import PriceBook, PriceLookup
from lorapod.client.money.training_cost import rate_text
from lorapod.platform.prices import cost_of, dollars


@dataclass(kw_only=True)
class TrainingMoney:
    """The money of one command that starts a training."""

    context: typer.Context
    screen: Screen
    prices: PriceLookup
    budget: Budget | None = None

    @classmethod
    def begin(cls, context: typer.Context, screen: Screen, price_per_hour: str | None) -> TrainingMoney:
        """Begin to look up the prices."""
        return cls(context=context, screen=screen, prices=look_up_prices(context, price_per_hour))

    def limited(
        self, max_cost: str, limits: Mapping[str, Any] | None, *, trainings: int = 1
    ) -> dict[str, Any]:
        """Return the request's limits with what `--max-cost` pays for, and say what that is.

        Raises:
            NoPriceKnown: no price is known.
            typer.BadParameter: it is not an amount, or pays for too little.
        """
        amount = money(max_cost, "--max-cost")
        try:
            self.budget = budget = make_budget(amount, self.prices.book(), trainings=trainings)
        except BudgetTooSmall as error:
            raise typer.BadParameter(
                f"{dollars(amount)} pays for {error.seconds} s of training ({rate_text(error.rate)})",
                param_hint="--max-cost",
            ) from None
        shared, each = (f", shared by {trainings} trainings,", " of each") if trainings > 1 else ("", "")
        text = (
            f"--max-cost {dollars(amount)}{shared} pays for {shown_time(budget.seconds)}{each} "
            f"({rate_text(budget.rate)}); then it ends with a checkpoint."
        )
        self.screen.note([text])
        return budget.limits(limits)

    def estimate_text(self, answer: Mapping[str, Any]) -> str:
        """Return how long a training takes and what that costs; empty if the answer has no estimate."""
        estimate = answer.get("estimate")
        return estimate_text(estimate, book=self.prices.book()) if estimate else ""

    def as_json(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the same for scripts."""
        return estimate_json(answer.get("estimate"), self.prices.book())

    def warn(self, answer: Mapping[str, Any]) -> None:
        """Warn if the budget ends the training early, or if the endpoint keeps workers on that cost money anyway."""
        seconds = (answer.get("estimate") or {}).get("duration_s")
        budget = self.budget
        if budget is not None and seconds is not None and seconds > budget.seconds * budget.trainings:
            text = (
                f"it takes about {shown_time(seconds)} ({dollars(cost_of(seconds, budget.rate.per_hour))}), more than "
                "--max-cost pays for: it ends before its last step, and `lorapod resume` continues it."
            )
            self.screen.warn([text])
        book = self.prices.book()
        if book.endpoint is not None and book.endpoint.workers.min > 0:
            self.screen.warn([active_text(book.endpoint.id, book.endpoint.workers.min, book)])

    def warn_of_workers_left_on(self, after_s: float) -> None:
        """Wait so long, then warn of workers that are still on; return at once if none can be left."""
        # Imported here, because every command would wait for it.
        from lorapod.client.commands.platform_session import platform_of
        from lorapod.client.money.idle_workers import workers_left_on
        from lorapod.platform.errors import PlatformError

        connection: Connection = self.context.obj
        endpoint_id = connection.named_endpoint() if connection.url is None else None
        if endpoint_id is None:
            self.screen.warn(["--idle-after looks at endpoints of RunPod only: name one by --endpoint."])
            return
        try:
            with platform_of(self.context) as platform:
                left = workers_left_on(platform, endpoint_id, after_s=after_s)
        except PlatformError as error:
            self.screen.warn([f"whether a worker is left on is not known: {error.message} {error.hint}"])
            return
        book = self.prices.book()
        if left.active:
            self.screen.warn([f"the training has ended, and {active_text(endpoint_id, left.active, book)}"])
        for worker in left.idle:
            rate = book.rate(worker.gpu_type_id)
            price = "" if rate is None else f" and costs {dollars(rate.per_hour)} an hour"
            text = (
                f"{worker.id} of {endpoint_id} is still on ({worker.status.lower()}){price}. RunPod should have stopped it: "
                "end it in RunPod's console (the endpoint, Workers)."
            )
            self.screen.warn([text])
        self.screen.note(f"{worker.id} of {endpoint_id} runs another job." for worker in left.busy)
        if not (left.active or left.idle or left.busy):
            self.screen.note([f"No worker of {endpoint_id} is left on."])


def active_text(endpoint_id: str, active: int, book: PriceBook) -> str:
    """Return what active workers cost, and how to end them."""
    workers = "1 active worker on, which costs" if active == 1 else f"{active} active workers on, which cost"
    rate = book.dearest
    # Active workers may have a discount, which the API does not tell.
    price = "" if rate is None else f", up to {dollars(rate.per_hour * active)} an hour"
    return (
        f"{endpoint_id} keeps {workers} money also without a job{price}. "
        "`lorapod deploy --active-workers 0` ends that."
    )
