"""The front door beside an endpoint: requests for it wait for ever if it is gone or scaled down."""

from __future__ import annotations

from collections.abc import Iterator

from lorapod.client.deploy.wanted import FRONT_DOOR_OF
from lorapod.client.doctor.finding import Finding, note, ok, problem
from lorapod.client.project_file import ProjectFile
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import NotOnPlatform, PlatformError
from lorapod.platform.models import ServerlessEndpoint

_CHECK = "front door"


def front_door_findings(
    platform: RunpodPlatform, endpoint: ServerlessEndpoint, project: ProjectFile
) -> Iterator[Finding]:
    """Look at the front door that the client uses with this endpoint; nothing if it uses none."""
    if project.front_door is None or project.endpoint != endpoint.id:
        return
    try:
        door = platform.endpoint(project.front_door)
    except NotOnPlatform:
        yield problem(
            _CHECK,
            f"There is no endpoint {project.front_door} in this account, to which uploads, files and status go.",
            mend="lorapod deploy --front-door cpu",
        )
        return
    except PlatformError as error:
        yield note(_CHECK, f"This could not be looked at: {error.message}", mend=error.hint)
        return
    problems = [*_problems(door, endpoint)]
    yield from problems or [ok(_CHECK, f"{door.name} ({door.id}) answers what needs no GPU.")]


def _problems(door: ServerlessEndpoint, endpoint: ServerlessEndpoint) -> Iterator[Finding]:
    if door.workers.max == 0:
        yield problem(
            _CHECK,
            f"Max workers of {door.id} is 0, so uploads, files and status wait for ever. RunPod sets it to 0 after a week "
            "without a request.",
            mend=f"lorapod doctor --endpoint {door.id} --fix",
        )
    if door.env.get(FRONT_DOOR_OF) != endpoint.id:
        yield problem(
            _CHECK,
            f"{FRONT_DOOR_OF} of {door.id} does not name this endpoint, so its workers may take up trainings.",
            mend="lorapod deploy",
        )
    if set(door.network_volumes) != set(endpoint.network_volumes):
        yield problem(
            _CHECK,
            f"{door.id} has another volume than the endpoint, so it sees other files.",
            mend="lorapod deploy",
        )
