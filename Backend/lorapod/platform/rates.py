"""What a worker of an endpoint costs in an hour, by the GPU that it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lorapod.platform.models import GpuType, ServerlessEndpoint
from lorapod.platform.prices import HourlyRate, exact


@dataclass(frozen=True, kw_only=True)
class EndpointRates:
    """The list prices of an endpoint's workers."""

    #: By the id of the GPU, which is also the name that its driver tells; letters' case does not count.
    by_gpu: Mapping[str, HourlyRate]
    #: Those of the GPUs that the endpoint may use, the cheapest first; empty: a CPU endpoint, or no price is known.
    possible: Sequence[HourlyRate]

    def of(self, gpu: str | None) -> HourlyRate | None:
        """Return the rate of a worker with this GPU; without a GPU, the only rate that is possible."""
        if gpu:
            return self.by_gpu.get(gpu.casefold())
        return self.possible[0] if len(self.possible) == 1 else None

    @property
    def dearest(self) -> HourlyRate | None:
        """The highest rate that a worker of the endpoint may have."""
        return self.possible[-1] if self.possible else None


def endpoint_rates(endpoint: ServerlessEndpoint, gpus: Iterable[GpuType]) -> EndpointRates:
    """Return the rates of an endpoint by the catalog's prices, which are those of flex workers without discounts."""
    count = 1 if endpoint.gpu is None else endpoint.gpu.count
    by_gpu: dict[str, HourlyRate] = {}
    possible: list[HourlyRate] = []
    for gpu in gpus:
        if gpu.price.serverless is None or gpu.price.serverless <= 0:
            continue
        name = gpu.name if count == 1 else f"{count} x {gpu.name}"
        rate = HourlyRate(per_hour=exact(gpu.price.serverless) * count, gpu=name)
        by_gpu[gpu.id.casefold()] = rate
        choice = endpoint.gpu
        if choice is not None and gpu.pool in choice.pools and gpu.id not in choice.excluded_types:
            possible.append(rate)
    return EndpointRates(by_gpu=by_gpu, possible=sorted(possible, key=lambda rate: (rate.per_hour, rate.gpu)))
