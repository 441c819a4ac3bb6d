"""Doing what the plan says, one step after the other; each step is written down before the next begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lorapod.client.deploy.plan import DeploymentPlan, EndpointPlan, VolumePlan
from lorapod.client.deploy.wanted import EndpointRole, changed_settings, new_settings
from lorapod.client.project_file import ProjectFile
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import NotOnPlatform
from lorapod.platform.models import NetworkVolume
from lorapod.platform.requests import VolumeOrder

#: Called with what was done.
Tell = Callable[[str], None]
#: Stores what the next run must know.
Save = Callable[[ProjectFile], None]


def apply_plan(
    platform: RunpodPlatform, plan: DeploymentPlan, project: ProjectFile, *, save: Save, tell: Tell
) -> ProjectFile:
    """Make and change what the plan says; return what was stored last.

    Raises:
        PlatformError: a step failed. The next run continues there.
    """
    volume = plan.volume.existing or _make_volume(platform, plan.volume, tell)
    project = replace(
        project, volume=volume.id, data_center=volume.data_center, deploy=plan.options.remembered()
    )
    save(project)
    for each in plan.endpoints:
        complete = replace(each, wanted=each.wanted.beside(project.endpoint))
        endpoint_id = _apply_endpoint(platform, complete, volume, tell)
        if each.role is EndpointRole.TRAINER:
            project = replace(project, endpoint=endpoint_id)
        else:
            project = replace(project, front_door=endpoint_id)
        save(project)
    return project


def destroy(platform: RunpodPlatform, project: ProjectFile, *, save: Save, tell: Tell) -> ProjectFile:
    """Delete the endpoints that the project names; the volume stays.

    Raises:
        PlatformError: a step failed. The next run continues there.
    """
    for role, endpoint_id in (
        (EndpointRole.FRONT_DOOR, project.front_door),
        (EndpointRole.TRAINER, project.endpoint),
    ):
        if endpoint_id is None:
            continue
        try:
            platform.delete_endpoint(endpoint_id)
            tell(f"Deleted the {role} {endpoint_id}.")
        except NotOnPlatform:
            tell(f"The {role} {endpoint_id} was gone already.")
        if role is EndpointRole.FRONT_DOOR:
            project = replace(project, front_door=None)
        else:
            project = replace(project, endpoint=None)
        save(project)
    return project


def _make_volume(platform: RunpodPlatform, plan: VolumePlan, tell: Tell) -> NetworkVolume:
    made = platform.create_volume(
        VolumeOrder(name=plan.name, size=plan.size_gb, data_center=plan.data_center)
    )
    tell(f"Made the volume {made.name} ({made.id}) in {made.data_center}.")
    return made


def _apply_endpoint(platform: RunpodPlatform, plan: EndpointPlan, volume: NetworkVolume, tell: Tell) -> str:
    if plan.existing is None:
        made = platform.create_endpoint(new_settings(plan.wanted, volume.id))
        tell(f"Made the {plan.role} {made.name} ({made.id}).")
        return made.id
    settings, changes = changed_settings(plan.wanted, plan.existing, volume.id)
    if changes:
        platform.update_endpoint(plan.existing.id, settings)
        tell(f"Changed the {plan.role} {plan.existing.id}: {', '.join(each.setting for each in changes)}.")
    else:
        tell(f"The {plan.role} {plan.existing.id} is as it must be.")
    return plan.existing.id
