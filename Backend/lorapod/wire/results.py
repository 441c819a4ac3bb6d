"""What processes leave that are not trainings: one set of optional fields for all kinds, by their names in answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from lorapod.wire.model import RelativePath, WireModel


class FailedItem(WireModel):
    """One item that a process could not do."""

    name: str = Field(description="The item, by its name in the dataset.")
    error: str = Field(description="Why, in one sentence.")


class ProcessResults(WireModel):
    """The results of a process; each kind fills its own fields, which are left out until then."""

    captioned: int | None = Field(default=None, description="`caption_dataset`: images that got a caption.")
    skipped: int | None = Field(
        default=None, description="`caption_dataset`: images that keep the caption that they had."
    )
    failed: list[FailedItem] | None = Field(
        default=None, description="`caption_dataset`: images that got no caption; the first 100."
    )
    failed_count: int | None = Field(
        default=None, description="How many failed, if `failed` does not name all."
    )
    path: RelativePath | None = Field(default=None, description="`download_model`: the file that it made.")
    size_bytes: int | None = Field(default=None, description="`download_model`: size of that file.")
    sha256: str | None = Field(default=None, description="`download_model`: digest of that file.")
    warnings: list[str] = Field(default=[], description="What you should know, but need not change.")

    @classmethod
    def fields_of(cls, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of a record's `outcome` appears in an answer under its own name."""
        return {name: value for name, value in outcome.items() if name in ProcessResults.model_fields}
