"""What RunPod billed for endpoints and volumes, as it says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lorapod.client.errors import LorapodError
from lorapod.platform.billing import ServerlessBill, VolumeBill
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.models import ServerlessEndpoint


@dataclass(frozen=True, kw_only=True)
class CostScope:
    """What is to be counted; None: everything that the account has."""

    endpoint_ids: frozenset[str] | None
    #: Beside those that are attached to the endpoints.
    volume_ids: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Bills:
    """What RunPod billed."""

    days: int
    scope: CostScope
    serverless: Sequence[ServerlessBill]
    volumes: Sequence[VolumeBill]
    #: By id: the endpoints that exist now.
    names: Mapping[str, str]

    def shown(self, endpoint_id: str) -> str:
        """Return an endpoint for people."""
        name = self.names.get(endpoint_id)
        return f"{endpoint_id} (deleted)" if name is None else f"{name} ({endpoint_id})"


def read_bills(platform: RunpodPlatform, scope: CostScope, days: int) -> Bills:
    """Ask for the bills; if several things count, ask for all and choose here, because a filter names one.

    Raises:
        LorapodError: there is no such endpoint, and none was billed.
        PlatformError: RunPod refuses.
    """
    wanted = scope.endpoint_ids
    endpoints = platform.endpoints()
    serverless = platform.serverless_bills(periods=days, endpoint_id=_only(wanted))
    if wanted is not None:
        serverless = [bill for bill in serverless if bill.serverless_id in wanted]
    known = {endpoint.id: endpoint.name for endpoint in endpoints}
    if wanted is not None and not serverless and not wanted & known.keys():
        named = ", ".join(sorted(wanted))
        raise LorapodError(
            f"RunPod has no endpoint {named}, and billed nothing for it in the last {days} days.",
            hint="Check the id, and whether the key belongs to the account that has it; --all counts all endpoints.",
        )
    return Bills(
        days=days,
        scope=scope,
        serverless=serverless,
        volumes=_volume_bills(platform, scope, endpoints, days),
        names=known,
    )


def _volume_bills(
    platform: RunpodPlatform, scope: CostScope, endpoints: Sequence[ServerlessEndpoint], days: int
) -> list[VolumeBill]:
    if scope.endpoint_ids is None:
        return platform.volume_bills(periods=days)
    attached = {
        volume_id
        for endpoint in endpoints
        if endpoint.id in scope.endpoint_ids
        for volume_id in endpoint.network_volumes
    }
    wanted = frozenset(attached | scope.volume_ids)
    if not wanted:
        return []
    found = platform.volume_bills(periods=days, volume_id=_only(wanted))
    return [bill for bill in found if bill.network_volume_id in wanted]


def _only(ids: frozenset[str] | None) -> str | None:
    return next(iter(ids)) if ids is not None and len(ids) == 1 else None
