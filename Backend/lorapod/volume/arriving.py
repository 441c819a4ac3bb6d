"""Uploads that arrive over S3: files that no worker uses before their manifest is there.

```
training_data/.arriving/<upload_id>/files/<number>    the files, under names that every server takes
training_data/.arriving/<upload_id>/manifest.json     written last: what the files are, and their dataset
training_data/.arriving/<upload_id>/result.json       written by the worker that has added them to the dataset
```

S3 cannot rename. So the one file that is written last publishes all others, as a rename would. A worker that finds a
manifest checks the files as those of any other upload, adds them to the dataset, writes the result and removes the rest.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints

from lorapod.wire.dataset import Sha256, TriggerWord
from lorapod.wire.model import Moment, WireModel
from lorapod.workspace import Workspace

FOLDER: Final = ".arriving"
FILES: Final = "files"
MANIFEST: Final = "manifest.json"
RESULT: Final = "result.json"

MANIFEST_VERSION: Final = 1

_UPLOAD_ID: Final = re.compile(r"[0-9a-f]{32}")


class ArrivingFile(WireModel):
    """One file of an upload."""

    filename: str = Field(description="Name of the person's file, without folders.")
    stored_as: Annotated[str, StringConstraints(pattern=r"^\d{6}$")] = Field(
        description="Its name below `files/`."
    )
    size_bytes: int = Field(ge=0, description="Size in bytes.")
    sha256: Sha256 = Field(description="Digest of its content.")


class ArrivingUpload(WireModel):
    """The manifest of an upload: fields as those of `upload_training_data`."""

    version: int = Field(default=MANIFEST_VERSION, ge=1, le=MANIFEST_VERSION)
    training_name: str = Field(description="The dataset that the files are added to.")
    trigger_word: TriggerWord | None = None
    fix: bool = False
    files: list[ArrivingFile] = Field(min_length=1, max_length=1_000_000)
    created_at: Moment = Field(description="When it was published, by the sender's clock.")

    @property
    def upload_id(self) -> str:
        """Return what the upload is found by: the same files for the same dataset have the same id."""
        content = self.model_dump_json(exclude={"created_at"}, exclude_none=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    @property
    def total_bytes(self) -> int:
        """Size of all its files."""
        return sum(file.size_bytes for file in self.files)


class ArrivalResult(WireModel):
    """What a worker made of an upload."""

    training_name: str
    #: The answer of `upload_training_data`; None if the upload was refused.
    answer: dict[str, Any] | None = None
    #: Why it was refused, as the error of an action.
    error: dict[str, Any] | None = None


def arriving_folder(workspace: Workspace) -> Path:
    """Return the folder of all arriving uploads."""
    return workspace.training_data / FOLDER


def is_upload_id(name: str) -> bool:
    """Return whether a folder of that name is an upload's."""
    return _UPLOAD_ID.fullmatch(name) is not None
