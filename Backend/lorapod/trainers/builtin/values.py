"""The types of values in this trainer's config."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints


class Architecture(StrEnum):
    """The kinds of base model that can be trained."""

    SD1 = "sd1"
    SDXL = "sdxl"


class Precision(StrEnum):
    """Number formats of weights."""

    FP32 = "float32"
    FP16 = "float16"
    BF16 = "bfloat16"


_PRECISION_ALIASES = {
    "fp32": "float32",
    "float": "float32",
    "fp16": "float16",
    "half": "float16",
    "bf16": "bfloat16",
}


def _precision(value: Any) -> Any:
    return _PRECISION_ALIASES.get(value, value) if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def architecture(value: Any) -> Any:
    """Return the architecture of a name as AI Toolkit writes it: `arch:tag`, or one of several names of SD 1.x."""
    if not isinstance(value, str):
        return value
    name = value.partition(":")[0]
    return Architecture.SD1 if name in {"sd", "sd15", "sd1.5"} else name


PrecisionName = Annotated[Precision, BeforeValidator(_precision)]
#: Sides of the square that images are cropped to, in pixels: one number or several.
Side = Annotated[int, Field(ge=8, le=4096, multiple_of=8)]
Sides = Annotated[tuple[Side, ...], BeforeValidator(_as_list), Field(min_length=1)]
#: A switch of something that this trainer cannot do.
Off = Literal[False] | None
#: The stem of every artifact's file name: one part of a path, not hidden.
Name = Annotated[str, StringConstraints(pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$", max_length=100)]
