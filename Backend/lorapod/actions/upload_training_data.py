"""`upload_training_data`: images and captions into a dataset."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lorapod.actions.action import Action
from lorapod.datasets.library import DatasetLibrary, Receipt
from lorapod.thread_pools import FILES
from lorapod.wire.dataset import FixedFile, IncomingFile, RejectedFile, StoredFile
from lorapod.wire.model import RelativePath, Request, Result
from lorapod.workspace import Workspace

MAX_FILES = 10_000


class UploadRequest(Request):
    """The files, and their dataset."""

    training_name: str | None = Field(
        default=None, description="The dataset's name; if left out, a new name is chosen."
    )
    files: list[IncomingFile] = Field(
        min_length=1, max_length=MAX_FILES, description="Whole files, or parts of larger ones."
    )
    trigger_word: (
        Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00]*\S[^\r\n\x00]*$", max_length=200)] | None
    ) = Field(
        default=None,
        description="Put in front of each uploaded caption that holds neither the word nor `[trigger]`, and written "
        "as the caption of each uploaded image without a caption. Such a caption's `sha256` is that of the new text.",
    )
    append: bool = Field(
        default=True,
        description="Add to the dataset, replacing files of the same name; false: these files become the whole "
        "dataset, in one step.",
    )
    fix: bool = Field(
        default=False,
        description="Convert images that trainers see differently from a person, on copies: transparency is laid on "
        "white, grey of 16 bits scaled to 8, the first frame of an animation kept, CMYK and colour profiles "
        "converted to sRGB. `fixed` says what was done. Formats that trainers do not read are always converted.",
    )
    extract: bool = Field(
        default=True,
        description="Unpack zip and tar archives; the folders inside become part of the names (`a/1.png` is "
        "`a__1.png`). false: keep archives packed.",
    )


class UploadResult(Result):
    """The files that were stored, and what the dataset holds now."""

    training_name: str = Field(description="The dataset's name, as `train` takes it.")
    path: RelativePath = Field(description="The dataset's folder.")
    files: list[StoredFile] = Field(
        description="The files that were stored; the files of an archive one by one."
    )
    images: int = Field(description="Images in the dataset.")
    videos: int = Field(
        default=0, description="Videos in the dataset; they are trained on if the config has `num_frames`."
    )
    captions: int = Field(description="Captions in the dataset.")
    images_without_caption: list[str] = Field(description="Images of the dataset without a caption.")
    total_bytes: int = Field(description="Size of the dataset.")
    rejected: list[RejectedFile] = Field(description="Files that were refused; nothing of them was stored.")
    renamed: dict[str, str] = Field(
        default={},
        description="Files that have another name in the dataset: name as it was sent, or path in the archive, and the "
        "name there.",
    )
    fixed: list[FixedFile] = Field(
        default=[], description="Images that were converted for the trainer, on copies."
    )
    warnings: list[str] = Field(
        default=[], description="What was changed, or is not used as its sender may expect; a sentence each."
    )
    dataset_warnings: list[str] = Field(
        default=[],
        description="What you should know of the whole dataset as it is now, but need not change; a sentence each.",
    )


async def upload_training_data(
    request: UploadRequest, *, datasets: DatasetLibrary, workspace: Workspace
) -> UploadResult:
    """Receive the files in a thread."""
    receipt = await FILES.run(
        datasets.receive,
        request.files,
        training_name=request.training_name,
        trigger_word=request.trigger_word,
        append=request.append,
        extract=request.extract,
        fix=request.fix,
    )
    return upload_result(receipt, workspace)


def upload_result(receipt: Receipt, workspace: Workspace) -> UploadResult:
    """Return the answer about files that were taken."""
    summary = receipt.summary
    return UploadResult(
        training_name=receipt.training_name,
        path=workspace.relative(summary.path),
        files=list(receipt.files),
        images=summary.images,
        videos=summary.videos,
        captions=summary.captions,
        images_without_caption=list(summary.images_without_caption),
        total_bytes=summary.total_bytes,
        rejected=list(receipt.rejected),
        renamed=dict(receipt.renamed),
        fixed=list(receipt.fixed),
        warnings=list(receipt.warnings),
        dataset_warnings=list(summary.warnings),
    )


ACTION = Action(
    type="upload_training_data",
    summary="Upload images, captions and zips to a dataset, whole or in parts.",
    request=UploadRequest,
    result=UploadResult,
    run=upload_training_data,
    reads_datasets=True,
    destroys=True,
)
