"""A catalog of models: the workspace's, or that of an engine that keeps its own list."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lorapod.models.kinds import ModelKind
from lorapod.wire.catalog import ModelCardView, ModelView


@dataclass(frozen=True, kw_only=True)
class ModelPage:
    """Some models, and where the next page begins; None after the last one."""

    models: Sequence[ModelView]
    next_cursor: str | None = None


class ModelCatalog(Protocol):
    """Lists, describes and edits models. Every method blocks, and may be called by any thread."""

    def page(self, *, kind: ModelKind | None, limit: int, cursor: str | None) -> ModelPage:
        """Return one page of the models, of all kinds if none is given.

        Raises:
            InvalidInput: the cursor does not come from this catalog.
            UpstreamError: the program does not answer.
        """

    def describe(self, model: str, *, kind: ModelKind | None, digest: bool) -> ModelCardView:
        """Return all that is known of one model, named by its path or name; with `digest`, its sha256.

        Raises:
            NotFound: it does not exist.
            Conflict: there are several of that name.
            UpstreamError: the program does not answer.
        """

    def edit(self, model: str, *, kind: ModelKind | None, changes: Mapping[str, Any]) -> ModelCardView:
        """Change what people wrote about a model, fields of `ModelNotes`; None removes one, the others stay.

        Raises:
            NotFound: it does not exist.
            Conflict: there are several of that name.
            Unsupported: the program keeps no such field.
            UpstreamError: the program does not answer.
        """


@dataclass(frozen=True, kw_only=True)
class WantedModel:
    """One model that is to be fetched."""

    #: `hf://owner/repository/file`, or an https address.
    source: str
    kind: ModelKind
    #: Its name below the folder of its kind, folders included, with or without suffix.
    name: str
    #: What is to be kept beside it as its description.
    metadata: Mapping[str, Any] = field(default_factory=dict)


#: Called with the share received, 0 to 1, and the bytes per second; None if not known.
ReportDownload = Callable[[float | None, float | None], None]


class Downloads(Protocol):
    """Fetches models for a program that keeps its own list; every method blocks, any thread may call it."""

    def check(self, wanted: WantedModel) -> str:
        """Return the name, suffix included, that the model will have there; ask no server.

        Raises:
            InvalidInput: it does not accept the name or the source.
            Unsupported: it keeps no models of that kind.
        """

    def download(self, wanted: WantedModel, *, stopped: Callable[[], bool], report: ReportDownload) -> str:
        """Fetch it, until it is there or `stopped` says to end; the name that it has there then.

        Raises:
            DownloadStopped: `stopped` said so; nothing is left of it.
            Conflict: there is one of that name.
            WorkerError: it cannot be fetched.
        """


class DownloadStopped(Exception):
    """The download was stopped."""
