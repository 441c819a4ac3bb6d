"""Inputs of a worker that serves SwarmUI: an `action`, with its fields beside it or under `payload`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lorapod.errors import InvalidInput
from lorapod.wire.shapes import swarmui_answers
from lorapod.wire.shapes.shape import Fields, Shape
from lorapod.wire.shapes.swarmui_answers import ENGINE

#: SwarmUI's kinds of models, in small letters, and the worker's.
_KINDS: Mapping[str, str] = {
    "stable-diffusion": "checkpoint",
    "lora": "lora",
    "vae": "vae",
    "embedding": "embedding",
    "controlnet": "controlnet",
    "clip": "text_encoder",
    "clipvision": "clip_vision",
}

#: Fields of the input that are not parameters of the generation.
_CONTROL = frozenset({"action", "payload", "raw_input", "rawInput", "install_only", "session_id", "images"})

#: SwarmUI's parameters that the worker has fields for, in the spelling that SwarmUI compares.
_PARAMETERS: Mapping[str, str] = {
    "prompt": "prompt",
    "negativeprompt": "negative_prompt",
    "model": "model",
    "width": "width",
    "height": "height",
    "steps": "steps",
    "cfgscale": "guidance_scale",
    "seed": "seed",
    "initimage": "image",
    "initimagecreativity": "strength",
}

#: Fields that only a generation of this form has, not one of the worker's own without a `payload`.
_MARKS = frozenset(
    "raw_input rawInput install_only images negativeprompt cfgscale cfg_scale sampler scheduler batchsize initimage "
    "initimagecreativity loraweights donotsave imageformat extra_metadata presets".split()
)

#: Texts of a model that have the same name in SwarmUI and in the worker.
_TEXTS = ("title", "author", "description", "license", "usage_hint", "tags")

#: Seconds of a `keep_alive` without a duration.
_KEEP_S = 60.0


def _flat(sent: Fields) -> dict[str, Any]:
    """Return the fields, those of the `payload` included.

    Raises:
        InvalidInput: the payload is no object.
    """
    payload = sent.get("payload", {})
    if not isinstance(payload, Mapping):
        raise InvalidInput("payload: must be an object.")
    beside = {name: value for name, value in sent.items() if name not in {"action", "payload"}}
    return {**beside, **{str(name): value for name, value in payload.items()}}


def _known_by(actions: frozenset[str], marks: frozenset[str]) -> Callable[[Fields], bool]:
    def recognise(fields: Fields) -> bool:
        action = fields.get("action")
        return isinstance(action, str) and action in actions and not marks.isdisjoint(fields)

    return recognise


def _is_generation(fields: Fields) -> bool:
    """Return whether it is a generation of this form; a list of `images` is the input files of the worker's own."""
    marks = {name for name in fields if name != "images" or not isinstance(fields[name], list)}
    action = fields.get("action")
    return action == "generate_image" or (
        action == "generate" and not (_MARKS | {"payload"}).isdisjoint(marks)
    )


