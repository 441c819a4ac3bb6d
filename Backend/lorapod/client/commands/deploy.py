"""`deploy`: make the endpoint on RunPod, or change what differs."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from lorapod.client.commands.deploy_options import (
    ActiveWorkersOption,
    CachedModelOption,
    DataCenterOption,
    DeployNameOption,
    DeployPresetOption,
    DestroyOption,
    EnvFromOption,
    EnvOption,
    FrontDoorChoice,
    FrontDoorImageOption,
    FrontDoorOption,
    GpuMemoryOption,
    IdleTimeoutOption,
    ImageOption,
    MaxPriceOption,
    MaxWorkersOption,
    MinCudaOption,
    SecretOption,
    TimeoutHoursOption,
    VolumeOption,
    VolumeSizeOption,
)
from lorapod.client.commands.session import AsJson


def deploy(
    context: typer.Context,
    *,
    preset: DeployPresetOption = None,
    image: ImageOption = None,
    name: DeployNameOption = None,
    gpu_memory: GpuMemoryOption = None,
    max_price: MaxPriceOption = None,
    data_center: DataCenterOption = None,
    volume: VolumeOption = None,
    volume_size: VolumeSizeOption = None,
    max_workers: MaxWorkersOption = None,
    active_workers: ActiveWorkersOption = None,
    idle_timeout: IdleTimeoutOption = None,
    timeout_hours: TimeoutHoursOption = None,
    min_cuda: MinCudaOption = None,
    secret: SecretOption = None,
    env_from: EnvFromOption = None,
    env: EnvOption = None,
    front_door: FrontDoorOption = None,
    front_door_image: FrontDoorImageOption = None,
    cached_model: CachedModelOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    destroy_all: DestroyOption = False,
    as_json: AsJson = False,
) -> None:
    """Make the endpoint on RunPod, or change what differs; show the plan with prices first."""
    given = {
        "preset": preset,
        "image": image,
        "name": name,
        "gpu_memory": gpu_memory,
        "max_price": max_price,
        "data_center": data_center,
        "volume": volume,
        "volume_size": volume_size,
        "max_workers": max_workers,
        "active_workers": active_workers,
        "idle_timeout": idle_timeout,
        "timeout_hours": timeout_hours,
        "min_cuda": min_cuda,
        "front_door_image": front_door_image,
        "cached_model": cached_model,
        "front_door": None if front_door is None else front_door is FrontDoorChoice.CPU,
    }
    # Imported here, because every command would wait for it.
    from lorapod.client.commands.deploy_run import deploy_endpoint, destroy_endpoints, opened
    from lorapod.client.deploy.options import merged_options
    from lorapod.client.deploy.variables import container_variables

    with opened(context, as_json=as_json, yes=yes, dry_run=dry_run) as run:
        if destroy_all:
            destroy_endpoints(run)
            return
        variables = container_variables(
            plain=env or [], from_shell=env_from or [], secrets=secret or [], shell=os.environ
        )
        deploy_endpoint(run, merged_options({**given, "env": variables}, run.project.deploy))
