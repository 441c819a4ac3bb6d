"""What lorapod sends to RunPod: new endpoints, changed endpoints, new volumes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from lorapod.platform.models import FlashBoot


class PlatformRequest(BaseModel):
    """A body. Fields that were not given are not sent."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", protected_namespaces=()
    )

    def body(self) -> dict[str, Any]:
        """Return the fields that were given, by the API's names."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class GpuChoice(PlatformRequest):
    """The GPUs that an endpoint may use."""

    pools: list[str] | None = None
    #: Sent with `pools` only; leaving it out clears the earlier list.
    excluded_types: list[str] | None = None
    count: int | None = None
    #: An empty list takes a constraint away.
    allowed_cuda_versions: list[str] | None = None
    min_cuda_version: str | None = None


class CpuChoice(PlatformRequest):
    """A kind of CPU machine that an endpoint may use."""

    id: str
    vcpu_count: int


class WorkerChoice(PlatformRequest):
    """How many workers an endpoint may have."""

    min: int
    max: int
    #: Seconds.
    idle_timeout: int | None = None


class QueueDelay(PlatformRequest):
    """Start another worker if a job has waited this long."""

    type: Literal["QUEUE_DELAY"]
    #: Seconds.
    queue_delay: float


class EndpointSettings(PlatformRequest):
    """The settings of an endpoint; all of them for a new one, the changed ones for a change."""

    name: str | None = None
    type: Literal["QUEUE"] | None = None
    image: str | None = None
    disk: int | None = None
    env: dict[str, str] | None = None
    gpu: GpuChoice | None = None
    cpu: list[CpuChoice] | None = None
    workers: WorkerChoice | None = None
    scaling: QueueDelay | None = None
    data_center_ids: list[str] | None = None
    network_volumes: list[str] | None = None
    #: Milliseconds.
    timeout: int | None = None
    flashboot: FlashBoot | None = None


class VolumeOrder(PlatformRequest):
    """A new network volume."""

    name: str
    #: GB.
    size: int
    data_center: str
