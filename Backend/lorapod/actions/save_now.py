"""`save_now`: write a checkpoint now."""

from __future__ import annotations

from lorapod.actions.action import Action, RunPodJob
from lorapod.actions.services import Services
from lorapod.actions.wish import WishRequest, WishResult, wish
from lorapod.processes.requests import Capability


async def save_now(request: WishRequest, services: Services, _job: RunPodJob) -> WishResult:
    """Tell the trainer, wherever it runs."""
    return await wish(request, services, Capability.SAVE)


ACTION = Action(
    type="save_now",
    summary="Have a running training write a checkpoint at the end of its present step.",
    request=WishRequest,
    result=WishResult,
    run=save_now,
)
