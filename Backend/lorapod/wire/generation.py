"""What `generate` takes and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from lorapod.wire.inputs import (
    CONTENT,
    INPUTS_MAX,
    InputContent,
    NamedAudio,
    NamedImage,
    NamedVideo,
    check_names,
)
from lorapod.wire.model import Moment, PathText, ProcessId, RelativePath, Request, Result, WireModel
from lorapod.wire.start_fields import CallerJobId, IdempotencyKey

#: An image with this edge takes 200 MB while it is decoded.
SIDE_MAX = 8192

#: The largest seed that every engine takes (a signed 64-bit number), less one for each further image.
SEED_MAX = 2**63 - 1_000

#: The seed that means: choose one.
ANY_SEED = -1


def _json(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        raise ValueError(
            "is not plain JSON: it holds half a character, or a number that JSON has not"
        ) from None
    return value


#: An object that is passed on as it is.
JsonObject = Annotated[dict[str, Any], AfterValidator(_json)]


def _text(value: object) -> object:
    if isinstance(value, Mapping):
        raise ValueError("must be a text; send a ComfyUI workflow as `workflow`")  # noqa: TRY004
    return value


Prompt = Annotated[str, BeforeValidator(_text), StringConstraints(max_length=20_000)]


class Delivery(StrEnum):
    """How results reach the caller."""

    BASE64 = "base64"
    URL = "url"
    PATH = "path"
    #: A URL in the endpoint's S3 bucket if it has one, else as if nothing was asked.
    BUCKET = "bucket"


class IfBusy(StrEnum):
    """What to do when the GPU is taken."""

    WAIT = "wait"
    REFUSE = "refuse"


class LoraRef(WireModel):
    """A LoRA to generate with: a file of the workspace, or what a training has made."""

    path: PathText | None = Field(
        default=None, description="Relative to the workspace, or absolute under it."
    )
    process_id: ProcessId | None = Field(
        default=None, description="A training: its final weights, or its newest checkpoint."
    )
    weight: float = Field(default=1.0, ge=-10, le=10, description="How strongly it acts.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.process_id is None):
            raise ValueError("give either path or process_id")
        return self


class GenerateRequest(Request):
    """What to generate, with what, and how the results come back."""

    prompt: Prompt | None = Field(default=None, description="What to show.")
    negative_prompt: Prompt | None = Field(default=None, description="What not to show.")
    width: int | None = Field(
        default=None, ge=16, le=SIDE_MAX, description="In pixels; if left out, the model's own."
    )
    height: int | None = Field(
        default=None, ge=16, le=SIDE_MAX, description="In pixels; if left out, the model's own."
    )
    steps: int | None = Field(default=None, ge=1, le=1000, description="Denoising steps of each image.")
    guidance_scale: float | None = Field(
        default=None, ge=0, le=100, description="How closely the prompt is followed."
    )
    seed: int | None = Field(
        default=None,
        ge=ANY_SEED,
        le=SEED_MAX,
        description="Seed of the first image; the next images have the next numbers. If left out or -1, one is chosen and answered.",
    )
    num_images: int = Field(default=1, ge=1, le=64, description="Number of images.")
    loras: list[LoraRef] = Field(default=[], max_length=16, description="LoRAs, all of them at once.")
    model: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="Base model. Default: the one that the training of the first LoRA used (`diffusers`), or the engine's "
        "own choice.",
    )
    engine: str | None = Field(
        default=None,
        description="`diffusers`, `comfyui`, `swarmui`, `ai-toolkit` or `auto`; if left out, by what the request holds, "
        "then by the setting ENGINE.",
    )
    config: str | JsonObject | None = Field(
        default=None, description="AI Toolkit config of `job: generate`, as YAML text or as an object."
    )
    workflow: JsonObject | None = Field(default=None, description="ComfyUI workflow in its API form.")
    comfyui_workflow_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="One of the worker's workflow templates."
    )
    image: InputContent | None = Field(default=None, description=f"Input image: {CONTENT}.")
    mask: InputContent | None = Field(
        default=None,
        description=f"What to change of the input image: white is changed, black is kept; {CONTENT}.",
    )
    video: InputContent | None = Field(default=None, description=f"Input video: {CONTENT}.")
    audio: InputContent | None = Field(default=None, description=f"Input sound: {CONTENT}.")
    images: list[NamedImage] = Field(
        default=[], max_length=INPUTS_MAX, description="Input images by the names that the workflow has."
    )
    videos: list[NamedVideo] = Field(
        default=[], max_length=INPUTS_MAX, description="Input videos by the names that the workflow has."
    )
    audios: list[NamedAudio] = Field(
        default=[], max_length=INPUTS_MAX, description="Input sounds by the names that the workflow has."
    )
    strength: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="How much of the input image is changed: 0 nothing, 1 everything.",
    )
    length: int | None = Field(default=None, ge=1, le=2000, description="Frames of a video.")
    params: JsonObject = Field(default={}, description="The engine's own parameters, passed on as they are.")
    comfy_org_api_key: SecretStr | None = Field(
        default=None, description="Key for ComfyUI's API nodes; passed on, never kept."
    )
    delivery: Delivery | None = Field(
        default=None,
        alias="return",
        description="`base64` in the answer, `url` of the object store, or `path` in the workspace; if left out, base64 as "
        "long as it fits the answer. `bucket`: if the endpoint has an S3 bucket (`BUCKET_…`), a URL there for a week, "
        "under `<month>-<year>/<job id>/`.",
    )
    if_busy: IfBusy = Field(
        default=IfBusy.WAIT, description="Wait for the GPU, or refuse with the time it would take."
    )
    wait: bool = Field(
        default=True, description="Answer when it is done; otherwise at once, with the process's id."
    )
    idempotency_key: IdempotencyKey = None
    job_id: CallerJobId = None

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        check_names(each.name for listed in (self.images, self.videos, self.audios) for each in listed)
        return self


class OutputType(StrEnum):
    """Which of `data`, `url` and `path` an output has."""

    BASE64 = "base64"
    URL = "url"
    PATH = "path"


class OutputView(WireModel):
    """One file that was made."""

    filename: str = Field(description="Last part of its path.")
    type: OutputType = Field(description="Where its bytes are: `data`, `url` or `path`.")
    data: str | None = Field(default=None, description="Its bytes as base64.")
    url: str | None = Field(default=None, description="Where it can be fetched, without credentials.")
    expires_at: Moment | None = Field(default=None, description="Until when the URL works.")
    path: RelativePath = Field(description="Relative to the workspace; `download_file` takes it.")
    content_type: str = Field(
        description="Media type: of an image by its content, of other files by their name."
    )
    size_bytes: int = Field(description="Its size.")
    width: int | None = Field(default=None, description="Of an image, still or animated, in pixels.")
    height: int | None = Field(default=None, description="Of an image, still or animated, in pixels.")
    seed: int | None = Field(default=None, description="The seed that makes it again.")
    listed_as: str | None = Field(
        default=None, description="The list of ComfyUI's that names it: `images`, `gifs`, `audio`, …"
    )
    error: str | None = Field(
        default=None, description="Why it does not come as the request asked; left out if it does."
    )


class GenerateResult(Result):
    """What was generated; beside `wait: false`, what will be."""

    process_id: ProcessId = Field(description="The process; `process_status`, `logs` and `cancel` take it.")
    status: str = Field(description="As `process_status` shows it.")
    engine: str = Field(description="The engine that made it.")
    seed: int | None = Field(default=None, description="Seed of the first image.")
    created_at: Moment = Field(description="When it was accepted.")
    output_path: RelativePath = Field(description="The folder of the results, relative to the workspace.")
    images: list[OutputView] = Field(default=[], description="Images.")
    videos: list[OutputView] = Field(default=[], description="Videos and animated images.")
    other: list[OutputView] = Field(default=[], description="Its other results: sound, latents, text.")
    warnings: list[str] = Field(default=[], description="Notes that need no change.")
    timings: dict[str, float] = Field(
        default={}, description="Seconds by what they were spent on: `queued_s`, `total_s`, the engine's own."
    )
