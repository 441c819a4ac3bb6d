"""What an endpoint's settings must be."""

from __future__ import annotations

from collections.abc import Iterator

from lorapod.client.deploy.options import IMAGE_CUDA
from lorapod.client.deploy.variables import secret_reference
from lorapod.client.deploy.wanted import FRONT_DOOR_WORKERS
from lorapod.client.doctor.examination import Examination
from lorapod.client.doctor.finding import Finding, note, ok, problem
from lorapod.platform.models import EndpointGpu, ServerlessEndpoint
from lorapod.platform.preset_needs import PRESET_NEEDS
from lorapod.platform.requests import EndpointSettings, GpuChoice, WorkerChoice

_DEFAULT_MAX_WORKERS = 2
#: Shorter than this, a training's job is cut off.
_SHORT_TIMEOUT_MS = 3_600_000
_DAY_MS = 86_400_000

#: A variable that is of no use without another.
_PAIRS = (
    ("BUCKET_ENDPOINT_URL", "BUCKET_ACCESS_KEY_ID"),
    ("BUCKET_ENDPOINT_URL", "BUCKET_SECRET_ACCESS_KEY"),
    ("SUPABASE_URL", "SUPABASE_SERVICE_KEY"),
)


def settings_findings(seen: Examination) -> Iterator[Finding]:
    """Look at workers, CUDA, time limits, the volume and the variables."""
    yield _max_workers(seen)
    yield from _image(seen)
    if seen.endpoint.gpu is not None:
        yield _cuda(seen.endpoint.gpu, str(seen.project.deploy.get("min_cuda") or IMAGE_CUDA))
    yield _timeout(seen.endpoint)
    if seen.volumes is not None:
        yield _volume(seen)
    yield from _variables(seen)


def _max_workers(seen: Examination) -> Finding:
    endpoint = seen.endpoint
    if endpoint.workers.max > 0:
        active = endpoint.workers.min
        if active > 0:
            return note(
                "max workers",
                f"{active} active worker(s) cost money also when no job runs.",
                mend="lorapod deploy --active-workers 0, if you do not need them",
            )
        return ok("max workers", f"Up to {endpoint.workers.max} workers may run.")
    wanted = seen.project.deploy.get("max_workers")
    raised = wanted if isinstance(wanted, int) else _DEFAULT_MAX_WORKERS
    if endpoint.gpu is None:
        raised = FRONT_DOOR_WORKERS
    return problem(
        "max workers",
        f"Max workers is 0, so jobs wait for ever{_scaled_down(seen)}. RunPod sets it to 2 after 3 days without a "
        "request and to 0 after 7, until somebody raises it.",
        mend="lorapod doctor --fix",
        fix=EndpointSettings(workers=_workers(endpoint, raised)),
    )


def _scaled_down(seen: Examination) -> str:
    """Return since when max workers is 0, if a release says so."""
    for release in seen.releases or ():
        if any("workersmax" in change.field.lower().replace(".", "") for change in release.diff):
            return f" (changed on {release.created_at:%Y-%m-%d})"
    return ""


def _workers(endpoint: ServerlessEndpoint, most: int) -> WorkerChoice:
    idle = endpoint.workers.idle_timeout
    timeout = {} if idle is None else {"idle_timeout": idle}
    return WorkerChoice(min=endpoint.workers.min, max=most, **timeout)


def _image(seen: Examination) -> Iterator[Finding]:
    wanted = seen.project.deploy.get("image")
    if seen.endpoint.id == seen.project.endpoint and wanted and wanted != seen.endpoint.image:
        yield problem(
            "image",
            f"The endpoint has the image {seen.endpoint.image}, lorapod.toml has {wanted}.",
            mend=f"lorapod deploy --image {wanted}",
        )


def _cuda(gpu: EndpointGpu, floor: str) -> Finding:
    allowed = gpu.allowed_cuda_versions
    too_low = [version for version in allowed if _number(version) < _number(floor)]
    if gpu.min_cuda_version is not None and _number(gpu.min_cuda_version) >= _number(floor):
        return ok("CUDA", f"Workers start only on hosts with CUDA {gpu.min_cuda_version} or newer.")
    if gpu.min_cuda_version is None and allowed and not too_low:
        return ok("CUDA", f"Workers start only on hosts with CUDA {', '.join(allowed)}.")
    allows = ", ".join(allowed) or f"{gpu.min_cuda_version or 'any'} or newer".replace("any or newer", "any")
    cleared: dict[str, list[str]] = {"allowed_cuda_versions": []} if allowed else {}
    return problem(
        "CUDA",
        f"The endpoint allows hosts with CUDA {allows}, but the image needs {floor}: on other hosts workers never start.",
        mend="lorapod doctor --fix",
        fix=EndpointSettings(gpu=GpuChoice(min_cuda_version=floor, **cleared)),
    )


def _number(version: str) -> tuple[int, ...]:
    """Return a version to compare by: 12.11 is above 12.2."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _timeout(endpoint: ServerlessEndpoint) -> Finding:
    if endpoint.timeout == 0 or endpoint.timeout >= _SHORT_TIMEOUT_MS:
        return ok("job timeout", f"A job may run {endpoint.timeout / 3_600_000:g} h.")
    return problem(
        "job timeout",
        f"RunPod ends each job after {endpoint.timeout / 1000:g} s, and a training with its job.",
        mend="lorapod doctor --fix",
        fix=EndpointSettings(timeout=_DAY_MS),
    )


def _volume(seen: Examination) -> Finding:
    known = {volume.id: volume for volume in seen.volumes or ()}
    attached = [known[each] for each in seen.endpoint.network_volumes if each in known]
    if attached:
        volume = attached[0]
        return ok(
            "volume", f"{volume.name} ({volume.id}), {volume.size} GB in {volume.data_center}, is attached."
        )
    remembered = known.get(seen.project.volume or "")
    lost = ", ".join(seen.endpoint.network_volumes)
    message = (
        f"The endpoint's volume {lost} does not exist any more: workers cannot start with it."
        if lost
        else "No volume is attached: datasets, models and trained files are lost with each worker."
    )
    if remembered is None:
        return problem("volume", message, mend="lorapod deploy")
    fix = EndpointSettings(network_volumes=[remembered.id], data_center_ids=[remembered.data_center])
    return problem("volume", message, mend="lorapod doctor --fix", fix=fix)


def _variables(seen: Examination) -> Iterator[Finding]:
    env = seen.endpoint.env
    for name, partner in _PAIRS:
        if env.get(name) and not env.get(partner):
            yield problem(
                "variables",
                f"{name} is set, but {partner} is missing.",
                mend=f"lorapod deploy --secret {partner}",
            )
    preset = seen.project.deploy.get("preset")
    need = PRESET_NEEDS.get(preset) if isinstance(preset, str) else None
    if need is not None and need.gated and not env.get("HF_TOKEN"):
        yield problem(
            "variables",
            f"The preset {preset} needs {need.base_model}, which is gated, and HF_TOKEN is missing.",
            mend=f"Accept the terms at https://huggingface.co/{need.base_model}, then lorapod deploy --secret HF_TOKEN",
        )
    shown = [
        f"{name} (secret {secret})" if (secret := secret_reference(env[name])) else name
        for name in sorted(env)
    ]
    yield ok("variables", ", ".join(shown) or "There are none.")
