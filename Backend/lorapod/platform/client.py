"""The client of RunPod's management API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from lorapod.platform.billing import BillingPeriod, ServerlessBill, VolumeBill
from lorapod.platform.errors import AnswerUnreadable
from lorapod.platform.models import (
    CpuFlavor,
    DataCenter,
    EndpointRelease,
    EndpointWorker,
    GpuType,
    NetworkVolume,
    ServerlessEndpoint,
)
from lorapod.platform.requests import EndpointSettings, VolumeOrder
from lorapod.platform.transport import DEFAULT_URL, URL_VARIABLE, PlatformRetries, PlatformTransport
from lorapod.platform.worker_log import WorkerLogLine, read_tail

T = TypeVar("T")

_ENDPOINTS = "/v2/serverless"
_VOLUMES = "/v2/network-volumes"
_BILLING = "/v2/billing"

#: A log is shown after this silence; the stream itself never ends.
_QUIET_S = 2.0
_LOG_PATIENCE_S = 10.0


class RunpodPlatform:
    """RunPod's management API, version 2. Every method raises `PlatformError` if it fails."""

    def __init__(
        self, api_key: str, *, url: str | None = None, retries: PlatformRetries | None = None
    ) -> None:
        """Make it; it connects at the first request.

        Args:
            api_key: a key of the account.
            url: the server; default: the environment's `RUNPOD_REST_URL`, else RunPod's.
            retries: how often to repeat a request.

        Raises:
            ValueError: the URL is wrong.
            KeyRefused: the key cannot be one.
        """
        chosen = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        self._transport = PlatformTransport(api_key, url=chosen, retries=retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Return the server's URL."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def endpoints(self) -> list[ServerlessEndpoint]:
        """Return all serverless endpoints of the account."""
        return self._list(ServerlessEndpoint, _ENDPOINTS, "endpoints")

    def endpoint(self, endpoint_id: str) -> ServerlessEndpoint:
        """Return one endpoint."""
        return _read(ServerlessEndpoint, self._transport.get(_endpoint(endpoint_id)))

    def create_endpoint(self, settings: EndpointSettings) -> ServerlessEndpoint:
        """Create an endpoint."""
        return _read(ServerlessEndpoint, self._transport.post(_ENDPOINTS, settings.body()))

    def update_endpoint(self, endpoint_id: str, settings: EndpointSettings) -> ServerlessEndpoint:
        """Change the given settings of an endpoint; `env`, `pools` and lists are replaced whole."""
        return _read(ServerlessEndpoint, self._transport.patch(_endpoint(endpoint_id), settings.body()))

    def delete_endpoint(self, endpoint_id: str) -> None:
        """Delete an endpoint: its workers end, its queued jobs are cancelled. Volumes stay."""
        self._transport.delete(_endpoint(endpoint_id))

    def workers(self, endpoint_id: str) -> list[EndpointWorker]:
        """Return the workers that an endpoint has now."""
        return self._list(EndpointWorker, f"{_endpoint(endpoint_id)}/workers", "workers")

    def releases(self, endpoint_id: str) -> list[EndpointRelease]:
        """Return the changes of an endpoint's configuration, the newest first."""
        return self._list(EndpointRelease, f"{_endpoint(endpoint_id)}/releases", "releases")

    def worker_log(self, endpoint_id: str, worker_id: str, *, lines: int = 50) -> list[WorkerLogLine]:
        """Return the last lines of a worker's log, its container's and its machine's."""
        path = f"{_endpoint(endpoint_id)}/workers/{quote(worker_id, safe='')}/logs"
        with self._transport.stream(path, {"tail": str(lines)}, quiet_s=_QUIET_S) as stream:
            return read_tail(stream, lines=lines, patience_s=_LOG_PATIENCE_S)

    def volumes(self) -> list[NetworkVolume]:
        """Return all network volumes of the account."""
        return self._list(NetworkVolume, _VOLUMES, "networkVolumes")

    def create_volume(self, order: VolumeOrder) -> NetworkVolume:
        """Create a network volume; it costs money until it is deleted."""
        return _read(NetworkVolume, self._transport.post(_VOLUMES, order.body()))

    def serverless_bills(
        self, *, periods: int, period: BillingPeriod = BillingPeriod.DAY, endpoint_id: str | None = None
    ) -> list[ServerlessBill]:
        """Return what endpoints cost in each of the last periods, up to the present one; of one endpoint, or of all."""
        query = {"lastN": str(periods), "bucketSize": period.value}
        if endpoint_id is not None:
            query["serverlessId"] = endpoint_id
        return self._list(ServerlessBill, f"{_BILLING}/serverless", "records", query)

    def volume_bills(
        self, *, periods: int, period: BillingPeriod = BillingPeriod.DAY, volume_id: str | None = None
    ) -> list[VolumeBill]:
        """Return what network volumes cost in each of the last periods; of one volume, or of all."""
        query = {"lastN": str(periods), "bucketSize": period.value}
        if volume_id is not None:
            query["networkVolumeId"] = volume_id
        return self._list(VolumeBill, f"{_BILLING}/network-volumes", "records", query)

    def gpu_prices(self) -> list[GpuType]:
        """Return the GPU types with their prices, without what is free."""
        return self._list(GpuType, "/v2/catalog/gpus", "gpus")

    def gpu_types(self, *, min_cuda_version: str | None = None) -> list[GpuType]:
        """Return the GPU types with their prices and what is free for serverless workers.

        `min_cuda_version` counts only machines whose driver has it.
        """
        query = {"include": "AVAILABILITY", "product": "SERVERLESS"}
        if min_cuda_version is not None:
            query["minCudaVersion"] = min_cuda_version
        return self._list(GpuType, "/v2/catalog/gpus", "gpus", query)

    def cpu_flavors(self, *, vcpu_count: int) -> list[CpuFlavor]:
        """Return the CPU types with their prices and what is free for serverless workers of this size."""
        query = {"include": "AVAILABILITY", "product": "SERVERLESS", "vcpuCount": str(vcpu_count)}
        return self._list(CpuFlavor, "/v2/catalog/cpus", "cpus", query)

    def data_centers(self) -> list[DataCenter]:
        """Return the data centers."""
        return self._list(DataCenter, "/v2/catalog/datacenters", "dataCenters")

    def _list(self, kind: type[T], path: str, field: str, query: Mapping[str, str] | None = None) -> list[T]:
        answer = self._transport.get(path, query)
        return _read(list[kind], answer.get(field) if isinstance(answer, dict) else None)  # type: ignore[valid-type]


def _endpoint(endpoint_id: str) -> str:
    return f"{_ENDPOINTS}/{quote(endpoint_id, safe='')}"


def _read(kind: type[T], answer: Any) -> T:
    try:
        return TypeAdapter(kind).validate_python(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the answer"
        raise AnswerUnreadable(
            f"RunPod's answer cannot be read: {where}: {first['msg']}.",
            hint="Update lorapod-client: RunPod's API may have changed.",
        ) from None
