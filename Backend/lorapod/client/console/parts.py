"""What the routes of all pages use."""

from __future__ import annotations

from dataclasses import dataclass

from lorapod.client.console.curve_files import CurveFiles
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.known_processes import KnownProcesses
from lorapod.client.console.pictures import PictureFiles
from lorapod.client.console.worker_asks import WorkerAsks


@dataclass(frozen=True, kw_only=True)
class ConsoleParts:
    """One console's parts. A GET uses all but `asks`; only a POST may ask a worker."""

    calls: EndpointCalls
    cache: DiskCache
    processes: KnownProcesses
    curves: CurveFiles
    pictures: PictureFiles
    asks: WorkerAsks

    @classmethod
    def over(cls, calls: EndpointCalls, cache: DiskCache) -> ConsoleParts:
        """Return the parts over an endpoint and a cache."""
        return cls(
            calls=calls,
            cache=cache,
            processes=KnownProcesses(cache),
            curves=CurveFiles(cache),
            pictures=PictureFiles(cache),
            asks=WorkerAsks(),
        )
