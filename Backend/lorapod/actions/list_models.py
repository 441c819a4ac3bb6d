"""`list_models`: the models that can be used."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.actions.engine_catalog import CatalogRequest, engine_catalog
from lorapod.engines.registry import EngineRegistry
from lorapod.models.catalog import WorkspaceModels
from lorapod.thread_pools import READS
from lorapod.wire.catalog import ModelView
from lorapod.wire.model import Result


class ListModelsRequest(CatalogRequest):
    """Which models, and which page of them."""

    limit: int = Field(default=200, ge=1, le=2000, description="Most models of one page.")
    cursor: str | None = Field(
        default=None, max_length=16_384, description="`next_cursor` of the previous page."
    )


class ListModelsResult(Result):
    """One page of models, sorted by path."""

    models: list[ModelView] = Field(description="By path; the LoRAs of trainings are among them.")
    next_cursor: str | None = Field(
        default=None, description="Cursor of the next page; left out on the last."
    )


async def list_models(
    request: ListModelsRequest, *, models: WorkspaceModels, engines: EngineRegistry
) -> ListModelsResult:
    """Look through the folders in a thread, or ask the engine."""
    catalog = engine_catalog(request.engine, models=models, engines=engines)
    page = await READS.run(catalog.page, kind=request.kind, limit=request.limit, cursor=request.cursor)
    return ListModelsResult(models=list(page.models), next_cursor=page.next_cursor)


ACTION = Action(
    type="list_models",
    summary="The models of the workspace, trained LoRAs included, page by page.",
    request=ListModelsRequest,
    result=ListModelsResult,
    run=list_models,
    time_limit=TimeLimit.READ,
)
