"""What the console asks RunPod's management API of an endpoint: prices, the bill, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from lorapod.client.console.console_bill import ConsoleBill
from lorapod.client.console.console_doctor import ConsoleDoctor
from lorapod.client.console.prices import ConsolePrices
from lorapod.client.doctor.diagnosis import diagnose
from lorapod.client.doctor.finding import Finding
from lorapod.client.errors import LorapodError
from lorapod.client.money.bills import CostScope, read_bills
from lorapod.client.money.price_book import RETRIES, find_prices
from lorapod.client.money.spending import total_of
from lorapod.client.money.training_cost import usd
from lorapod.client.project_file import ProjectFile, project_path, read_project
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import PlatformError
from lorapod.platform.transport import PlatformRetries

BILLED_DAYS: Final = 30


class RunpodEndpoint:
    """One endpoint of an account. The key stays here."""

    def __init__(self, endpoint_id: str, api_key: str, environment: Mapping[str, str]) -> None:
        """Ask with this key; `environment` has what the doctor compares the endpoint's variables with."""
        self._endpoint_id = endpoint_id
        self._api_key = api_key
        self._environment = environment

    def prices(self) -> ConsolePrices:
        """Return what looks the prices up."""
        return ConsolePrices(lambda: find_prices(self._endpoint_id, self._api_key))

    def bill(self) -> ConsoleBill:
        """Return what looks the bill up."""
        return ConsoleBill(self._read_bill)

    def doctor(self) -> ConsoleDoctor:
        """Return what looks at the endpoint and changes its settings; it wakes no worker."""
        return ConsoleDoctor(self._diagnose, self._fix, wakes_worker=False)

    def _read_bill(self) -> Mapping[str, Any]:
        with self._opened(RETRIES) as (platform, project):
            ids = frozenset({self._endpoint_id})
            own = self._endpoint_id in {project.endpoint, project.front_door}
            if own:
                ids |= {each for each in (project.endpoint, project.front_door) if each is not None}
            volumes = frozenset({project.volume}) if own and project.volume is not None else frozenset()
            bills = read_bills(platform, CostScope(endpoint_ids=ids, volume_ids=volumes), BILLED_DAYS)
            billed = {bill.network_volume_id for bill in bills.volumes} | volumes
            shown = [volume for volume in platform.volumes() if volume.id in billed]
        today = [bill for bill in bills.serverless if bill.end_time > datetime.now(UTC)]
        serverless, of_volumes = total_of(bills.serverless), total_of(bills.volumes)
        return {
            "days": BILLED_DAYS,
            "serverless_usd": usd(serverless),
            "today_usd": usd(total_of(today)),
            "volumes_usd": usd(of_volumes),
            "total_usd": usd(serverless + of_volumes),
            "volumes": [
                {"name": one.name, "size_gb": one.size, "data_center": one.data_center} for one in shown
            ],
        }

    def _diagnose(self) -> list[Finding]:
        with self._opened() as (platform, project):
            return diagnose(
                platform, self._endpoint_id, project, api_key=self._api_key, environment=self._environment
            )

    def _fix(self, finding: Finding) -> None:
        assert finding.fix is not None, "only what has a fix is offered"
        with self._opened() as (platform, _):
            platform.update_endpoint(self._endpoint_id, finding.fix)

    @contextmanager
    def _opened(self, retries: PlatformRetries | None = None) -> Iterator[tuple[RunpodPlatform, ProjectFile]]:
        """Open the API; its errors become the client's.

        Raises:
            LorapodError: RunPod does not answer, or refuses; or `lorapod.toml` cannot be read.
        """
        try:
            project = read_project(project_path())
            with RunpodPlatform(self._api_key, retries=retries or PlatformRetries()) as platform:
                yield platform, project
        except (PlatformError, ValueError) as error:
            hint = error.hint if isinstance(error, PlatformError) else ""
            message = error.message if isinstance(error, PlatformError) else str(error)
            raise LorapodError(message, hint=hint) from error
