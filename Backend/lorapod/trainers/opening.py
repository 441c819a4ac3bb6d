"""The trainers that a worker has."""

from __future__ import annotations

from lorapod.settings import Settings
from lorapod.trainers.ai_toolkit.adapter import AIToolkitTrainer
from lorapod.trainers.builtin.adapter import BuiltinTrainer
from lorapod.trainers.registry import TrainerRegistry
from lorapod.workspace import Workspace


def open_trainers(settings: Settings, workspace: Workspace) -> TrainerRegistry:
    """Build every trainer in the order of preference; start nothing."""
    return TrainerRegistry(
        [
            AIToolkitTrainer(settings=settings, workspace=workspace),
            BuiltinTrainer(settings=settings),
        ]
    )
