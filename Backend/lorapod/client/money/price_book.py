"""What a worker of the endpoint costs in an hour, looked up while the worker is asked something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorapod.platform.errors import PlatformError
from lorapod.platform.prices import HourlyRate
from lorapod.platform.transport import PlatformRetries

if TYPE_CHECKING:
    from lorapod.platform.models import ServerlessEndpoint
    from lorapod.platform.rates import EndpointRates

#: A price is worth less than a person's patience.
RETRIES = PlatformRetries(attempts=2, longest_wait_s=3.0)
PATIENCE_S = 10.0

HOW_TO_GIVE_ONE = "Give one with --price-per-hour DOLLARS."


@dataclass(frozen=True, kw_only=True)
class PriceBook:
    """What is known of the prices."""

    #: What a person said; it counts for every GPU.
    given: HourlyRate | None = None
    #: None: they could not be read, or the endpoint is not RunPod's.
    endpoint: ServerlessEndpoint | None = field(default=None, repr=False)
    rates: EndpointRates | None = field(default=None, repr=False)
    #: Why no price is known, as one sentence; empty: prices are known.
    unknown: str = ""

    def rate(self, gpu: str | None) -> HourlyRate | None:
        """Return the rate of a worker with this GPU; without a GPU, the only one that is possible. None: not known."""
        if self.given is not None:
            return self.given
        return None if self.rates is None else self.rates.of(gpu)

    @property
    def dearest(self) -> HourlyRate | None:
        """The highest rate that a worker of the endpoint may have; None: not known."""
        if self.given is not None:
            return self.given
        return None if self.rates is None else self.rates.dearest

    def why_unknown(self, gpu: str | None) -> str:
        """Return why `rate` knows none for this GPU."""
        if self.unknown:
            return self.unknown
        if gpu:
            return f"RunPod's catalog has no price for {gpu}."
        return "The worker does not say which GPU it has."


def find_prices(endpoint_id: str, api_key: str) -> PriceBook:
    """Return the prices of an endpoint from RunPod's catalog; it never raises, because no command depends on them."""
    # Imported here, in the lookup's thread: every command would wait for it.
    from lorapod.platform.client import RunpodPlatform
    from lorapod.platform.rates import endpoint_rates

    try:
        with RunpodPlatform(api_key, retries=RETRIES) as platform:
            endpoint = platform.endpoint(endpoint_id)
            rates = endpoint_rates(endpoint, platform.gpu_prices())
    except (PlatformError, ValueError) as error:
        return PriceBook(unknown=error.message if isinstance(error, PlatformError) else str(error))
    if endpoint.gpu is None:
        return PriceBook(endpoint=endpoint, unknown=f"The endpoint {endpoint_id} has no GPU.")
    if not rates.possible:
        reason = f"RunPod's catalog has no price for the GPUs of {endpoint_id}."
        return PriceBook(endpoint=endpoint, rates=rates, unknown=reason)
    return PriceBook(endpoint=endpoint, rates=rates)


class PriceLookup:
    """A look into the catalog that runs in its own thread."""

    def __init__(self, find: Callable[[], PriceBook], *, patience_s: float = PATIENCE_S) -> None:
        """Begin to look."""
        self._found: PriceBook | None = None
        self._deadline_s = time.monotonic() + patience_s
        # A daemon: a command that has its answer does not wait for a price.
        self._thread = threading.Thread(
            target=self._look, args=(find,), name="lorapod-price-lookup", daemon=True
        )
        self._thread.start()

    @classmethod
    def known(cls, book: PriceBook) -> PriceLookup:
        """Return one that has found this already."""
        return cls(lambda: book)

    def book(self) -> PriceBook:
        """Return what was found; wait for it until the patience, counted from the start, is over."""
        self._thread.join(max(0.0, self._deadline_s - time.monotonic()))
        return self._found or PriceBook(unknown="RunPod's API did not answer in time.")

    def _look(self, find: Callable[[], PriceBook]) -> None:
        try:
            self._found = find()
        except Exception as error:  # noqa: BLE001 -- the top of a thread; the error's text may hold anything
            self._found = PriceBook(unknown=f"The prices cannot be read ({type(error).__name__}).")
