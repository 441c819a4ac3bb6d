"""Inputs of RunPod's worker-comfyui: a ComfyUI workflow with its input images, answered in that worker's form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lorapod.wire.shapes.shape import Fields, Shape
from lorapod.wire.shapes.workflow import entry

#: The fields of that worker, and fields of `generate` that callers may add.
_FIELDS = frozenset({"workflow", "images", "comfy_org_api_key"})
#: The key's name in that worker's documentation and in ComfyUI.
_KEY_ALIAS = "api_key_comfy_org"
_ADDED = frozenset({"if_busy", "idempotency_key", "job_id", "return"})

#: The status that it answers if a workflow ended well and made no image.
_NO_IMAGES = "success_no_images"

#: The base64 of all files in one answer; RunPod refuses more than about 20 MB.
_DATA_MAX_CHARACTERS = 17_000_000


def _recognise(fields: Fields) -> bool:
    return "workflow" in fields and not {"action", "prompt"} & fields.keys()


def _fields(fields: Fields) -> Fields:
    """Return the fields that `generate` takes; that worker ignores every other field, null and empty values too."""
    given = {name: fields[name] for name in _FIELDS | _ADDED if fields.get(name) not in (None, "", [])}
    if key := fields.get(_KEY_ALIAS):
        given.setdefault("comfy_org_api_key", key)
    if isinstance(images := given.get("images"), list):
        given["images"] = [_image(image) for image in images]
    return {"return": "bucket", **given, "engine": "comfyui"}


def _image(image: Any) -> Any:
    """Return an input image without what that worker ignores: other fields, and all before a comma."""
    if not isinstance(image, Mapping):
        return image
    content = image.get("image")
    if isinstance(content, str) and not content.lower().startswith(("data:", "http://", "https://")):
        content = content.rpartition(",")[2]
    return {name: content if name == "image" else image[name] for name in ("name", "image") if name in image}


def _answer(sent: Fields, answer: Fields) -> Fields:
    if "error" in answer:
        return _failure(answer)
    made = {name: list(answer.get(name) or ()) for name in ("images", "videos", "other")}
    errors: list[str] = []
    if sent.get("return") != "path":
        errors = [problem for files in made.values() for file in files if (problem := _problem(file))]
        made = {name: [file for file in files if _delivered(file)] for name, files in made.items()}
    if errors and not any(made.values()):
        return {"error": f"No file could be put into the answer: {' '.join(errors)}", "details": errors}
    animated = [file for file in made["videos"] if file.get("listed_as") == "images"]
    if not _fit_twice(made, animated):
        made["videos"] = [file for file in made["videos"] if file not in animated]
    images = [entry(file) for file in [*made["images"], *animated]]
    told: dict[str, Any] = {"images": images} if images else {"status": _NO_IMAGES, "images": []}
    told |= {name: [entry(file) for file in made[name]] for name in ("videos", "other") if made[name]}
    if errors:
        told["errors"] = errors
    warnings = [text for text in answer.get("warnings") or () if not text.startswith(tuple(errors))]
    if warnings := [*_ignored(sent), *warnings]:
        told["warnings"] = warnings
    return told


def _fit_twice(made: Mapping[str, list[Any]], animated: list[Any]) -> bool:
    """Return whether the answer may name these videos twice: in `images`, where that worker has them, and in `videos`."""
    whole = [file for files in made.values() for file in files]
    return sum(len(file.get("data") or "") for file in [*whole, *animated]) <= _DATA_MAX_CHARACTERS


def _delivered(file: Mapping[str, Any]) -> bool:
    return bool(file.get("data") or file.get("url"))


def _problem(file: Mapping[str, Any]) -> str:
    """Return what went wrong with a file of the answer; an empty text if nothing did."""
    if file.get("error"):
        return str(file["error"])
    if _delivered(file):
        return ""
    return f"{file.get('filename')} is not in the answer: fetch {file.get('path')} with `download_file`."


def _ignored(sent: Fields) -> Iterator[str]:
    for name in sorted(set(sent) - _FIELDS - _ADDED - {_KEY_ALIAS}):
        yield (
            f"The field {name[:80]!r} was ignored: without a `type`, a `workflow` is read as worker-comfyui reads it."
        )


def _failure(answer: Fields) -> Fields:
    """Return the error as that worker does: one text, and `details` that are texts too."""
    details = [detail for detail in answer.get("details") or () if isinstance(detail, Mapping)]
    told: dict[str, Any] = {
        "error": " ".join(text for text in (answer["error"], answer.get("hint")) if text),
        **({"code": answer["code"]} if "code" in answer else {}),
    }
    if texts := [_text(detail) for detail in details if detail.get("error")]:
        told["details"] = texts
    if process_id := next((detail["process_id"] for detail in details if "process_id" in detail), None):
        told["process_id"] = process_id
    return told


def _text(detail: Mapping[str, Any]) -> str:
    """Return a detail of an error as a text that says where it is."""
    node = detail.get("node")
    place = detail.get("field") or (None if node is None else f"Node {node}")
    return str(detail["error"]) if place is None else f"{place}: {detail['error']}"


COMFYUI_WORKFLOW = Shape(
    name="A ComfyUI workflow, as worker-comfyui takes it",
    summary="`workflow`, with `images` (`{name, image}` each) and `comfy_org_api_key` beside it, and no `prompt`; answered "
    "as `images`, each `{filename, type, data}` with the type `base64` or `s3_url`; `videos`, `other`, `errors` and "
    "`warnings` only if there are some. Videos that ComfyUI lists as images are in `images` too.",
    type="generate",
    recognise=_recognise,
    fields=_fields,
    answer=_answer,
)
