"""What lorapod reads of RunPod's answers; fields that nothing reads are left out."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class PlatformModel(BaseModel):
    """A part of an answer. New fields of the API are ignored, so that they break nothing."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore", protected_namespaces=()
    )


class Stock(StrEnum):
    """How many of a GPU or CPU type are free."""

    NONE = "NONE"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"

    @property
    def rank(self) -> int:
        """Return a number to compare by; 0 means no stock."""
        return list(Stock).index(self)


class FlashBoot(StrEnum):
    """Whether RunPod keeps a stopped worker's state for a faster start."""

    OFF = "OFF"
    FLASHBOOT = "FLASHBOOT"
    PRIORITY_FLASHBOOT = "PRIORITY_FLASHBOOT"


class StockPlace(PlatformModel):
    """The stock of one GPU or CPU type in one data center."""

    id: str
    availability: Stock


class GpuPrice(PlatformModel):
    """US dollars per hour and GPU."""

    #: None: serverless endpoints of this account cannot use it.
    serverless: float | None = None


class GpuType(PlatformModel):
    """One GPU type of the catalog."""

    id: str
    name: str
    #: The serverless pool that holds it. None: no pool.
    pool: str | None
    manufacturer: str
    #: GB.
    memory: int
    price: GpuPrice
    #: Both are known if the request asked for a product's availability.
    availability: Stock = Stock.NONE
    data_centers: list[StockPlace] = []


class CpuRange(PlatformModel):
    """How many vCPUs an instance may have."""

    min: int
    max: int


class CpuPrice(PlatformModel):
    """US dollars per hour and vCPU."""

    serverless_per_vcpu: float


class CpuFlavor(PlatformModel):
    """One CPU type of the catalog."""

    id: str
    name: str
    vcpu: CpuRange
    ram_gb_per_vcpu: float
    price: CpuPrice
    availability: Stock = Stock.NONE
    data_centers: list[StockPlace] = []


class DataCenter(PlatformModel):
    """One data center."""

    id: str
    name: str
    #: The kinds of network volumes that it has; empty: none.
    network_volume_types: list[str]


class NetworkVolume(PlatformModel):
    """Storage that workers mount."""

    id: str
    name: str
    #: GB.
    size: int
    data_center: str


class EndpointGpu(PlatformModel):
    """The GPUs of an endpoint."""

    pools: list[str]
    excluded_types: list[str] = []
    count: int = 1
    allowed_cuda_versions: list[str]
    min_cuda_version: str | None


class EndpointCpu(PlatformModel):
    """One kind of machine of a CPU endpoint."""

    id: str
    vcpu_count: int


class WorkerLimits(PlatformModel):
    """How many workers an endpoint may have."""

    min: int
    max: int
    #: Seconds. None: it does not apply.
    idle_timeout: int | None = None


class QueueUrls(PlatformModel):
    """Where an endpoint takes jobs."""

    #: Absent on endpoints that balance load.
    run_sync: str | None = None
    health: str


class ServerlessEndpoint(PlatformModel):
    """One endpoint."""

    id: str
    name: str
    type: str | None = None
    image: str | None = None
    #: Container disk, GB.
    disk: int | None = None
    #: May hold secrets: show the names only.
    env: dict[str, str] = Field(default={}, repr=False)
    #: None: a CPU endpoint.
    gpu: EndpointGpu | None = None
    cpu: list[EndpointCpu] = []
    workers: WorkerLimits
    scaling: dict[str, Any]
    data_center_ids: list[str]
    network_volumes: list[str]
    #: Milliseconds that a job may run.
    timeout: int
    flashboot: FlashBoot
    request_urls: QueueUrls | None = None


class WorkerCondition(StrEnum):
    """What a worker of an endpoint does, as the platform sees it."""

    RUNNING = "RUNNING"
    IDLE = "IDLE"
    INITIALIZING = "INITIALIZING"
    #: Waiting for a free machine.
    THROTTLED = "THROTTLED"
    UNHEALTHY = "UNHEALTHY"


class EndpointWorker(PlatformModel):
    """One worker of an endpoint."""

    id: str
    status: WorkerCondition
    #: Whether it runs an older configuration of the endpoint.
    is_stale: bool
    image: str | None = None
    uptime_seconds: int | None = None
    gpu_type_id: str | None = None
    data_center_id: str | None = None


class ReleaseChange(PlatformModel):
    """One setting that a release changed."""

    field: str
    old: Any
    new: Any


class EndpointRelease(PlatformModel):
    """One change of an endpoint's configuration."""

    created_at: datetime
    created_by_user_id: str | None = None
    diff: list[ReleaseChange]
