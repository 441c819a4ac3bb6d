"""SwarmUI's URL, folders and time limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lorapod.engines.swarmui.loras import ModelRoots
from lorapod.settings import Settings
from lorapod.workspace import Workspace

#: SwarmUI's default URL.
USUAL_ADDRESS = "http://127.0.0.1:7801"


@dataclass(frozen=True, kw_only=True)
class SwarmOptions:
    """What the endpoint's settings say of SwarmUI."""

    #: None: at its usual place on this machine, if there.
    address: str | None = None
    startup_timeout_s: float = 1800.0
    generation_timeout_s: float = 600.0
    keep_free_bytes: int = 1_000_000_000
    roots: ModelRoots = field(default_factory=ModelRoots)

    @classmethod
    def from_settings(cls, settings: Settings, workspace: Workspace) -> SwarmOptions:
        """Read `SWARMUI_…` and the timeouts; look for an installation where its models are linked too."""
        named = settings.swarmui_path
        usual = (Path("/app/SwarmUI"), workspace.root / "SwarmUI")
        return cls(
            address=settings.swarmui_api_url,
            startup_timeout_s=settings.startup_timeout,
            generation_timeout_s=settings.generation_timeout,
            keep_free_bytes=settings.disk_min_free_bytes,
            roots=ModelRoots(
                named=settings.swarmui_models_path, installations=usual if named is None else (named,)
            ),
        )

    @property
    def url(self) -> str:
        """Its address."""
        return self.address or USUAL_ADDRESS
