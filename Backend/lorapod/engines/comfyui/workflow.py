"""From a generation to the workflow that ComfyUI is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lorapod.engines.comfyui.folders import set_prefixes
from lorapod.engines.comfyui.graph import Filled, Graph, fill, is_link, links_of, placeholders_in, title_of
from lorapod.engines.comfyui.knobs import SeedUsed, seed_used, set_knobs, shift_seeds
from lorapod.engines.comfyui.loras import PLACE, NamedLora, lora_places, place_loras
from lorapod.engines.port import Generation
from lorapod.errors import InvalidInput
from lorapod.wire.validation import nearest

IMAGE = "INPUT_IMAGE"
#: The placeholder of each input file that a field of the request brings, and the class of a node that takes it.
INPUTS = {
    "image": (IMAGE, "LoadImage"),
    "mask": ("INPUT_MASK", "LoadImageMask"),
    "video": ("INPUT_VIDEO", "LoadVideo"),
    "audio": ("INPUT_AUDIO", "LoadAudio"),
}
#: The list of the request that brings such files by name.
_LISTS = {"image": "images", "mask": "images", "video": "videos", "audio": "audios"}
MODEL = "MODEL"
PROMPTS = ("PROMPT", "VIDEO_PROMPT")
SEED = "SEED"
NEGATIVE = "NEGATIVE_PROMPT"
#: Placeholders of a generation's own fields, beside those above.
_FIELDS = ("width", "height", "length", "seed", "steps", "guidance_scale", "strength")
#: The field that a request needs for each placeholder of its workflow.
_NEEDED = {
    **{placeholder: name for name, (placeholder, _) in INPUTS.items()},
    MODEL: "model",
    **dict.fromkeys(PROMPTS, "prompt"),
    **{name.upper(): name for name in _FIELDS},
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Values that are known once the job runs; the defaults serve for a check before that."""

    #: The uploaded input files as ComfyUI names them, by the request's fields.
    inputs: Mapping[str, str] = field(default_factory=dict)
    #: The model as its loaders list it; None: as the request names it.
    model: str | None = None
    loras: Sequence[NamedLora] | None = None
    #: Where its nodes save, below ComfyUI's output folder.
    folder: str = "lorapod/job"
    #: Which image of the generation it is, from 0.
    index: int = 0


@dataclass(frozen=True, kw_only=True)
class Composed:
    """A workflow that can be sent."""

    graph: Graph
    #: The seed that makes the same image again; None if it is not known, or the workflow has no seed.
    seed: int | None
    #: A sentence for each field of the request that no node took.
    warnings: Sequence[str] = field(default=())


def mask_is_alpha(generation: Generation, template: Graph) -> bool:
    """Return whether the mask becomes the transparency of the input image.

    So it is if the workflow takes the mask from the image's own `LoadImage`, as ComfyUI's mask editor has it.
    """
    if generation.mask is None or INPUTS["mask"][0] in placeholders_in(template):
        return False
    loaders = {node_id for node_id, node in template.items() if IMAGE in placeholders_in({node_id: node})}
    links = (link for node in template.values() for _, link in links_of(node))
    return any(link[0] in loaders and link[1] == 1 for link in links)


def compose(generation: Generation, template: Graph, parts: Parts) -> Composed:
    """Fill a template for one image of a generation; `template` stays as it is.

    Raises:
        InvalidInput: the workflow needs a field that the request lacks, or has no place for one that it has.
    """
    values = _values(generation, parts)
    _check(generation, template, values)
    addressed, named = _split(generation.params, template)
    filled = fill(template, values | named)
    graph = filled.graph
    for (node_id, name), value in addressed.items():
        graph[node_id]["inputs"][name] = _as_data(value)
    knobs = {name: getattr(generation, name) for name in _FIELDS if getattr(generation, name) is not None}
    del knobs["seed"]
    taken = {name for name in knobs if name.upper() in filled.used}
    if generation.image is not None:
        # The input image is made in that size.
        taken |= {"width", "height"}
    lost = set_knobs(graph, knobs) - taken
    seed, unseeded = _seed(generation, filled, parts.index)
    loras = parts.loras
    if loras is None:
        loras = [NamedLora(name=lora.path.name, weight=lora.weight) for lora in generation.loras]
    place_loras(graph, loras)
    set_prefixes(graph, parts.folder)
    warnings = [f"No node of the workflow takes {name}: it was not used." for name in sorted(lost)]
    warnings += unseeded
    warnings += _unused(generation, filled.used)
    warnings += _unknown(generation.params, template, set(named) & filled.used)
    return Composed(graph=graph, seed=seed, warnings=warnings)


