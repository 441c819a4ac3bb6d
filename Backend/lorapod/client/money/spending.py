"""What RunPod billed, summed up by day or by endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal

from lorapod.client.money.groups import SpendingGroup
from lorapod.platform.billing import ServerlessBill, VolumeBill


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What was billed for one day or one endpoint, in US dollars."""

    #: A date in UTC, or the id of an endpoint.
    of: str
    gpu: Decimal = Decimal(0)
    cpu: Decimal = Decimal(0)
    disk: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    total: Decimal = Decimal(0)

    def plus(self, bill: ServerlessBill) -> Spending:
        """Return this with one bill more."""
        return Spending(
            of=self.of,
            gpu=self.gpu + bill.gpu_amount,
            cpu=self.cpu + bill.cpu_amount,
            disk=self.disk + bill.disk_amount,
            fee=self.fee + bill.fee_amount,
            total=self.total + bill.total_amount,
        )


def summed(bills: Iterable[ServerlessBill], group: SpendingGroup) -> list[Spending]:
    """Return a row for each day or endpoint that cost something: days in order, endpoints by cost."""
    name: Callable[[ServerlessBill], str] = _day if group is SpendingGroup.DAY else _endpoint
    rows: dict[str, Spending] = {}
    for bill in bills:
        key = name(bill)
        rows[key] = rows.get(key, Spending(of=key)).plus(bill)
    found = [row for row in rows.values() if row.total]
    if group is SpendingGroup.DAY:
        return sorted(found, key=lambda row: row.of)
    return sorted(found, key=lambda row: (-row.total, row.of))


def total_of(bills: Sequence[ServerlessBill] | Sequence[VolumeBill]) -> Decimal:
    """Return the sum of all bills."""
    return sum((bill.total_amount for bill in bills), Decimal(0))


def _day(bill: ServerlessBill) -> str:
    return bill.start_time.astimezone(UTC).date().isoformat()


def _endpoint(bill: ServerlessBill) -> str:
    return bill.serverless_id
