"""What the worker tells the embedding child, and what it answers: one JSON file each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lorapod.errors import ErrorCode

#: The line on stdout with which the child reports how far it is.
PROGRESS = "embedded: "


@dataclass(frozen=True, kw_only=True)
class EmbeddingSource:
    """A model whose files are on this machine."""

    #: As answers name it: a Hub id, or a path in the workspace.
    name: str
    folder: Path
    #: The commit on the Hub, if it came from there.
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class CellJob:
    """What to measure of one cell; numbers are places in the job's lists, None: do not measure that."""

    image: int
    #: The dataset that it should look like.
    dataset: int | None = None
    #: What it should show.
    text: int | None = None


@dataclass(frozen=True, kw_only=True)
class DriftJob:
    """Two images of one prompt without the trigger word."""

    with_lora: int
    base: int


@dataclass(frozen=True, kw_only=True)
class EmbeddingJob:
    """One run of the child."""

    images: Sequence[Path]
    texts: Sequence[str]
    #: The images of each dataset.
    datasets: Sequence[Sequence[int]]
    cells: Sequence[CellJob]
    drifts: Sequence[DriftJob]
    #: The base model's pictures, each with its text.
    base: Sequence[CellJob]
    #: Compares images; None: images are not compared.
    image_model: EmbeddingSource | None
    #: Compares images with texts; None: prompts are not scored.
    text_model: EmbeddingSource | None
    #: Where the vectors of this run go, and where those of earlier runs may be.
    vectors: Path
    earlier: Sequence[Path]
    #: Where the answer goes.
    answer: Path
    #: Whether a trainer works on the same machine: the child gives way to it.
    beside: bool = False


@dataclass(frozen=True, kw_only=True)
class CellMeasures:
    """What was measured of one cell."""

    #: Mean cosine to the dataset's images, and the largest.
    likeness: float | None = None
    nearest: float | None = None
    #: The image of the dataset that it is a near copy of: its place in the dataset.
    copy_of: int | None = None
    #: Cosine to its text.
    prompt_fit: float | None = None


@dataclass(frozen=True, kw_only=True)
class DatasetMeasures:
    """How alike a dataset's images are, and how like them the base model's pictures are; cosines."""

    #: Of each image: mean to the others, and the largest to one that is not the same picture.
    own: Sequence[float]
    own_nearest: Sequence[float]
    #: Of each base picture: mean to the dataset's images, and the largest.
    base: Sequence[float]
    base_nearest: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class EmbeddingAnswer:
    """What has come of it: the error, or all else."""

    error: str | None = None
    code: ErrorCode = ErrorCode.INTERNAL
    hint: str = ""
    cells: Sequence[CellMeasures] = ()
    datasets: Sequence[DatasetMeasures] = ()
    #: 1 - cosine of each of the job's `drifts`.
    drifts: Sequence[float] = ()
    #: Cosines of the base pictures to their own text, and to each other text.
    base_matched: Sequence[float] = ()
    base_other: Sequence[float] = ()
    #: Images that had to be embedded; the others were embedded before.
    embedded: int = 0


def write_job(job: EmbeddingJob, path: Path) -> None:
    """Write it for the child."""
    path.write_text(json.dumps(asdict(job), default=str), "utf-8")


def read_job(path: Path) -> EmbeddingJob:
    """Read what the worker wrote."""
    return TypeAdapter(EmbeddingJob).validate_json(path.read_bytes())


def write_answer(answer: EmbeddingAnswer, path: Path) -> None:
    """Write it for the worker."""
    path.write_text(json.dumps(asdict(answer)), "utf-8")


def read_answer(path: Path) -> EmbeddingAnswer | None:
    """Read what the child wrote; None if it wrote nothing whole."""
    try:
        return TypeAdapter(EmbeddingAnswer).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