def _seed(generation: Generation, filled: Filled, index: int) -> tuple[int | None, list[str]]:
    """Seed every sampler; a caller's own workflow keeps its seeds if the request has none.

    Returns:
        The seed that is used, or None; and a warning if it is not known, or that of the request is not used.
    """
    graph, wanted, is_placed = filled.graph, generation.seed + index, SEED in filled.used
    if generation.workflow is None or generation.seed_given:
        set_knobs(graph, {"seed": wanted})
    elif not is_placed:
        shift_seeds(graph, index)
    used = seed_used(graph)
    if used.unknown:
        return None, [f"The seed that was used is not known: {used.unknown}."]
    if used.value is None and is_placed:
        used = SeedUsed(value=wanted)
    lost = used.value is None and generation.workflow is not None and generation.seed_given
    return used.value, ["No node of the workflow takes seed: it was not used."] if lost else []


def _values(generation: Generation, parts: Parts) -> dict[str, Any]:
    given: dict[str, Any] = {name.upper(): getattr(generation, name) for name in _FIELDS}
    given[SEED] = generation.seed + parts.index
    given |= dict.fromkeys(PROMPTS, generation.prompt or None)
    given[NEGATIVE] = generation.negative_prompt or ""
    given[MODEL] = parts.model or generation.model
    for name, (placeholder, _) in INPUTS.items():
        if (path := getattr(generation, name)) is not None:
            given[placeholder] = parts.inputs.get(name, path.name)
    return {name: value for name, value in given.items() if value is not None}


def _check(generation: Generation, template: Graph, values: Mapping[str, Any]) -> None:
    there = placeholders_in(template)
    params = {name.upper() for name in generation.params}
    for name in sorted(there - set(values) - params - {PLACE}):
        if name in _NEEDED:
            raise InvalidInput(f"The workflow has {{{{ {name} }}}}, but the request has no {_NEEDED[name]}.")
        if generation.workflow is None:
            raise InvalidInput(f"The workflow has {{{{ {name} }}}}, but params has no {name.lower()}.")
    for name, (placeholder, class_type) in INPUTS.items():
        if name == "mask" and mask_is_alpha(generation, template):
            continue
        if getattr(generation, name) is not None and placeholder not in there:
            article = "an" if name[0] in "aeiou" else "a"
            raise InvalidInput(
                f"The request has {article} {name}, but its workflow has no place for one.",
                hint=f"Give the file of a {class_type} node as {{{{ {placeholder} }}}}, or send the file by the name "
                f"that the workflow has, in {_LISTS[name]}.",
            )
    if generation.loras and not lora_places(template):
        raise InvalidInput(
            "The request has LoRAs, but its workflow has no place for them.",
            hint=f"Give the lora_name of a LoraLoader node as {{{{ {PLACE} }}}}: it becomes one node a LoRA.",
        )


def _split(params: Mapping[str, Any], graph: Graph) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """Return the parameters that name an input of a node, `NODE.input`, and those that name a placeholder."""
    addressed: dict[tuple[str, str], Any] = {}
    named: dict[str, Any] = {}
    for key, value in params.items():
        places = _places(key, graph)
        addressed |= dict.fromkeys(places, value)
        if not places:
            named[key.upper()] = value
    return addressed, named


def _places(key: str, graph: Graph) -> list[tuple[str, str]]:
    """Return the inputs that `NODE.input` names; NODE is an id, a title or a class."""
    node, dot, name = key.rpartition(".")
    if not dot:
        return []
    matches = [
        node_id
        for node_id in graph
        if node in {node_id, title_of(graph, node_id), graph[node_id]["class_type"]}
    ]
    return [(node_id, name) for node_id in matches if name in graph[node_id]["inputs"]]


def _as_data(value: Any) -> Any:
    """Return a value that ComfyUI does not read as a link."""
    return {"__value__": value} if is_link(value) else value


def _unused(generation: Generation, used: frozenset[str]) -> list[str]:
    """Return a warning for each text or name without a placeholder."""
    given = {
        "prompt": (bool(generation.prompt), PROMPTS),
        "negative_prompt": (bool(generation.negative_prompt), (NEGATIVE,)),
        "model": (generation.model is not None, (MODEL,)),
    }
    return [
        f"The workflow has no {{{{ {places[0]} }}}}: {name} was not used."
        for name, (there, places) in given.items()
        if there and not used & set(places)
    ]


def _unknown(params: Mapping[str, Any], graph: Graph, used: set[str]) -> list[str]:
    inputs = {f"{node_id}.{name}" for node_id, node in graph.items() for name in node["inputs"]}
    warnings = []
    for key in params:
        if key.upper() in used or _places(key, graph):
            continue
        meant = nearest(key, inputs | {name.lower() for name in placeholders_in(graph)})
        guess = f"; did you mean {meant!r}?" if meant else "."
        warnings.append(f"The workflow has no placeholder or NODE.input for the parameter {key!r}{guess}")
    return warnings
