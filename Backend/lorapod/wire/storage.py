"""Where artifacts go, as requests name it. Credentials never stand here: they are the endpoint's settings."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lorapod.wire.dataset import S3Prefix, SupabaseFolder
from lorapod.wire.model import PathText, WireModel

#: `name` or `owner/name`, as the HuggingFace Hub has them.
RepoId = Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,96}(/[\w.-]{1,96})?$")]


class HuggingFaceRepo(WireModel):
    """A model repository on the HuggingFace Hub; created if it does not exist."""

    repo_id: RepoId
    private: bool = Field(default=True, description="Whether a repository that is created now is private.")


class LocalFolder(WireModel):
    """A folder of the workspace."""

    path: PathText


class UploadTargets(WireModel):
    """Where artifacts go; several may stand together."""

    s3: S3Prefix | None = None
    supabase: SupabaseFolder | None = None
    huggingface: HuggingFaceRepo | None = None
    local: LocalFolder | None = None

    @model_validator(mode="after")
    def _some_target(self) -> Self:
        if not self.targets:
            raise ValueError(f"name at least one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def targets(self) -> list[Target]:
        """The targets that are given."""
        given = (self.s3, self.supabase, self.huggingface, self.local)
        return [target for target in given if target is not None]


#: One target of an upload.
Target = S3Prefix | SupabaseFolder | HuggingFaceRepo | LocalFolder
