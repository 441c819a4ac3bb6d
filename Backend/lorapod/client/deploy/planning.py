"""Making the plan: what exists, what is missing, and which machines fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lorapod.client.deploy.finding import find_endpoint, find_volume
from lorapod.client.deploy.options import DeployOptions, WrongOption
from lorapod.client.deploy.plan import DeploymentPlan, EndpointPlan, VolumePlan
from lorapod.client.deploy.variables import secret_reference
from lorapod.client.deploy.wanted import FRONT_DOOR_OF, FRONT_DOOR_WORKERS, EndpointRole, WantedEndpoint
from lorapod.client.errors import LorapodError
from lorapod.client.project_file import ProjectFile
from lorapod.platform.choice import (
    S3_DATA_CENTERS,
    PoolOffer,
    cpu_offer,
    data_centers_for,
    pool_offers,
    pools_in,
)
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.models import ServerlessEndpoint, Stock

#: Container disks, GB: AI Toolkit's caches, and a worker without a trainer.
_TRAINER_DISK_GB = 40
_FRONT_DOOR_DISK_GB = 10
_FRONT_DOOR_VCPUS = 2

_ENV_DEFAULTS = {"HANDLER": "backend", "TRAIN_WAIT": "auto", "RUNPOD_DEBUG_LEVEL": "INFO"}
#: A worker without a GPU must start no training by itself, and its image has nothing but the worker, whatever the
#: endpoint's variables start there.
_FRONT_DOOR_ENV = {
    "AUTO_RESUME": "false",
    "WARM_TRAINER": "false",
    "HANDLER": "backend",
    "START_COMFYUI": "false",
    "START_SWARMUI": "false",
}


class DeployRefused(LorapodError):
    """There is no way to deploy what was asked for."""


def make_plan(platform: RunpodPlatform, options: DeployOptions, project: ProjectFile) -> DeploymentPlan:
    """Return the plan; nothing is changed.

    Raises:
        DeployRefused: no machine fits, or it is unclear what to use.
        WrongOption: an option is missing or wrong.
        PlatformError: the API did not answer.
    """
    endpoints = platform.endpoints()
    trainer = find_endpoint(endpoints, project.endpoint, options.name)
    door = find_endpoint(endpoints, project.front_door, options.front_door_name)
    _check_family(trainer, door)
    image = options.image or (trainer.image if trainer is not None else None)
    if not image:
        raise WrongOption("--image", "name the worker's image, for example --image YOU/lorapod:1.")
    offers = pool_offers(
        platform.gpu_types(min_cuda_version=options.min_cuda),
        memory_gb=options.memory_gb,
        max_price=options.max_price,
    )
    volume = _volume_plan(platform, options, project, trainer, offers)
    pools = _pools(options, offers, trainer, volume)
    if options.cached_model is not None:
        # The worker then says whether the model is there.
        options = replace(options, env={**options.env, "CACHED_MODEL": options.cached_model})
    wanted = _trainer(options, image, pools, volume)
    plans = [EndpointPlan(wanted=wanted, existing=trainer)]
    if options.front_door:
        plans.append(
            _front_door(platform, options, image=image, volume=volume, trainer=trainer, existing=door)
        )
    return DeploymentPlan(
        options=options,
        volume=volume,
        endpoints=plans,
        warnings=[*_warnings(options, wanted, trainer, volume), *_left_door(options, door)],
    )


def _check_family(trainer: ServerlessEndpoint | None, door: ServerlessEndpoint | None) -> None:
    """Refuse an endpoint of the other kind: RunPod cannot turn GPUs into CPUs."""
    if trainer is not None and trainer.gpu is None:
        raise DeployRefused(
            f"The endpoint {trainer.name} ({trainer.id}) has CPU workers, which cannot train.",
            hint="Use another --name, or delete it in RunPod's console.",
        )
    if door is not None and door.gpu is not None:
        raise DeployRefused(
            f"The endpoint {door.name} ({door.id}) has GPU workers; a front door has none.",
            hint="Use another --name, or delete it in RunPod's console.",
        )


def _volume_plan(
    platform: RunpodPlatform,
    options: DeployOptions,
    project: ProjectFile,
    trainer: ServerlessEndpoint | None,
    offers: Sequence[PoolOffer],
) -> VolumePlan:
    found = find_volume(platform.volumes(), options, project, trainer)
    if found is not None:
        return VolumePlan(name=found.name, size_gb=found.size, data_center=found.data_center, existing=found)
    places = data_centers_for(offers, platform.data_centers())
    if options.data_center is not None:
        places = [options.data_center] if pools_in(offers, options.data_center) else []
    if not places:
        where = options.data_center or "no data center with volumes and S3"
        raise DeployRefused(
            f"No GPU fits: {where} has {'none' if options.data_center else 'a GPU'} with {options.memory_gb} GB or more"
            f"{_price_limit(options)} and CUDA {options.min_cuda} or newer{'' if options.data_center else ' free now'}.",
            hint="Raise --max-price, lower --gpu-memory, name another --data-center, or try again later.",
        )
    return VolumePlan(name=options.name, size_gb=options.volume_size, data_center=places[0])


def _pools(
    options: DeployOptions,
    offers: Sequence[PoolOffer],
    trainer: ServerlessEndpoint | None,
    volume: VolumePlan,
) -> Sequence[PoolOffer]:
    """Return the pools; those of the existing endpoint if all of them still fit, whatever prices do."""
    if trainer is not None and trainer.gpu is not None:
        there = {offer.pool: offer for offer in offers if volume.data_center in offer.stock}
        if trainer.gpu.pools and set(trainer.gpu.pools) <= set(there):
            return [there[pool] for pool in trainer.gpu.pools]
    pools = pools_in(offers, volume.data_center)
    if not pools:
        raise DeployRefused(
            f"No GPU fits: {volume.data_center}, where the volume {volume.name} is, has none with {options.memory_gb} GB "
            f"or more{_price_limit(options)} and CUDA {options.min_cuda} or newer.",
            hint="Raise --max-price, lower --gpu-memory, or name another --data-center: a new volume is made there.",
        )
    return pools


def _price_limit(options: DeployOptions) -> str:
    return "" if options.max_price is None else f", at most ${options.max_price:g} an hour"


def _trainer(
    options: DeployOptions, image: str, pools: Sequence[PoolOffer], volume: VolumePlan
) -> WantedEndpoint:
    return WantedEndpoint(
        role=EndpointRole.TRAINER,
        name=options.name,
        image=image,
        disk_gb=_TRAINER_DISK_GB,
        data_center=volume.data_center,
        max_workers=options.max_workers,
        active_workers=options.active_workers,
        idle_timeout_s=options.idle_timeout,
        timeout_s=round(options.timeout_hours * 3600),
        env=options.env,
        env_defaults=_ENV_DEFAULTS,
        pools=pools,
        min_cuda=options.min_cuda,
    )


def _front_door(
    platform: RunpodPlatform,
    options: DeployOptions,
    *,
    image: str,
    volume: VolumePlan,
    trainer: ServerlessEndpoint | None,
    existing: ServerlessEndpoint | None,
) -> EndpointPlan:
    # It serves the same files and stores, so it has the same variables.
    variables = {**(trainer.env if trainer is not None else {}), **options.env}
    flavors = platform.cpu_flavors(vcpu_count=_FRONT_DOOR_VCPUS)
    offer = cpu_offer(flavors, volume.data_center, vcpu_count=_FRONT_DOOR_VCPUS)
    if offer is None and existing is None:
        raise DeployRefused(
            f"No CPU machine with {_FRONT_DOOR_VCPUS} vCPUs is free in {volume.data_center}, where the volume is.",
            hint="Try again later, or deploy without --front-door.",
        )
    wanted = WantedEndpoint(
        role=EndpointRole.FRONT_DOOR,
        name=options.front_door_name,
        image=options.front_door_image or _door_image(image, trainer, existing),
        disk_gb=_FRONT_DOOR_DISK_GB,
        data_center=volume.data_center,
        max_workers=FRONT_DOOR_WORKERS,
        idle_timeout_s=options.idle_timeout,
        timeout_s=round(options.timeout_hours * 3600),
        env={**variables, **_FRONT_DOOR_ENV, FRONT_DOOR_OF: "" if trainer is None else trainer.id},
        env_defaults=_ENV_DEFAULTS,
        cpu=offer,
    )
    return EndpointPlan(wanted=wanted, existing=existing)


def _door_image(image: str, trainer: ServerlessEndpoint | None, door: ServerlessEndpoint | None) -> str:
    """Return the front door's image: beside the worker's, unless the existing one was chosen otherwise."""
    if door is None or door.image is None:
        return light_image(image)
    was_beside = trainer is not None and trainer.image and door.image == light_image(trainer.image)
    return light_image(image) if was_beside else door.image


def light_image(image: str) -> str:
    """Return the name that the documentation gives to the `light` image beside this one: `me/lorapod-light:1`."""
    name, at, digest = image.partition("@")
    path, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = name, "", ""
    if at and digest:
        # A digest names the one image only.
        return f"{path}-light:latest"
    return f"{path}-light{colon}{tag}"


def _left_door(options: DeployOptions, door: ServerlessEndpoint | None) -> list[str]:
    if options.front_door or door is None:
        return []
    stays = f"The front door {door.name} ({door.id}) stays as it is, and requests still go to it."
    return [f"{stays} To end that, delete it in RunPod's console, and the line front_door in lorapod.toml."]


def _warnings(
    options: DeployOptions,
    wanted: WantedEndpoint,
    trainer: ServerlessEndpoint | None,
    volume: VolumePlan,
) -> list[str]:
    found = []
    env = {**(trainer.env if trainer is not None else {}), **options.env}
    need = options.need
    if need is not None and need.gated and not env.get("HF_TOKEN"):
        found.append(
            f"{need.base_model} is gated: accept its terms at https://huggingface.co/{need.base_model}, save a token "
            "as the secret HF_TOKEN in RunPod's console, and add --secret HF_TOKEN."
        )
    if all(offer.stock.get(volume.data_center, Stock.NONE) is Stock.NONE for offer in wanted.pools):
        found.append(
            f"No suitable GPU is free in {volume.data_center} now: jobs will wait until one is. "
            "A higher --max-price may add others."
        )
    left = [] if trainer is None else trainer.network_volumes
    if left and (volume.existing is None or volume.existing.id not in left):
        found.append(
            f"The endpoint leaves the volume {', '.join(left)}: what is on it stays there, and costs money until it is "
            "deleted in RunPod's console."
        )
    if volume.data_center not in S3_DATA_CENTERS:
        found.append(
            f"Volumes in {volume.data_center} cannot be read by S3: files are fetched through a worker."
        )
    kept = 0 if trainer is None else trainer.workers.min
    if active := kept if wanted.active_workers is None else wanted.active_workers:
        price = wanted.pools[0].price_per_hour * active
        found.append(
            f"{wanted.name} keeps {active} active worker(s), which cost from ${price:.2f} an hour, also when no job runs; "
            "--active-workers 0 ends that."
        )
    plain = sorted(
        name for name, value in env.items() if "TOKEN" in name and value and secret_reference(value) is None
    )
    if plain:
        found.append(
            f"{', '.join(plain)} is readable in the endpoint's settings; a secret of RunPod's console with --secret is not."
        )
    if options.cached_model is not None:
        found.append(
            f"RunPod's API has no field for a cached model: set {options.cached_model} in the console (the endpoint, "
            "Manage, Edit Endpoint, Model). `lorapod health` then says whether it is there."
        )
    return found
