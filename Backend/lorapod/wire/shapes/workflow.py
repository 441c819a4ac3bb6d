"""Inputs of handlers that run one of their own ComfyUI workflows on an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lorapod.wire.shapes.shape import Fields, Shape

#: The fields of those handlers, and the workflow that they run if the input names no workflow.
_FIELDS = frozenset(
    {"prompt", "image", "width", "height", "length", "comfyui_workflow_name", "comfy_org_api_key"}
)
_DEFAULT_WORKFLOW = "video_wan2_2_14B_i2v"

#: Their names for the types of `generate`.
_TYPES = {"url": "s3_url"}


def _recognise(fields: Fields) -> bool:
    return {"prompt", "image"} <= set(fields) <= _FIELDS


def _fields(fields: Fields) -> Fields:
    given = {name: value for name, value in fields.items() if value is not None}
    return {"comfyui_workflow_name": _DEFAULT_WORKFLOW, "return": "bucket", **given, "engine": "comfyui"}


def _answer(_sent: Fields, answer: Fields) -> Fields:
    """Return `images` and `videos` under `output`; other files only if there are any."""
    if "error" in answer:
        return answer
    made = {name: [entry(each) for each in answer.get(name) or ()] for name in ("images", "videos", "other")}
    output: dict[str, Any] = {name: made[name] for name in ("images", "videos")}
    if made["other"]:
        output["other"] = made["other"]
    if answer.get("warnings"):
        output["warnings"] = list(answer["warnings"])
    return {"output": output}


def entry(made: Mapping[str, Any]) -> dict[str, Any]:
    """Return a file of the answer as `{filename, type, data}`."""
    kind = made.get("type")
    return {
        "filename": made.get("filename"),
        "type": _TYPES.get(str(kind), kind),
        "data": made.get("data") or made.get("url") or made.get("path"),
    }


PICTURE_TO_VIDEO = Shape(
    name="A video from an image",
    summary="`prompt` and `image`, with nothing beside them but `width`, `height`, `length`, `comfyui_workflow_name` "
    "and `comfy_org_api_key`; answered as `output` with `images` and `videos`, each `{filename, type, data}`.",
    type="generate",
    recognise=_recognise,
    fields=_fields,
    answer=_answer,
)
