"""Load a model as a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    DiffusionPipeline,
)
from diffusers.loaders.single_file_utils import fetch_diffusers_config, load_single_file_checkpoint

from lorapod.engines.diffusers.messages import Load
from lorapod.errors import InvalidInput, Unsupported, UpstreamError, WorkerError
from lorapod.library_errors import reason_of
from lorapod.weights import SUFFIX

_HALF_VARIANT = "fp16"


class PipelineForm(StrEnum):
    """What a pipeline begins with."""

    TEXT = "text"
    IMAGE = "input image"
    MASK = "mask"


_AUTO: dict[PipelineForm, Any] = {
    PipelineForm.IMAGE: AutoPipelineForImage2Image,
    PipelineForm.MASK: AutoPipelineForInpainting,
}


@dataclass(kw_only=True)
class LoadedModel:
    """One pipeline, and its other forms for input images and masks: the same weights, never loaded twice."""

    #: How complaints call it.
    name: str
    text_to_image: Any
    device: str
    dtype: torch.dtype
    #: The scheduler's own configuration, before any request changed it.
    scheduler: Any
    _forms: dict[PipelineForm, Any] = field(default_factory=dict, init=False)

    def pipeline(self, form: PipelineForm) -> Any:
        """Return the pipeline for this kind of input.

        Raises:
            Unsupported: there is no such pipeline.
        """
        if form is PipelineForm.TEXT:
            return self.text_to_image
        if form not in self._forms:
            try:
                self._forms[form] = _AUTO[form].from_pipe(self.text_to_image)
            except ValueError as error:
                raise Unsupported(
                    f"The model {self.name} takes no {form.value}: diffusers has no such form of "
                    f"{type(self.text_to_image).__name__}."
                ) from error
            self._forms[form].set_progress_bar_config(disable=True)
        return self._forms[form]


def load_model(request: Load) -> LoadedModel:
    """Load a pipeline onto the GPU, or the processor if there is no GPU.

    Raises:
        InvalidInput: it cannot be read, or contains code of its own.
        Unsupported: this kind of model does not make images from text.
        UpstreamError: it is not here and could not be downloaded.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = _dtype(device)
    path = Path(request.model)
    try:
        pipeline = _from_file(path, request, dtype) if path.suffix == SUFFIX else _from_layout(request, dtype)
    except (OSError, ValueError, KeyError) as error:
        raise _unloadable(request, error) from error
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    return LoadedModel(
        name=path.name if path.is_absolute() else request.model,
        text_to_image=pipeline,
        device=device,
        dtype=dtype,
        scheduler=getattr(pipeline, "scheduler", None),
    )


def _dtype(device: str) -> torch.dtype:
    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _from_layout(request: Load, dtype: torch.dtype) -> Any:
    config = DiffusionPipeline.load_config(request.model, local_files_only=request.offline)
    if not isinstance(config.get("_class_name"), str):
        raise InvalidInput(f"The model {request.model} contains Python code, which this worker does not run.")
    # The checker of some models turns images black; the operator answers for what is generated.
    extras = {"safety_checker": None, "requires_safety_checker": False} if "safety_checker" in config else {}
    return AutoPipelineForText2Image.from_pretrained(
        request.model,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=request.offline,
        variant=_variant(Path(request.model)),
        **extras,
    )


def _variant(folder: Path) -> str | None:
    """`fp16` for a folder that has nothing else."""
    names = {path.name for path in folder.glob(f"*/*{SUFFIX}")} if folder.is_absolute() else set()
    halves = {name for name in names if f".{_HALF_VARIANT}." in name}
    return _HALF_VARIANT if halves and halves == names else None


def _from_file(path: Path, request: Load, dtype: torch.dtype) -> Any:
    config = str(request.config) if request.config else _config_repository(path)
    index = DiffusionPipeline.load_config(config, local_files_only=request.offline)
    kind = getattr(diffusers, str(index.get("_class_name")), None)
    if kind is None or not hasattr(kind, "from_single_file"):
        raise Unsupported(
            f"A model of the kind {index.get('_class_name')} cannot be loaded from a single file.",
            hint="Give it as a folder in diffusers' layout.",
        )
    pipeline = kind.from_single_file(str(path), config=config, dtype=dtype, local_files_only=request.offline)
    return AutoPipelineForText2Image.from_pipe(pipeline)


def _config_repository(path: Path) -> str:
    """Return the Hub repository with the configuration of the file's kind of model."""
    config = fetch_diffusers_config(load_single_file_checkpoint(str(path)))
    return str(config["pretrained_model_name_or_path"])


def _unloadable(request: Load, error: Exception) -> WorkerError:
    name, reason = request.model, reason_of(error)
    if "AutoPipeline can't find" in reason:
        return Unsupported(f"The model {name} does not make images from text.")
    if not Path(name).is_absolute():
        return UpstreamError(
            f"The model {name} is not on this worker and could not be downloaded: {reason}",
            hint="Check the name, the HuggingFace token and the network.",
        )
    if Path(name).suffix == SUFFIX and request.config is None and isinstance(error, OSError):
        stem = Path(name).stem
        return InvalidInput(
            f"The file {Path(name).name} holds weights alone, and the configuration of its kind is not on this "
            f"worker and could not be downloaded: {reason}",
            hint=f"Put a folder {stem} beside it, in diffusers' layout, which need hold no weights.",
        )
    return InvalidInput(f"The model {name} cannot be loaded: {reason}")
