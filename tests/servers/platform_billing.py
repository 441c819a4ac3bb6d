"""Bills in the form of RunPod's: what each endpoint and volume cost on each day, and the answers made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from aiohttp import web
from tests.servers.platform_parts import problem

_SERVERLESS = ("totalAmount", "gpuAmount", "cpuAmount", "diskAmount", "feeAmount")
_VOLUME = ("totalAmount", "standardAmount", "highPerformanceAmount")


@dataclass
class BillingStandIn:
    """What the account was billed for."""

    #: The day on which it is asked; its own bill grows until midnight UTC.
    today: datetime = datetime(2026, 11, 28, tzinfo=UTC)
    serverless: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v2/billing/serverless", self._list_serverless),
            web.get("/v2/billing/network-volumes", self._list_volumes),
        ]

    def add(self, endpoint_id: str, *, days_ago: int = 0, **amounts: float) -> None:
        """An endpoint cost this on a day: `gpu`, `cpu`, `disk`, `fee`."""
        named = {f"{name}Amount": amounts.get(name, 0.0) for name in ("gpu", "cpu", "disk", "fee")}
        total = float(sum(Decimal(str(amount)) for amount in named.values()))
        self.serverless.append(
            {**self._day(days_ago), "serverlessId": endpoint_id, **named, "totalAmount": total}
        )

    def add_volume(self, volume_id: str, amount: float, *, days_ago: int = 0) -> None:
        """A volume cost this on a day."""
        amounts = {"totalAmount": amount, "standardAmount": amount, "highPerformanceAmount": 0.0}
        self.volumes.append({**self._day(days_ago), "networkVolumeId": volume_id, **amounts})

    def _day(self, days_ago: int) -> dict[str, str]:
        start = self.today - timedelta(days=days_ago)
        return {"startTime": _shown(start), "endTime": _shown(start + timedelta(days=1))}

    async def _list_serverless(self, request: web.Request) -> web.Response:
        return self._answer(request, self.serverless, _SERVERLESS, "serverlessId", "uniqueServerlessCount")

    async def _list_volumes(self, request: web.Request) -> web.Response:
        counted = "uniqueNetworkVolumeCount"
        return self._answer(request, self.volumes, _VOLUME, "networkVolumeId", counted)

    def _answer(
        self,
        request: web.Request,
        bills: Sequence[Mapping[str, Any]],
        amounts: tuple[str, ...],
        key: str,
        counted: str,
    ) -> web.Response:
        query = request.query
        if "lastN" in query and ("startTime" in query or "endTime" in query):
            return problem(400, "lastN and startTime/endTime exclude each other")
        if query.get("bucketSize", "day") != "day":
            return problem(400, "this stand-in bills by day")
        start = self.today - timedelta(days=int(query.get("lastN", "30")) - 1)
        found = [
            bill
            for bill in bills
            if bill["startTime"] >= _shown(start) and query.get(key, bill[key]) == bill[key]
        ]
        window = {"startTime": _shown(start), "endTime": _shown(self.today + timedelta(days=1))}
        totals = {name: float(sum(Decimal(str(bill[name])) for bill in found)) for name in amounts}
        metadata = {
            "query": {**window, "bucketSize": "day", key: query.get(key)},
            "recordCount": len(found),
            "totals": totals,
            counted: len({bill[key] for bill in found}),
        }
        return web.json_response({"records": found, "metadata": metadata})


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
