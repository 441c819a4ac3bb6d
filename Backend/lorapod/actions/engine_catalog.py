"""The catalog that an action on models uses: the workspace's, or an engine's."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from lorapod.engines.registry import EngineRegistry
from lorapod.errors import Unsupported
from lorapod.models.catalog import WorkspaceModels
from lorapod.models.kinds import ModelKind
from lorapod.models.port import ModelCatalog
from lorapod.wire.model import Request


class CatalogEngine(StrEnum):
    """Engines that may keep a list of models of their own."""

    DIFFUSERS = "diffusers"
    COMFYUI = "comfyui"
    SWARMUI = "swarmui"
    AI_TOOLKIT = "ai-toolkit"


class CatalogRequest(Request):
    """The kind of model, and the catalog."""

    kind: ModelKind | None = Field(default=None, description="Only models of this kind.")
    engine: CatalogEngine | None = Field(
        default=None,
        description="`swarmui`: as SwarmUI knows them; every other engine uses the workspace's own models.",
    )


class CatalogModelRequest(CatalogRequest):
    """Which model."""

    model: str = Field(
        min_length=1,
        max_length=4096,
        description="Its path or its name as `list_models` shows them; give its `kind` if two models have the name.",
    )


def engine_catalog(
    engine: CatalogEngine | None, *, models: WorkspaceModels, engines: EngineRegistry
) -> ModelCatalog:
    """Return the catalog of an engine, else the workspace's.

    Raises:
        Unsupported: this worker has no SwarmUI.
    """
    if engine is not CatalogEngine.SWARMUI:
        return models
    if (catalog := engines.catalogs.get(engine.value)) is None:
        raise Unsupported(
            "This worker has no SwarmUI whose models could be asked for.",
            hint="Leave `engine` out to ask for the workspace's models.",
        )
    return catalog
