"""What the routes of all pages use."""

from __future__ import annotations

from dataclasses import dataclass

from lorapod.client.console.console_bill import ConsoleBill
from lorapod.client.console.console_doctor import ConsoleDoctor
from lorapod.client.console.curve_files import CurveFiles
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.console.download_tickets import DownloadTickets
from lorapod.client.console.endpoint_calls import EndpointCalls
from lorapod.client.console.known_datasets import KnownDatasets
from lorapod.client.console.known_generations import KnownGenerations
from lorapod.client.console.known_models import KnownModels
from lorapod.client.console.known_processes import KnownProcesses
from lorapod.client.console.open_questions import OpenQuestions
from lorapod.client.console.pictures import PictureFiles
from lorapod.client.console.prices import ConsolePrices
from lorapod.client.console.sources import VolumeSource
from lorapod.client.console.staged_uploads import StagedUploads


@dataclass(frozen=True, kw_only=True)
class ConsoleParts:
    """One console's parts. A GET uses all but `asks`; only a POST may ask a worker."""

    calls: EndpointCalls
    cache: DiskCache
    processes: KnownProcesses
    curves: CurveFiles
    pictures: PictureFiles
    prices: ConsolePrices
    bill: ConsoleBill
    datasets: KnownDatasets
    models: KnownModels
    generations: KnownGenerations
    tickets: DownloadTickets
    uploads: StagedUploads
    #: Questions to a worker: a person asked them.
    asks: OpenQuestions
    #: Reads of the volume, which cost nothing; there are no reads without its keys.
    looks: OpenQuestions
    volume: VolumeSource | None
    #: None: nothing is known of how to look at this endpoint.
    doctor: ConsoleDoctor | None

    @classmethod
    def over(
        cls,
        calls: EndpointCalls,
        cache: DiskCache,
        *,
        volume: VolumeSource | None = None,
        prices: ConsolePrices | None = None,
        bill: ConsoleBill | None = None,
        doctor: ConsoleDoctor | None = None,
    ) -> ConsoleParts:
        """Return the parts over an endpoint, a cache, and what else is known of the endpoint."""
        return cls(
            calls=calls,
            cache=cache,
            processes=KnownProcesses(cache),
            curves=CurveFiles(cache),
            pictures=PictureFiles(cache),
            prices=prices or ConsolePrices(None),
            bill=bill or ConsoleBill(None),
            datasets=KnownDatasets(cache),
            models=KnownModels(cache),
            generations=KnownGenerations(cache),
            tickets=DownloadTickets(),
            uploads=StagedUploads(cache.folder / "uploads"),
            asks=OpenQuestions(),
            looks=OpenQuestions(),
            volume=volume,
            doctor=doctor,
        )

    async def close(self) -> None:
        """Give up what is under way, and close the connections."""
        await self.asks.close()
        await self.looks.close()
        await self.calls.close()
        if self.volume is not None:
            await self.volume.close()
        self.cache.close()
