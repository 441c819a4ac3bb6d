"""`edit_model`: what people write about a model."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from lorapod.actions.action import Action
from lorapod.actions.engine_catalog import CatalogEngine, CatalogModelRequest, engine_catalog
from lorapod.engines.registry import EngineRegistry
from lorapod.errors import Unsupported
from lorapod.models.catalog import WorkspaceModels
from lorapod.thread_pools import FILES
from lorapod.wire.catalog import ModelCardView, ModelNotes
from lorapod.wire.model import Result


class EditModelRequest(CatalogModelRequest, ModelNotes):
    """Which model, and the fields to change: null removes one, those left out stay."""

    params: dict[str, Any] = Field(
        default={},
        description="Fields that only the engine keeps, by its own names; for `swarmui` such as `date`, "
        "`prediction_type`, `standard_width`, `lora_default_weight`.",
    )

    @model_validator(mode="after")
    def _something_to_change(self) -> Self:
        if not self.model_fields_set & ModelNotes.model_fields.keys() and not self.params:
            raise ValueError(f"give one of {', '.join(ModelNotes.model_fields)}")
        return self


class EditModelResult(Result, ModelCardView):
    """The new card."""


async def edit_model(
    request: EditModelRequest, *, models: WorkspaceModels, engines: EngineRegistry
) -> EditModelResult:
    """Change the card in a thread, or have the engine do it."""
    catalog = engine_catalog(request.engine, models=models, engines=engines)
    if request.params and request.engine is not CatalogEngine.SWARMUI:
        raise Unsupported("params: only the engine swarmui has fields beyond those of this action.")
    notes = request.model_dump(include=request.model_fields_set & ModelNotes.model_fields.keys())
    changes = {**notes, **request.params}
    card = await FILES.run(catalog.edit, request.model, kind=request.kind, changes=changes)
    return EditModelResult(**dict(card))


ACTION = Action(
    type="edit_model",
    summary="Change what people wrote about a model: title, description, trigger words, tags; the others stay.",
    request=EditModelRequest,
    result=EditModelResult,
    run=edit_model,
    destroys=True,
)
