"""The parts that delete, built together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from lorapod.clock import Clock
from lorapod.deletion.plan import DeletionPlanner
from lorapod.deletion.retention import Retention
from lorapod.deletion.trash import Trash
from lorapod.events.courier import Courier
from lorapod.models.catalog import WorkspaceModels
from lorapod.processes.folder_users import FolderUsers
from lorapod.processes.registry import ProcessRegistry
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class DeletionParts:
    """What judges deletions, and makes some by rule."""

    planner: DeletionPlanner
    retention: Retention

    @classmethod
    def open(
        cls,
        workspace: Workspace,
        settings: Settings,
        clock: Clock,
        *,
        trash: Trash,
        processes: ProcessRegistry,
        users: FolderUsers,
        models: WorkspaceModels,
        mirrors: Mirrors,
        courier: Courier,
    ) -> Self:
        """Build them; delete nothing yet."""
        planner = DeletionPlanner(
            workspace, processes=processes, users=users, models=models, mirrors=mirrors, courier=courier
        )
        retention = Retention(
            settings.retention,
            workspace=workspace,
            clock=clock,
            processes=processes,
            planner=planner,
            trash=trash,
        )
        return cls(planner=planner, retention=retention)
