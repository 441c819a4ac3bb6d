"""Load a model that makes text from images, and what prepares its input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils import is_torchvision_available

from lorapod.captioners.transformers.messages import LoadCaptioner
from lorapod.errors import ErrorCode, InvalidInput, Unsupported, UpstreamError, WorkerError
from lorapod.library_errors import code_of, reason_of


def load(request: LoadCaptioner) -> tuple[Any, Any]:
    """Return the model, on the GPU or else the processor, and its processor of images and text.

    Raises:
        InvalidInput: it cannot be read, or contains code of its own.
        Unsupported: this kind of model does not make text from images.
        UpstreamError: it is not here and could not be downloaded.
    """
    options: dict[str, Any] = {"local_files_only": request.offline, "trust_remote_code": False}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        config = AutoConfig.from_pretrained(request.model, **options)
        if type(config) not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
            raise Unsupported(
                f"The model {_name(request)} ({config.model_type}) does not make text from images.",
                hint="Take a model such as Qwen3-VL, Florence-2, JoyCaption or BLIP.",
            )
        processor = _processor(request.model, config, options)
        model = AutoModelForImageTextToText.from_pretrained(
            request.model, dtype=_dtype(device), use_safetensors=True, **options
        )
    except WorkerError:
        raise
    except Exception as error:
        # Each library has exceptions of its own for a damaged file; what is the machine's fault has a code.
        if not isinstance(error, OSError) and code_of(error) is not ErrorCode.INTERNAL:
            raise
        raise _unloadable(request, error) from error
    return model.to(device).eval(), processor


def _processor(name: str, config: Any, options: dict[str, Any]) -> Any:
    """Return what prepares images and text.

    The processors of several families open videos too, by torchvision; without it, they are put together without that part.
    """
    kind = PROCESSOR_MAPPING.get(type(config), None)
    if kind is None or is_torchvision_available() or "video_processor" not in kind.get_attributes():
        return AutoProcessor.from_pretrained(name, **options)
    tokenizer = AutoTokenizer.from_pretrained(name, **options)
    for_images = type(kind.__name__, (kind,), {"check_argument_for_proper_class": _no_check})
    return for_images(
        image_processor=AutoImageProcessor.from_pretrained(name, **options),
        tokenizer=tokenizer,
        video_processor=None,
        chat_template=tokenizer.chat_template,
    )


def _no_check(_processor: Any, _name: str, part: Any) -> type:
    return type(part)


def _dtype(device: str) -> torch.dtype:
    if device == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def _name(request: LoadCaptioner) -> str:
    path = Path(request.model)
    return path.name if path.is_absolute() else request.model


def _unloadable(request: LoadCaptioner, error: Exception) -> WorkerError:
    name, reason = _name(request), reason_of(error)
    if "trust_remote_code" in reason:
        return InvalidInput(
            f"The model {name} contains Python code, which this worker does not run.",
            hint="Take the version of the model that transformers knows itself.",
        )
    if isinstance(error, ImportError):
        return Unsupported(f"The model {name} needs a library that is not installed: {reason}")
    if isinstance(error, OSError) and not Path(request.model).is_absolute():
        return UpstreamError(
            f"The model {name} is not on this worker and could not be downloaded: {reason}",
            hint="Check the name, the HuggingFace token and the network.",
        )
    return InvalidInput(f"The model {name} cannot be loaded: {reason}")
