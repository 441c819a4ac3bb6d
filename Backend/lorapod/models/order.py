"""What a download was asked to bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from lorapod.errors import InvalidInput, Unsupported
from lorapod.models.kinds import ModelKind
from lorapod.models.port import WantedModel
from lorapod.models.sources import HubFile, parse_source


@dataclass(frozen=True, kw_only=True)
class ModelOrder:
    """One model to fetch."""

    #: `hf://owner/repository/file[@revision]`, or an http or https address.
    source: str
    #: None: it depends on the content.
    kind: ModelKind | None = None
    #: Its name below the folder of its kind, folders included, with or without suffix; None: the source's name for it.
    name: str | None = None
    #: The expected digest, hexadecimal.
    sha256: str | None = None
    #: Whether it may take the place of a model of that name.
    overwrite: bool = False
    #: The engine that downloads it; None: the worker, into the workspace.
    engine: str | None = None
    #: What the engine is to keep beside it as its description.
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Read the JSON values of a process's order."""
        kind = stored.get("kind")
        return cls(**{**stored, "kind": None if kind is None else ModelKind(kind)})

    def for_engine(self) -> WantedModel:
        """Return the request for an engine that keeps its own models.

        Raises:
            InvalidInput: it has no kind or no name.
            Unsupported: what only the worker's own downloads can do.
        """
        if self.kind is None or self.name is None:
            raise InvalidInput(f"Give `kind` and `name` for a model that {self.engine} is to fetch.")
        if self.sha256 is not None or self.overwrite:
            raise Unsupported(f"{self.engine} checks no sha256 and overwrites no model.")
        source = self.source
        if source.startswith("hf://"):
            parsed = parse_source(source, allow_private=False)
            source = parsed.marked if isinstance(parsed, HubFile) else source
        return WantedModel(source=source, kind=self.kind, name=self.name, metadata=self.metadata)
