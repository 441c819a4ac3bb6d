"""Finding what an earlier run made: by the id that it wrote down, else by name."""

from __future__ import annotations

from collections.abc import Sequence

from lorapod.client.deploy.options import DeployOptions, WrongOption
from lorapod.client.errors import LorapodError
from lorapod.client.project_file import ProjectFile
from lorapod.platform.models import NetworkVolume, ServerlessEndpoint

#: RunPod's console adds this to the names of endpoints with FlashBoot.
_FLASHBOOT_NAME = " -fb"


def find_endpoint(
    endpoints: Sequence[ServerlessEndpoint], endpoint_id: str | None, name: str
) -> ServerlessEndpoint | None:
    """Return the endpoint with this id, else the one with this name.

    Raises:
        LorapodError: several have the name.
    """
    for endpoint in endpoints:
        if endpoint.id == endpoint_id:
            return endpoint
    named = [endpoint for endpoint in endpoints if endpoint.name.removesuffix(_FLASHBOOT_NAME) == name]
    if len(named) > 1:
        raise LorapodError(
            f"Several endpoints are named {name!r}: {', '.join(endpoint.id for endpoint in named)}.",
            hint='Write the right one into lorapod.toml (endpoint = "ID"), or use another --name.',
        )
    return named[0] if named else None


def find_volume(
    volumes: Sequence[NetworkVolume],
    options: DeployOptions,
    project: ProjectFile,
    endpoint: ServerlessEndpoint | None,
) -> NetworkVolume | None:
    """Return the volume to use: the one that is named, remembered or attached, else the one with the endpoint's name.

    Raises:
        WrongOption: there is no volume with the id that `--volume` names, or it is elsewhere.
        LorapodError: several have the name.
    """
    by_id = {volume.id: volume for volume in volumes}
    place = options.data_center
    if options.volume is not None:
        named = by_id.get(options.volume)
        if named is None:
            known = ", ".join(f"{volume.id} ({volume.name})" for volume in volumes) or "none"
            raise WrongOption("--volume", f"there is no volume {options.volume}; your account has {known}.")
        if place not in {None, named.data_center}:
            raise WrongOption("--data-center", f"the volume {named.id} is in {named.data_center}.")
        return named
    attached = endpoint.network_volumes if endpoint is not None else []
    for volume_id in (project.volume, *attached):
        if volume_id in by_id and place in {None, by_id[volume_id].data_center}:
            return by_id[volume_id]
    fitting = [
        volume for volume in volumes if volume.name == options.name and place in {None, volume.data_center}
    ]
    if len(fitting) > 1:
        listed = ", ".join(f"{volume.id} in {volume.data_center}" for volume in fitting)
        raise LorapodError(
            f"Several volumes are named {options.name!r}: {listed}.", hint="Name the right one with --volume."
        )
    return fitting[0] if fitting else None
