"""Inputs of RunPod's worker-comfyui: a ComfyUI workflow with its input images, answered in that worker's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorapod.wire.shapes.shape import Fields, Shape
from lorapod.wire.shapes.workflow import entry

#: The fields of that worker, and fields of `generate` that callers may add.
_FIELDS = frozenset({"workflow", "images", "comfy_org_api_key"})
_ADDED = frozenset({"if_busy", "idempotency_key", "job_id", "return"})

#: The status that it answers if a workflow ended well and made no image.
_NO_IMAGES = "success_no_images"


def _recognise(fields: Fields) -> bool:
    return "workflow" in fields and not {"action", "prompt"} & fields.keys()


def _fields(fields: Fields) -> Fields:
    """Return the fields that `generate` takes; that worker ignores every other field, null and empty values too."""
    given = {name: fields[name] for name in _FIELDS | _ADDED if fields.get(name) not in (None, "", [])}
    return {"return": "bucket", **given, "engine": "comfyui"}


def _answer(sent: Fields, answer: Fields) -> Fields:
    if "error" in answer:
        return _failure(answer)
    made = {name: list(answer.get(name) or ()) for name in ("images", "videos", "other")}
    delivered = {name: [entry(each) for each in files if _delivered(each)] for name, files in made.items()}
    errors = [_problem(file) for files in made.values() for file in files if _problem(file)]
    if errors and not any(delivered.values()):
        return {"error": f"No file could be put into the answer: {' '.join(errors)}", "details": errors}
    told: dict[str, Any] = {"images": delivered["images"]}
    told |= {name: delivered[name] for name in ("videos", "other") if delivered[name]}
    if errors:
        told["errors"] = errors
    warnings = [text for text in answer.get("warnings") or () if not text.startswith(tuple(errors))]
    if warnings := [*_ignored(sent), *warnings]:
        told["warnings"] = warnings
    return told if delivered["images"] else {"status": _NO_IMAGES, **told}


def _delivered(file: Mapping[str, Any]) -> bool:
    return bool(file.get("data") or file.get("url"))


def _problem(file: Mapping[str, Any]) -> str:
    """Return what went wrong with a file of the answer; an empty text if nothing did."""
    if file.get("error"):
        return str(file["error"])
    return (
        "" if _delivered(file) else f"{file.get('filename')} is too large for the answer: {file.get('path')}."
    )


def _ignored(sent: Fields) -> Iterator[str]:
    for name in sorted(set(sent) - _FIELDS - _ADDED):
        yield f"The field {name[:80]!r} was ignored: an input without `type` has no such field."


def _failure(answer: Fields) -> Fields:
    """Return the error as that worker does: one text, and `details` that are texts too."""
    details = [detail for detail in answer.get("details") or () if isinstance(detail, Mapping)]
    told: dict[str, Any] = {
        "error": " ".join(text for text in (answer["error"], answer.get("hint")) if text),
        **({"code": answer["code"]} if "code" in answer else {}),
    }
    if texts := [str(detail["error"]) for detail in details if detail.get("error")]:
        told["details"] = texts
    if process_id := next((detail["process_id"] for detail in details if "process_id" in detail), None):
        told["process_id"] = process_id
    return told


COMFYUI_WORKFLOW = Shape(
    name="A ComfyUI workflow, as worker-comfyui takes it",
    summary="`workflow`, with `images` (`{name, image}` each) and `comfy_org_api_key` beside it, and no `prompt`; answered "
    "as `images`, each `{filename, type, data}` with the type `base64` or `s3_url`; `videos`, `other`, `errors` and "
    "`warnings` only if there are some.",
    type="generate",
    recognise=_recognise,
    fields=_fields,
    answer=_answer,
)
