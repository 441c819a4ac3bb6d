"""Datasets as requests name them and as answers show them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from lorapod.wire.model import AnsweredCode, PathText, RelativePath, Result, WireModel

#: What a dataset may hold, by the suffix of a file's name in small letters.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
#: Images that trainers do not read; they are converted when they arrive.
CONVERTED_SUFFIXES = frozenset({".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
CAPTION_SUFFIXES = frozenset({".txt", ".caption"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".wmv", ".flv"})
TEXT_SUFFIXES = CAPTION_SUFFIXES | {".json", ".jsonl"}
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".parquet")
#: Files that hold the captions of a whole folder, in columns `file_name` and `text`.
CAPTION_TABLES = frozenset({"metadata.jsonl", "metadata.csv"})

#: Folders of a trainer's caches in a dataset.
CACHE_FOLDERS = frozenset({"_latent_cache", "_t_e_cache", "_clip_vision_cache"})

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$", to_lower=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
TriggerWord = Annotated[str, StringConstraints(pattern=r"^[^\r\n\x00]*\S[^\r\n\x00]*$", max_length=200)]


def is_archive_name(name: str) -> bool:
    """Return whether a file of that name is an archive that workers unpack."""
    return name.lower().endswith(ARCHIVE_SUFFIXES)


def is_dataset_name(name: str) -> bool:
    """Return whether a dataset may hold a file of that name, or of what is in it."""
    lowered = name.lower()
    if lowered in CAPTION_TABLES or is_archive_name(name):
        return True
    suffix = lowered[lowered.rfind(".") :] if "." in lowered[1:] else ""
    return suffix in IMAGE_SUFFIXES | CONVERTED_SUFFIXES | TEXT_SUFFIXES | VIDEO_SUFFIXES


class SupabaseFolder(WireModel):
    """A folder in Supabase Storage."""

    bucket_name: Text
    folder_path: Text


class S3Prefix(WireModel):
    """Objects in an S3 bucket."""

    bucket: Text | None = Field(default=None, description="Else the endpoint's `BUCKET_NAME`.")
    prefix: Annotated[str, StringConstraints(max_length=1024)] | None = Field(
        default=None, description="What their keys begin with."
    )


class HuggingFaceDataset(WireModel):
    """A dataset repository on the HuggingFace Hub."""

    repo_id: Text
    revision: Text | None = Field(
        default=None, description="Branch, tag or commit; if left out, the main branch."
    )


class DatasetRef(WireModel):
    """Where the images are: exactly one source."""

    training_name: Text | None = Field(
        default=None, description="A dataset that `upload_training_data` made."
    )
    path: PathText | None = Field(default=None, description="A folder of the workspace.")
    urls: list[Address] | None = Field(
        default=None, min_length=1, max_length=10_000, description="URLs of images, captions, zips."
    )
    supabase: SupabaseFolder | None = None
    s3: S3Prefix | None = None
    huggingface: HuggingFaceDataset | None = None
    trigger_word: TriggerWord | None = Field(
        default=None,
        description="Put in front of each fetched caption that holds neither the word nor `[trigger]`, and written as "
        "the caption of each fetched image without one; not for `training_name` and `path`.",
    )
    fix: bool = Field(
        default=False,
        description="Convert fetched images that trainers see differently from a person: transparency, grey of "
        "16 bits, animation, CMYK, colour profiles; not for `training_name` and `path`.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.sources) != 1:
            named = ", ".join(self.sources) or "none"
            raise ValueError(f"name exactly one of {', '.join(_SOURCES)}; there is {named}")
        if self.trigger_word is not None and not self.remote:
            raise ValueError(
                "trigger_word: captions of the workspace are left as they are; give it to upload_training_data"
            )
        if self.fix and not self.remote:
            raise ValueError(
                "fix: images of the workspace are left as they are; give it to upload_training_data"
            )
        return self

    @property
    def sources(self) -> list[str]:
        """The names of the sources that are given."""
        return [name for name in _SOURCES if getattr(self, name) is not None]

    @property
    def remote(self) -> bool:
        """Whether the dataset has to be fetched first."""
        return self.training_name is None and self.path is None


_SOURCES = tuple(name for name in DatasetRef.model_fields if name not in {"trigger_word", "fix"})


class FetchProgress(WireModel):
    """How far the fetching of a dataset is."""

    files: int = Field(description="Files that are there.")
    total_files: int = Field(description="Files in all.")
    received_bytes: int = Field(description="Bytes that have come.")
    total_bytes: int | None = Field(default=None, description="Bytes in all, if the source reports them.")


class FixedFile(WireModel):
    """An image that was converted on a copy."""

    name: str = Field(description="Its name in the dataset.")
    what: str = Field(description="What was done, e.g. `laid on white`.")
    sent_as: str | None = Field(default=None, description="Its name before, if it is another.")


class DatasetView(Result):
    """The datasets that a training reads, all that its config names."""

    path: RelativePath = Field(description="The request's dataset, or the first that the config names.")
    images: int | None = Field(
        default=None, description="Images that the trainer learns from; unknown before they are fetched."
    )
    videos: int | None = Field(
        default=None, description="Videos that the trainer learns from; unknown before they are fetched."
    )
    captions: int | None = Field(
        default=None, description="Captions that the trainer reads; unknown before they are fetched."
    )
    contact_sheet: RelativePath | None = Field(
        default=None,
        description="Contact sheet of its images and captions, one PNG, written when the dataset is checked.",
    )
    warnings: list[str] = Field(
        default=[],
        description="What the trainer leaves out and sees differently; of several datasets, what each holds comes first.",
    )
    fixed: list[FixedFile] = Field(
        default=[], description="Images that were converted for the trainer, on copies."
    )


class IncomingFile(WireModel):
    """One file, or one part of a larger one."""

    filename: str = Field(
        description="Name without folders. Images (.jpg .jpeg .png .webp; .heic .avif .gif .bmp .tif are converted), "
        "captions (.txt .caption .json, named as their image; metadata.jsonl or metadata.csv with `file_name` and "
        "`text`), videos, or a .zip, .tar or .tar.gz of such files."
    )
    content: str = Field(
        repr=False, description="Standard base64 or a data URI of it; white space is passed over."
    )
    content_type: str | None = Field(
        default=None, max_length=255, description="Not needed: the content decides."
    )
    sha256: Sha256 | None = Field(
        default=None, description="Digest of the whole file; a file with another digest is refused."
    )
    offset: int | None = Field(
        default=None, ge=0, description="Where this part begins in the whole file, in bytes."
    )
    size_bytes: int | None = Field(
        default=None,
        ge=0,
        le=1 << 50,
        description="Size of the whole file; with `offset` this is one part of it.",
    )

    @model_validator(mode="after")
    def _part_has_size(self) -> Self:
        if self.offset is not None and self.size_bytes is None:
            raise ValueError("a part (`offset`) needs `size_bytes`, the size of the whole file")
        return self

    @property
    def is_part(self) -> bool:
        """Whether this is one part of a larger file."""
        return self.offset is not None


class StoredFile(WireModel):
    """A file that was taken."""

    filename: str
    path: RelativePath = Field(description="Where it lies, or will lie once it is complete.")
    size_bytes: int = Field(description="Of the whole file, as it is stored.")
    received_bytes: int = Field(description="What came so far; the next part begins here.")
    complete: bool = Field(description="Whether the file is complete; it appears in the dataset only then.")
    sha256: str | None = Field(default=None, description="Of the file as it is stored, once it is complete.")
    width: int | None = Field(default=None, description="Of an image, in pixels.")
    height: int | None = Field(default=None, description="Of an image, in pixels.")


class RejectedFile(WireModel):
    """A file that was not taken; nothing of it was kept."""

    filename: str
    code: AnsweredCode
    error: str
    hint: str | None = None
    expected_offset: int | None = Field(default=None, description="Where the next part has to begin.")
