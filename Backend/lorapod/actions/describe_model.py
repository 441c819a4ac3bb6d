"""`describe_model`: everything that is known of one model."""

from __future__ import annotations

from pydantic import Field

from lorapod.actions.action import Action, TimeLimit
from lorapod.actions.engine_catalog import CatalogModelRequest, engine_catalog
from lorapod.engines.registry import EngineRegistry
from lorapod.models.catalog import WorkspaceModels
from lorapod.thread_pools import FILES
from lorapod.wire.catalog import ModelCardView
from lorapod.wire.model import Result


class DescribeModelRequest(CatalogModelRequest):
    """Which model, and how thoroughly."""

    sha256: bool = Field(
        default=True,
        description="Answer its digest; the whole file is read for it the first time.",
    )


class DescribeModelResult(Result, ModelCardView):
    """The model's card."""


async def describe_model(
    request: DescribeModelRequest, *, models: WorkspaceModels, engines: EngineRegistry
) -> DescribeModelResult:
    """Read the header, and the file for its digest, in a thread, or ask the engine."""
    catalog = engine_catalog(request.engine, models=models, engines=engines)
    card = await FILES.run(catalog.describe, request.model, kind=request.kind, digest=request.sha256)
    return DescribeModelResult(**dict(card))


ACTION = Action(
    type="describe_model",
    summary="Everything that is known of one model: its header, how it was trained, what people wrote, its sha256.",
    request=DescribeModelRequest,
    result=DescribeModelResult,
    run=describe_model,
    time_limit=TimeLimit.FILE,
)
