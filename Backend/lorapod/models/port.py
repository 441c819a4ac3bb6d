"""A shelf of models: the worker's own, or that of a program which keeps its own list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lorapod.models.kinds import ModelKind
from lorapod.wire.shelf import ModelCardView, ModelView


@dataclass(frozen=True, kw_only=True)
class ModelPage:
    """Some models, and where the next page begins; None after the last one."""

    models: Sequence[ModelView]
    next_cursor: str | None = None


class Shelf(Protocol):
    """Lists, describes and edits models. Every method blocks, and may be called by any thread."""

    def page(self, *, kind: ModelKind | None, limit: int, cursor: str | None) -> ModelPage:
        """One page of the models, all kinds where none is given.

        Raises:
            InvalidInput: the cursor is not one of this shelf.
            UpstreamError: the program does not answer.
        """

    def describe(self, model: str, *, kind: ModelKind | None, digest: bool) -> ModelCardView:
        """All that is known of one model, named by its path or name; with `digest`, its sha256.

        Raises:
            NotFound: there is none.
            Conflict: there are several of that name.
            UpstreamError: the program does not answer.
        """

    def edit(self, model: str, *, kind: ModelKind | None, changes: Mapping[str, Any]) -> ModelCardView:
        """Change what people wrote about a model, fields of `ModelNotes`; None removes one, the others stay.

        Raises:
            NotFound: there is none.
            Conflict: there are several of that name.
            Unsupported: the program keeps no such field.
            UpstreamError: the program does not answer.
        """
