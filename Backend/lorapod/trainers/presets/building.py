"""How a preset, a tier and a caller's knobs become a whole training config."""

from __future__ import annotations

import copy
from typing import Any

from lorapod.errors import InvalidInput
from lorapod.trainers.presets.preset import get, merged
from lorapod.wire.knobs import TrainKnobs

#: The config keys that each single-valued knob sets, below `config.process[0]`.
_PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "steps": (("train", "steps"),),
    "learning_rate": (("train", "lr"),),
    "rank": (("network", "linear"), ("network", "linear_alpha")),
    "batch_size": (("train", "batch_size"),),
    "trigger_word": (("trigger_word",),),
    "sample_every": (("sample", "sample_every"),),
    "save_every": (("save", "save_every"),),
    "seed": (("training_seed",), ("sample", "seed")),
    "model": (("model", "name_or_path"),),
    "optimizer": (("train", "optimizer"),),
}


def build_config(preset: str, knobs: TrainKnobs, *, gpu_memory_bytes: int | None = None) -> dict[str, Any]:
    """Return a copy of the preset's config with its tier and the knobs applied.

    The config has no name, no dataset folder and no output folder: these come with the request.

    Args:
        preset: the preset's name.
        knobs: the caller's changes.
        gpu_memory_bytes: memory of the GPU; it chooses the tier unless the knobs name one.

    Raises:
        InvalidInput: the preset or its tier does not exist.
    """
    found = get(preset)
    tier = found.tier_for(gpu_memory_bytes) if knobs.tier is None else found.tier(knobs.tier)
    config: dict[str, Any] = copy.deepcopy(dict(found.config))
    process = copy.deepcopy(merged(config["config"]["process"][0], tier.process))
    config["config"]["process"] = [process]
    for knob, value in knobs.model_dump(mode="json", exclude_none=True).items():
        for place in _PLACES.get(knob, ()):
            _put(process, place, value)
    if knobs.resolution is not None:
        _set_resolution(process, knobs.resolution)
    if found.samples_need_control:
        _set_controlled_prompts(process, knobs)
    else:
        _set_prompts(process, knobs)
    return config


def _put(process: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    section = process
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value


def _set_resolution(process: dict[str, Any], resolution: int | list[int]) -> None:
    sizes = [resolution] if isinstance(resolution, int) else sorted(set(resolution))
    for dataset in process["datasets"]:
        dataset["resolution"] = sizes
    sample = process["sample"]
    # Square samples get the resolution of the training images; a video keeps the frame size of its model.
    if sizes and sample["width"] == sample["height"]:
        sample["width"] = sample["height"] = max(sizes)


def _set_prompts(process: dict[str, Any], knobs: TrainKnobs) -> None:
    """Set the prompts of the samples: the caller's, else the trigger word, else the preset's."""
    if knobs.sample_prompts is not None:
        process["sample"]["prompts"] = list(knobs.sample_prompts)
        process["train"]["disable_sampling"] = not knobs.sample_prompts
    elif knobs.trigger_word is not None:
        process["sample"]["prompts"] = [knobs.trigger_word]


def _set_controlled_prompts(process: dict[str, Any], knobs: TrainKnobs) -> None:
    """Set the caller's prompts, each with a control image; without prompts there are no samples.

    Raises:
        InvalidInput: a prompt names no control image, without which the trainer fails at the first sample.
    """
    prompts = knobs.sample_prompts or []
    process["sample"]["prompts"] = list(prompts)
    process["train"]["disable_sampling"] = not prompts
    missing = [place for place, prompt in enumerate(prompts) if "--ctrl_img" not in prompt]
    if missing:
        raise InvalidInput(
            "Samples of this model need a control image: add --ctrl_img and a path in the workspace to each prompt.",
            details=[
                {"field": f"sample_prompts[{place}]", "error": "has no --ctrl_img"} for place in missing
            ],
        )
