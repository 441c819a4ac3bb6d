"""A generation in SwarmUI's own parameters: one flat object."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from lorapod.engines.inputs import refuse_inputs
from lorapod.engines.port import Generation
from lorapod.engines.swarmui.inventory import SwarmInventory, plain_name
from lorapod.errors import InvalidInput, TooLarge, Unsupported
from lorapod.safety.images import suffix_by_content

#: SwarmUI's own limit of a request is 200 MiB unless it is set otherwise; base64 makes four bytes of three.
IMAGE_MAX_BYTES = 140 << 20

#: A model's path as the worker's lists show it.
_ON_THE_WORKSPACE = re.compile(r"(?:/workspace/|/runpod-volume/)?models/[^/]+/(?P<name>.+)")

#: SwarmUI's parameters that are files, and the generation's field of each; the last one takes several.
_FILES = {"initimage": "image", "maskimage": "mask", "promptimages": "named_inputs"}

#: Set by the worker; a caller may not.
_OWN = {
    "sessionid": "the worker has its own session",
    "images": "give num_images",
}


def check(generation: Generation) -> list[str]:
    """Return warnings about parameters that can be checked without a server.

    Raises:
        InvalidInput: one is given twice, or is not a parameter's value, or is the worker's own business.
        Unsupported: it asks for what another engine does.
    """
    if generation.workflow is not None or generation.workflow_name is not None:
        raise Unsupported("The engine swarmui takes no workflow.", hint="Use the engine comfyui.")
    if generation.config is not None:
        raise Unsupported("The engine swarmui takes no AI Toolkit config.", hint="Use the engine ai-toolkit.")
    _check_files(generation)
    fields = {plain_name(name): name for name in _of_fields(generation)}
    if generation.loras:
        fields |= {"loras": "loras", "loraweights": "loras"}
    fields |= {name: field for name, field in _FILES.items() if getattr(generation, field)}
    seen: set[str] = set()
    for name, value in generation.params.items():
        plain = plain_name(name)
        if plain in _OWN:
            raise InvalidInput(f"params.{name}: {_OWN[plain]}.")
        if plain in fields or plain in seen:
            raise InvalidInput(f"params.{name}: it is given twice.", hint="Give it once, here or as a field.")
        if isinstance(value, Mapping) and plain != "extrametadata":
            raise InvalidInput(f"params.{name}: SwarmUI's parameters cannot be objects.")
        seen.add(plain)
    if generation.comfy_org_api_key is not None:
        return ["SwarmUI does not take comfy_org_api_key with a request; set the key in SwarmUI itself."]
    return []


def parameters(generation: Generation, loras: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of one request, without `images`, the number of images.

    Args:
        generation: what is wanted; `check` has passed it.
        loras: its LoRAs' names as SwarmUI knows them, in their order.

    Raises:
        TooLarge: the input images are larger than a request may be.
    """
    made = _of_fields(generation)
    if loras:
        made["loras"] = list(loras)
        made["loraweights"] = [f"{use.weight:g}" for use in generation.loras]
    _check_size(generation)
    for name, field in _FILES.items():
        value = getattr(generation, field)
        if isinstance(value, Path):
            made[name] = _data_uri(value)
        elif value:
            made[name] = [_data_uri(path) for path in value.values()]
    return {"prompt": "", **made, **generation.params}


def _check_files(generation: Generation) -> None:
    refuse_inputs(generation, "swarmui", takes=frozenset({"mask", "images"}))
    for name, path in generation.named_inputs.items():
        if suffix_by_content(path) is None:
            raise Unsupported(f"The engine swarmui takes images by name, and {name} is not an image.")


def _check_size(generation: Generation) -> None:
    paths = [*filter(None, (generation.image, generation.mask)), *generation.named_inputs.values()]
    size_bytes = sum(path.stat().st_size for path in paths)
    if size_bytes > IMAGE_MAX_BYTES:
        raise TooLarge(
            f"The input images have {size_bytes} bytes; SwarmUI takes {IMAGE_MAX_BYTES} in a request."
        )


def _data_uri(path: Path) -> str:
    with Image.open(path) as image:
        kind = Image.MIME.get(image.format or "", "image/png")
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def unknown(asked: Mapping[str, Any], found: SwarmInventory) -> list[str]:
    """Return a warning for each parameter that SwarmUI ignores, and for each model that it replaces by another."""
    sentences = [f"SwarmUI does not know the parameter {name!r}: left out." for name in found.unknown(asked)]
    model = asked.get("model")
    if isinstance(model, str) and (other := found.instead_of("Stable-Diffusion", model)) is not None:
        sentences.append(f"SwarmUI has no model {model!r} and takes {other!r} instead.")
    return sentences


def batch_size(asked: Mapping[str, Any]) -> int:
    """Return how many images a request for one makes."""
    try:
        return max(1, int(_plainly(asked).get("batchsize", 1)))
    except (TypeError, ValueError):
        return 1


def seed_of(asked: Mapping[str, Any], index: int) -> int | None:
    """Return the seed of the image with that index, if it has one of its own."""
    if batch_size(asked) > 1:
        return None
    seed = _plainly(alone(asked, index))["seed"]
    return seed if isinstance(seed, int) else None


def alone(asked: Mapping[str, Any], number: int) -> dict[str, Any]:
    """Return the parameters that make the image `number` (from 0) of a request in a separate request.

    SwarmUI counts one seed up, that of the variation if there is one, unless `noseedincrement` is set.
    """
    plain = _plainly(asked)
    counted = "seed"
    if str(plain.get("noseedincrement", False)).lower() == "true":
        return dict(asked)
    if "variationseed" in plain and str(plain.get("variationseedstrength", 0)) not in {"0", "0.0"}:
        counted = "variationseed"
    name = next(name for name in asked if plain_name(name) == counted)
    first = asked[name]
    if not isinstance(first, int) or first < 0:
        return dict(asked)
    return {**asked, name: first + number * batch_size(asked)}


def _plainly(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {plain_name(name): value for name, value in asked.items()}


def _model_name(model: str | None) -> str | None:
    """Return a workspace path as SwarmUI names it; return other names unchanged."""
    match = None if model is None else _ON_THE_WORKSPACE.fullmatch(model)
    return model if match is None else match["name"]


def _of_fields(generation: Generation) -> dict[str, Any]:
    """Return the fields that are plain values; `length` has two names, for two ways to make a video."""
    made = {
        "prompt": generation.prompt or None,
        "negativeprompt": generation.negative_prompt,
        "model": _model_name(generation.model),
        "width": generation.width,
        "height": generation.height,
        "steps": generation.steps,
        "cfgscale": generation.guidance_scale,
        "initimagecreativity": generation.strength,
        "videoframes": generation.length,
        "textvideoframes": generation.length,
    }
    present = {name: value for name, value in made.items() if value is not None}
    return {**present, "seed": generation.seed}
