"""The endpoint that is wanted, and how an existing one differs from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from lorapod.platform.choice import CpuOffer, PoolOffer
from lorapod.platform.models import EndpointGpu, FlashBoot, ServerlessEndpoint
from lorapod.platform.requests import CpuChoice, EndpointSettings, GpuChoice, QueueDelay, WorkerChoice

#: Seconds that a job waits before RunPod starts another worker.
_QUEUE_DELAY_S = 4


#: How many workers a front door may have: one answers many requests at a time.
FRONT_DOOR_WORKERS = 1

#: The front door's variable with the id of the endpoint that trains.
FRONT_DOOR_OF = "FRONT_DOOR_OF"


class EndpointRole(StrEnum):
    """What an endpoint is for."""

    TRAINER = "endpoint"
    FRONT_DOOR = "front door"


@dataclass(frozen=True, kw_only=True)
class WantedEndpoint:
    """How an endpoint must be."""

    role: EndpointRole
    name: str
    image: str
    disk_gb: int
    data_center: str
    max_workers: int
    #: None: as many as the endpoint has.
    active_workers: int | None = None
    idle_timeout_s: int
    timeout_s: int
    #: Variables that must have these values.
    env: Mapping[str, str] = field(repr=False)
    #: Variables that get these values if they are missing.
    env_defaults: Mapping[str, str] = field(default_factory=dict)
    #: GPU endpoints only.
    pools: Sequence[PoolOffer] = ()
    min_cuda: str | None = None
    #: CPU endpoints only.
    cpu: CpuOffer | None = None

    @property
    def flashboot(self) -> FlashBoot:
        """Return whether a stopped worker's state is kept; RunPod documents it for GPU workers."""
        return FlashBoot.FLASHBOOT if self.role is EndpointRole.TRAINER else FlashBoot.OFF

    def beside(self, endpoint_id: str | None) -> WantedEndpoint:
        """Return this front door with the id of the endpoint that trains, which may have just been made."""
        if self.role is EndpointRole.TRAINER or endpoint_id is None:
            return self
        return replace(self, env={**self.env, FRONT_DOOR_OF: endpoint_id})


@dataclass(frozen=True, kw_only=True)
class SettingChange:
    """One setting that will change, in words."""

    setting: str
    old: str
    new: str


def new_settings(wanted: WantedEndpoint, volume_id: str) -> EndpointSettings:
    """Return the settings of an endpoint that does not exist yet."""
    fields: dict[str, Any] = {
        "name": wanted.name,
        "type": "QUEUE",
        "image": wanted.image,
        "disk": wanted.disk_gb,
        "env": {**wanted.env_defaults, **wanted.env},
        "workers": _workers(wanted, 0),
        "scaling": _SCALING,
        "data_center_ids": [wanted.data_center],
        "network_volumes": [volume_id],
        "timeout": wanted.timeout_s * 1000,
        "flashboot": wanted.flashboot,
    }
    if wanted.cpu is not None:
        return EndpointSettings(**fields, cpu=[_cpu(wanted.cpu)])
    floor = {} if wanted.min_cuda is None else {"min_cuda_version": wanted.min_cuda}
    return EndpointSettings(**fields, gpu=GpuChoice(**_pools(wanted.pools), count=1, **floor))


def changed_settings(
    wanted: WantedEndpoint, endpoint: ServerlessEndpoint, volume_id: str
) -> tuple[EndpointSettings, list[SettingChange]]:
    """Return the settings of an endpoint that must change, and the changes in words."""
    fields: dict[str, Any] = {}
    changes: list[SettingChange] = []
    for name, value, change in _differences(wanted, endpoint, volume_id):
        fields[name] = value
        changes.append(change)
    # The variables are replaced whole, and so is the choice of GPUs.
    if gpu := {key: value for each in _gpu_fields(fields) for key, value in each.items()}:
        fields["gpu"] = GpuChoice(**gpu)
    return EndpointSettings(**fields), changes


_SCALING = QueueDelay(type="QUEUE_DELAY", queue_delay=_QUEUE_DELAY_S)

Difference = tuple[str, Any, SettingChange]


