"""`sample_now`: make sample pictures now."""

from __future__ import annotations

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.services import Services
from lorapod.actions.wish import WishRequest, WishResult, wish
from lorapod.processes.requests import Capability


async def sample_now(request: WishRequest, services: Services, _job: RunPodJob) -> WishResult:
    """Tell the trainer, wherever it runs."""
    return await wish(request, services, Capability.SAMPLE)


ACTION = Action(
    type="sample_now",
    summary="Have a running training make its sample pictures at the next step.",
    request=WishRequest,
    result=WishResult,
    run=sample_now,
)
