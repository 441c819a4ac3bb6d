"""What `deploy` will do: which volume, which endpoints, what changes, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lorapod.client.deploy.options import DeployOptions
from lorapod.client.deploy.wanted import (
    EndpointRole,
    SettingChange,
    WantedEndpoint,
    changed_settings,
)
from lorapod.platform.models import NetworkVolume, ServerlessEndpoint


@dataclass(frozen=True, kw_only=True)
class VolumePlan:
    """The volume: an existing one, or one to make."""

    name: str
    size_gb: int
    data_center: str
    #: None: it will be made.
    existing: NetworkVolume | None = None


@dataclass(frozen=True, kw_only=True)
class EndpointPlan:
    """One endpoint: as it must be, and as it is."""

    wanted: WantedEndpoint
    #: None: it will be made.
    existing: ServerlessEndpoint | None = None

    @property
    def role(self) -> EndpointRole:
        """Return what the endpoint is for."""
        return self.wanted.role

    def changes(self, volume_id: str) -> list[SettingChange]:
        """Return what changes on the existing endpoint."""
        if self.existing is None:
            return []
        return changed_settings(self.wanted, self.existing, volume_id)[1]


@dataclass(frozen=True, kw_only=True)
class DeploymentPlan:
    """Everything that one run does, and what a person should know about it."""

    options: DeployOptions
    volume: VolumePlan
    endpoints: Sequence[EndpointPlan]
    warnings: Sequence[str] = field(default_factory=tuple)

    @property
    def volume_id(self) -> str:
        """Return the volume's id; a placeholder if it will be made."""
        return "the new volume" if self.volume.existing is None else self.volume.existing.id

    @property
    def is_done(self) -> bool:
        """Return whether everything is as it must be."""
        return self.volume.existing is not None and all(
            plan.existing is not None and not plan.changes(self.volume_id) for plan in self.endpoints
        )