def _first(fields: Fields, *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _kind(fields: Fields) -> str | None:
    subtype = _first(fields, "subtype", "model_type", "modelType")
    if subtype is None:
        return "checkpoint"
    kind = _KINDS.get(str(subtype).lower())
    if kind is None:
        known = "Stable-Diffusion, LoRA, VAE, Embedding, ControlNet, Clip, ClipVision"
        raise InvalidInput(f"subtype: {str(subtype)[:40]!r} is not a kind of models here; {known} are.")
    return kind


def _model(fields: Fields) -> str:
    model = _first(fields, "model_name", "modelName", "model", "name")
    if not isinstance(model, str):
        raise InvalidInput("model_name: it is missing.")
    return model


def _generation(sent: Fields) -> Fields:
    fields = _flat(sent)
    raw = _first(fields, "raw_input", "rawInput")
    if raw is not None and not isinstance(raw, Mapping):
        raise InvalidInput("raw_input: must be an object.")
    if _first(fields, "install_only"):
        raise InvalidInput(
            "install_only: a job installs nothing here.", hint="`keep_alive` has the worker ready and warm."
        )
    asked = {**{name: value for name, value in fields.items() if name not in _CONTROL}, **(raw or {})}
    images = _first(fields, "images")
    made: dict[str, Any] = {
        "engine": ENGINE,
        "wait": True,
        "num_images": asked.pop("images", 1) if images is None else images,
    }
    own: dict[str, Any] = {}
    for name, value in asked.items():
        letters = "".join(letter for letter in str(name).lower() if "a" <= letter <= "z")
        if value is None:
            continue
        if letters in _PARAMETERS:
            made[_PARAMETERS[letters]] = value
        elif name in {"return", "if_busy", "job_id", "idempotency_key"}:
            made[name] = value
        else:
            own[str(name)] = value
    return {**made, "params": own}


def _list(sent: Fields) -> Fields:
    return {"engine": ENGINE, "kind": _kind(_flat(sent)), "limit": 2000}


def _description(sent: Fields) -> Fields:
    fields = _flat(sent)
    return {"engine": ENGINE, "kind": _kind(fields), "model": _model(fields), "sha256": False}


def _download(sent: Fields) -> Fields:
    fields = _flat(sent)
    metadata = fields.get("metadata")
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except ValueError as error:
            raise InvalidInput("metadata: must be an object, or JSON of one.") from error
    made: dict[str, Any] = {"engine": ENGINE, "kind": _kind(fields), "name": _model(fields)}
    made["source"] = _first(fields, "url", "source")
    made |= {name: fields[name] for name in ("wait", "job_id", "idempotency_key") if name in fields}
    return made if metadata is None else {**made, "metadata": metadata}


def _edit(sent: Fields) -> Fields:
    fields = _flat(sent)
    given = fields.get("metadata")
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInput("metadata: must be an object.")
    beside = {"model_name", "modelName", "model", "name", "subtype", "model_type", "modelType", "metadata"}
    changes = dict(given) if given is not None else {k: v for k, v in fields.items() if k not in beside}
    made: dict[str, Any] = {"engine": ENGINE, "kind": _kind(fields), "model": _model(fields)}
    for name in _TEXTS:
        if name in changes:
            made[name] = changes.pop(name) or None
    if isinstance(made.get("tags"), str):
        made["tags"] = [tag.strip() for tag in made["tags"].split(",") if tag.strip()]
    if "trigger_phrase" in changes:
        phrase = changes.pop("trigger_phrase")
        made["trigger_words"] = [phrase] if phrase else None
    if "type" in changes:
        changes["architecture"] = changes.pop("type")
    return {**made, "params": changes}


def _keeping(sent: Fields) -> Fields:
    fields = _flat(sent)
    duration_s = _first(fields, "duration_seconds", "duration", "duration_s")
    made: dict[str, Any] = {"duration_s": _KEEP_S if duration_s is None else duration_s}
    interval_s = _first(fields, "interval_seconds", "interval", "interval_s")
    return made if interval_s is None else {**made, "interval_s": interval_s}


_MODEL_MARKS = frozenset({"payload", "subtype", "model_name", "modelName", "model_type", "modelType"})

SWARM_GENERATE = Shape(
    name="A generation by SwarmUI",
    summary="`action: generate_image`, or `action: generate` with SwarmUI's own parameters, beside it or under "
    "`payload` or `raw_input`.",
    type="generate",
    recognise=_is_generation,
    fields=_generation,
    answer=swarmui_answers.told_generation,
)

SWARM_LIST = Shape(
    name="SwarmUI's models",
    summary="`action: list_models` with `subtype`, `path`, `depth` or `payload`.",
    type="list_models",
    recognise=_known_by(frozenset({"list_models"}), _MODEL_MARKS | {"path", "depth", "allow_remote"}),
    fields=_list,
    answer=swarmui_answers.told_list,
)

SWARM_DESCRIBE = Shape(
    name="One of SwarmUI's models",
    summary="`action: describe_model` with `model_name`, `subtype` or `payload`.",
    type="describe_model",
    recognise=_known_by(frozenset({"describe_model"}), _MODEL_MARKS),
    fields=_description,
    answer=swarmui_answers.told,
)

SWARM_DOWNLOAD = Shape(
    name="A model for SwarmUI",
    summary="`action: download_model` with `url`, `model_name`, `model_type` or `payload`.",
    type="download_model",
    recognise=_known_by(frozenset({"download_model"}), _MODEL_MARKS | {"url"}),
    fields=_download,
    answer=swarmui_answers.told_download,
)

SWARM_EDIT = Shape(
    name="A change to one of SwarmUI's models",
    summary="`action: edit_model_metadata`, or `action: edit_model` with `model_name`, `metadata` or `payload`.",
    type="edit_model",
    recognise=lambda fields: (
        fields.get("action") == "edit_model_metadata"
        or (fields.get("action") == "edit_model" and not (_MODEL_MARKS | {"metadata"}).isdisjoint(fields))
    ),
    fields=_edit,
    answer=swarmui_answers.told,
)

SWARM_KEEP_ALIVE = Shape(
    name="A worker with SwarmUI kept alive",
    summary="`action: keep_alive` with `duration` and `interval`, also as `duration_seconds`, or under `payload`.",
    type="keep_alive",
    recognise=_known_by(
        frozenset({"keep_alive"}),
        frozenset({"payload", "duration", "duration_seconds", "interval", "interval_seconds"}),
    ),
    fields=_keeping,
    answer=swarmui_answers.told_keeping,
)

SWARM_SHAPES = (SWARM_GENERATE, SWARM_LIST, SWARM_DESCRIBE, SWARM_DOWNLOAD, SWARM_EDIT, SWARM_KEEP_ALIVE)
