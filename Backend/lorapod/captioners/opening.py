"""The captioners that a worker has."""

from __future__ import annotations

from lorapod.captioners.ai_toolkit.adapter import AIToolkitCaptioner
from lorapod.captioners.registry import CaptionerRegistry
from lorapod.captioners.transformers.adapter import TransformersCaptioner
from lorapod.clock import Clock
from lorapod.processes.starting import Starter
from lorapod.settings import Settings
from lorapod.workspace import Workspace


def open_captioners(
    settings: Settings, workspace: Workspace, *, clock: Clock, starter: Starter
) -> CaptionerRegistry:
    """Build every captioner in the order of preference; start and ask nothing."""
    return CaptionerRegistry(
        [
            TransformersCaptioner(settings=settings, workspace=workspace, clock=clock, starter=starter),
            AIToolkitCaptioner(settings=settings, workspace=workspace),
        ]
    )