def _differences(
    wanted: WantedEndpoint, endpoint: ServerlessEndpoint, volume_id: str
) -> Iterator[Difference]:
    plain = (
        ("image", "image", endpoint.image, wanted.image),
        ("disk", "container disk (GB)", endpoint.disk, wanted.disk_gb),
        ("data_center_ids", "data center", endpoint.data_center_ids, [wanted.data_center]),
        ("timeout", "job timeout (s)", endpoint.timeout, wanted.timeout_s * 1000),
        ("flashboot", "FlashBoot", endpoint.flashboot, wanted.flashboot),
    )
    for name, setting, old, new in plain:
        if old != new:
            yield name, new, _change(setting, *(_shown(name, value) for value in (old, new)))
    if volume_id not in endpoint.network_volumes:
        yield (
            "network_volumes",
            [volume_id],
            _change("volume", _listed(endpoint.network_volumes), volume_id),
        )
    yield from _worker_differences(wanted, endpoint)
    yield from _env_differences(wanted, endpoint)
    if endpoint.gpu is not None:
        yield from _gpu_differences(wanted, endpoint.gpu)


def _worker_differences(wanted: WantedEndpoint, endpoint: ServerlessEndpoint) -> Iterator[Difference]:
    workers = endpoint.workers
    scales_by_delay = endpoint.scaling.get("type") == _SCALING.type
    if not scales_by_delay or endpoint.scaling.get("queueDelay") != _QUEUE_DELAY_S:
        shown = _listed([str(value) for value in endpoint.scaling.values()])
        yield "scaling", _SCALING, _change("scaling", shown, f"{_SCALING.type}, {_QUEUE_DELAY_S}")
    if workers.max != wanted.max_workers:
        change = _change("max workers", str(workers.max), str(wanted.max_workers))
        yield "workers", _workers(wanted, workers.min), change
    if wanted.active_workers not in {None, workers.min}:
        change = _change("active workers", str(workers.min), str(wanted.active_workers))
        yield "workers", _workers(wanted, workers.min), change
    if workers.idle_timeout != wanted.idle_timeout_s:
        change = _change("idle timeout (s)", str(workers.idle_timeout), str(wanted.idle_timeout_s))
        yield "workers", _workers(wanted, workers.min), change


def _env_differences(wanted: WantedEndpoint, endpoint: ServerlessEndpoint) -> Iterator[Difference]:
    """Name the variables that change; never their values."""
    defaults = {name: value for name, value in wanted.env_defaults.items() if name not in endpoint.env}
    aimed = {**defaults, **wanted.env}
    added = [name for name in aimed if name not in endpoint.env]
    changed = [name for name, value in aimed.items() if name in endpoint.env and endpoint.env[name] != value]
    if added or changed:
        words = [f"{name} added" for name in added] + [f"{name} changed" for name in changed]
        yield "env", {**endpoint.env, **aimed}, _change("environment", "", ", ".join(words))


def _gpu_differences(wanted: WantedEndpoint, gpu: EndpointGpu) -> Iterator[Difference]:
    pools = [offer.pool for offer in wanted.pools]
    excluded = {each for offer in wanted.pools for each in offer.excluded_types}
    if set(gpu.pools) != set(pools) or not excluded <= set(gpu.excluded_types):
        yield "gpu.pools", _pools(wanted.pools), _change("GPU pools", _listed(gpu.pools), _listed(pools))
    if wanted.min_cuda is not None and gpu.min_cuda_version != wanted.min_cuda:
        cleared: dict[str, Any] = {"allowed_cuda_versions": []} if gpu.allowed_cuda_versions else {}
        old = gpu.min_cuda_version or _listed(gpu.allowed_cuda_versions)
        yield (
            "gpu.cuda",
            {**cleared, "min_cuda_version": wanted.min_cuda},
            _change("lowest CUDA", old, wanted.min_cuda),
        )


def _gpu_fields(fields: dict[str, Any]) -> list[dict[str, Any]]:
    return [fields.pop(name) for name in ("gpu.pools", "gpu.cuda") if name in fields]


def _pools(offers: Sequence[PoolOffer]) -> dict[str, Any]:
    excluded = [each for offer in offers for each in offer.excluded_types]
    return {
        "pools": [offer.pool for offer in offers],
        **({"excluded_types": excluded} if excluded else {}),
    }


def _cpu(offer: CpuOffer) -> CpuChoice:
    return CpuChoice(id=offer.flavor, vcpu_count=offer.vcpu_count)


def _workers(wanted: WantedEndpoint, active: int) -> WorkerChoice:
    """Return the choice; `active` is how many the endpoint has."""
    chosen = active if wanted.active_workers is None else wanted.active_workers
    return WorkerChoice(
        min=min(chosen, wanted.max_workers), max=wanted.max_workers, idle_timeout=wanted.idle_timeout_s
    )


def _change(setting: str, old: str, new: str) -> SettingChange:
    return SettingChange(setting=setting, old=old, new=new)


def _shown(name: str, value: Any) -> str:
    if name == "timeout":
        return f"{value / 1000:g}"
    return _listed(value) if isinstance(value, list) else str(value if value is not None else "none")


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values) or "none"
