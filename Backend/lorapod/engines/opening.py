"""The engines that a worker has."""

from __future__ import annotations

from lorapod.clock import Clock
from lorapod.engines.ai_toolkit.adapter import AIToolkitEngine
from lorapod.engines.comfyui.adapter import ComfyUIEngine
from lorapod.engines.diffusers.adapter import DiffusersEngine
from lorapod.engines.port import EngineBundle
from lorapod.engines.registry import EngineRegistry
from lorapod.engines.swarmui.adapter import SwarmUIEngine
from lorapod.processes.starting import Starter
from lorapod.settings import Settings
from lorapod.workspace import Workspace


def open_engines(
    settings: Settings, workspace: Workspace, *, clock: Clock, starter: Starter
) -> EngineRegistry:
    """Build every engine in the order of preference; start and ask nothing."""
    return EngineRegistry.of(
        [
            EngineBundle(
                engine=DiffusersEngine(settings=settings, workspace=workspace, clock=clock, starter=starter)
            ),
            EngineBundle(engine=ComfyUIEngine(settings=settings, workspace=workspace)),
            SwarmUIEngine.open(settings, workspace, clock),
            EngineBundle(engine=AIToolkitEngine(settings=settings, workspace=workspace)),
        ],
        preferred=settings.engine,
    )
