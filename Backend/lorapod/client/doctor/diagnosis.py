"""The whole diagnosis, in the order in which a person mends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from lorapod.client.client import Client
from lorapod.client.doctor.examination import Examination, examine, queue_state
from lorapod.client.doctor.finding import Finding, Severity, ok, problem
from lorapod.client.doctor.front_door_checks import front_door_findings
from lorapod.client.doctor.model_access import DEFAULT_HUB, model_access
from lorapod.client.doctor.queue_checks import local_queue_findings, queue_findings
from lorapod.client.doctor.settings_checks import settings_findings
from lorapod.client.doctor.worker_checks import health_findings, worker_findings
from lorapod.client.errors import LorapodError
from lorapod.client.project_file import ProjectFile
from lorapod.client.retrying import RetryPolicy
from lorapod.platform.client import RunpodPlatform
from lorapod.platform.errors import KeyRefused, NotOnPlatform, PlatformError
from lorapod.platform.models import ServerlessEndpoint
from lorapod.platform.preset_needs import PRESET_NEEDS

#: A queue that does not answer is a finding, and no reason to wait long.
_RETRIES = RetryPolicy(attempts=2, patience_s=10.0)

#: The host of RunPod's queues. The key is sent to no other that an answer names.
_QUEUE_HOST = "api.runpod.ai"

#: A worker on this machine may have to start first.
_LOCAL_HEALTH_S = 120.0


def diagnose(
    platform: RunpodPlatform,
    endpoint_id: str,
    project: ProjectFile,
    *,
    api_key: str,
    environment: Mapping[str, str],
) -> list[Finding]:
    """Look at an endpoint of RunPod; nothing is changed and no worker is woken."""
    try:
        endpoint = platform.endpoint(endpoint_id)
    except PlatformError as error:
        return [*_not_reached(platform, error, endpoint_id)]
    with _queue(platform, endpoint, api_key) as queue:
        seen = examine(platform, endpoint, project, queue)
    return [
        ok("key", "RunPod accepts the key."),
        ok("endpoint", f"{endpoint.name} ({endpoint.id}), image {endpoint.image}."),
        *settings_findings(seen),
        *worker_findings(seen),
        *_health(seen),
        *queue_findings(seen),
        *front_door_findings(platform, endpoint, project),
        *_gated_model(project, environment),
        *seen.unread,
    ]


def diagnose_local(client: Client) -> list[Finding]:
    """Look at an endpoint of this machine; its worker is started if none runs."""
    try:
        state = queue_state(client)
    except LorapodError as error:
        return [
            problem(
                "endpoint",
                f"No endpoint answers at {client.url}: {error.message}",
                mend="lorapod endpoint --port 8080 -- python Backend/rp_handler.py",
            )
        ]
    found = [ok("endpoint", f"An endpoint answers at {client.url}."), *local_queue_findings(state)]
    if any(each.severity is Severity.PROBLEM for each in found):
        return found
    try:
        health = client.call("health", timeout_s=_LOCAL_HEALTH_S)
    except LorapodError as error:
        message = f"No worker reported its health: {error.message}"
        return [*found, problem("worker", message, mend="Look at the output of `lorapod endpoint`.")]
    return [*found, *health_findings(health, volume_gb=None)]


def _not_reached(platform: RunpodPlatform, error: PlatformError, endpoint_id: str) -> Iterator[Finding]:
    if isinstance(error, KeyRefused):
        yield problem("key", error.message, mend=error.hint)
    elif isinstance(error, NotOnPlatform):
        yield ok("key", "RunPod accepts the key.")
        yield problem(
            "endpoint",
            f"There is no endpoint {endpoint_id} in this account{_others(platform)}.",
            mend="lorapod deploy",
        )
    else:
        yield problem("RunPod", error.message, mend=error.hint)


def _others(platform: RunpodPlatform) -> str:
    try:
        known = platform.endpoints()
    except PlatformError:
        return ""
    return f"; it has {', '.join(f'{each.id} ({each.name})' for each in known)}" if known else ""


def _queue(platform: RunpodPlatform, endpoint: ServerlessEndpoint, api_key: str) -> Client:
    """Return the client of the endpoint's queue: where the API says, if that is RunPod's host or the API's own."""
    urls = endpoint.request_urls
    if urls is not None:
        base = urls.health.removesuffix("/health")
        host = urlsplit(base).hostname
        if host in {_QUEUE_HOST, urlsplit(platform.url).hostname}:
            return Client(base, api_key, retries=_RETRIES)
    return Client.runpod(endpoint.id, api_key, retries=_RETRIES)


def _health(seen: Examination) -> Iterator[Finding]:
    if seen.health is not None:
        has_gpu = seen.endpoint.gpu is not None
        yield from health_findings(seen.health, volume_gb=_volume_gb(seen), has_gpu=has_gpu)


def _volume_gb(seen: Examination) -> int | None:
    sizes = {volume.id: volume.size for volume in seen.volumes or ()}
    attached = [sizes[each] for each in seen.endpoint.network_volumes if each in sizes]
    return attached[0] if attached else None


def _gated_model(project: ProjectFile, environment: Mapping[str, Any]) -> Iterator[Finding]:
    preset = project.deploy.get("preset")
    need = PRESET_NEEDS.get(preset) if isinstance(preset, str) else None
    token = environment.get("HF_TOKEN")
    if need is not None and need.gated and token:
        yield model_access(need.base_model, token, hub=environment.get("HF_ENDPOINT") or DEFAULT_HUB)
