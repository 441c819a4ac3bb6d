"""How a preset, a tier and a caller's knobs become a whole training config."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from lorapod.errors import InvalidInput
from lorapod.trainers.presets.preset import Preset, get, merged
from lorapod.trainers.presets.sample_prompts import set_prompts
from lorapod.wire.knobs import NetworkType, Scheduler, TrainingSet, TrainKnobs, WeightFormat
from lorapod.wire.presets import Learns

#: The config keys that each single-valued knob sets, below `config.process[0]`; `datasets` means each of them.
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    "steps": ("train.steps",),
    "learning_rate": ("train.lr",),
    "rank": ("network.linear", "network.linear_alpha"),
    "batch_size": ("train.batch_size",),
    "gradient_accumulation": ("train.gradient_accumulation",),
    "caption_dropout": ("datasets.caption_dropout_rate",),
    "trigger_word": ("trigger_word",),
    "sample_every": ("sample.sample_every",),
    "save_every": ("save.save_every",),
    "seed": ("training_seed", "sample.seed"),
    "model": ("model.name_or_path",),
    "optimizer": ("train.optimizer",),
    "low_vram": ("model.low_vram",),
    "timestep_type": ("train.timestep_type",),
    "num_frames": ("datasets.num_frames",),
}

#: The keys that other knobs set, to name the knob in a trainer's refusal.
_ALSO_SET: Final[Mapping[str, tuple[str, ...]]] = {
    "resolution": ("datasets.resolution",),
    "sample_prompts": ("sample.prompts",),
    "scheduler": ("train.lr_scheduler", "train.lr_scheduler_params"),
    "quantize": ("model.quantize", "model.quantize_te", "model.qtype"),
    "ema": ("train.ema_config",),
    "network": ("network",),
    "control": ("datasets.control_path",),
    "datasets": ("datasets",),
    "validation": ("train.validation_config",),
}

_DEFAULT_DECAY: Final = 0.99


def build_config(preset: str, knobs: TrainKnobs, *, gpu_memory_bytes: int | None = None) -> dict[str, Any]:
    """Return a copy of the preset's config with its tier and the knobs applied.

    The config has no name, no output folder, and no dataset folder but those of the knobs: they come with the request.

    Args:
        preset: the preset's name.
        knobs: the caller's changes.
        gpu_memory_bytes: memory of the GPU; it chooses the tier unless the knobs name one.

    Raises:
        InvalidInput: the preset or its tier does not exist, or a knob does not go with the preset.
    """
    found = get(preset)
    tier = found.tier_for(gpu_memory_bytes) if knobs.tier is None else found.tier(knobs.tier)
    config: dict[str, Any] = copy.deepcopy(dict(found.config))
    process = copy.deepcopy(merged(config["config"]["process"][0], tier.process))
    config["config"]["process"] = [process]
    _check_knobs(found, process, knobs)
    for knob, value in knobs.model_dump(mode="json", exclude_none=True).items():
        for place in _PLACES.get(knob, ()):
            _put(process, place, value)
    for knob, change in _CHANGES.items():
        if getattr(knobs, knob) is not None:
            change(process, knobs)
    set_prompts(process, found, knobs)
    return config


def knob_of(field: str, knobs: TrainKnobs) -> str:
    """Return the knob that set a key of the config, for a trainer's refusal of it; else the key as it is."""
    place = field.removeprefix("config.process[0].")
    if place == field:
        return field
    plain = "".join(part.partition("[")[0] + "." for part in place.split("."))
    for knob, keys in {**_PLACES, **_ALSO_SET}.items():
        # Control images that are missing, and fewer steps, are given by a knob that is not set.
        is_set = knob in knobs.model_fields_set or knob in {"control", "steps"}
        if is_set and any(plain.startswith(f"{key}.") for key in keys):
            return knob
    return field


def _check_knobs(preset: Preset, process: Mapping[str, Any], knobs: TrainKnobs) -> None:
    """Refuse knobs that would do nothing, or something else, with this preset's model.

    Raises:
        InvalidInput: `details` names each of them.
    """
    refused: list[dict[str, Any]] = []

    def refuse(knob: str, why: str) -> None:
        refused.append({"field": knob, "error": why})

    sets = knobs.datasets or []
    is_unet = process["train"]["noise_scheduler"] != "flowmatch"
    if knobs.network is not None and knobs.network.type is NetworkType.DORA and is_unet:
        refuse("network", f"dora has no convolutions, which {preset.name} has: use lora or lokr")
    if knobs.timestep_type is not None and is_unet:
        refuse("timestep_type", f"does nothing for {preset.name}, which is not a flow-matching model")
    frames = [knobs.num_frames, *(each.num_frames for each in sets)]
    if any(each is not None and each > 1 for each in frames) and Learns.VIDEOS not in preset.learns:
        refuse("num_frames", f"{preset.name} learns from {_learns(preset)}, not from videos")
    controls = [knobs.control, *(each.control for each in sets)]
    if any(each is not None for each in controls) and Learns.PAIRS not in preset.learns:
        refuse("control", f"{preset.name} learns from {_learns(preset)}, not from pairs")
    if knobs.validation and Learns.IMAGES not in preset.learns:
        refuse("validation", f"holds back images, and {preset.name} learns from {_learns(preset)}")
    if refused:
        raise InvalidInput(
            " ".join(f"{problem['field']}: {problem['error']}." for problem in refused), details=refused
        )


def _learns(preset: Preset) -> str:
    return " and ".join(preset.learns)


def _put(process: dict[str, Any], place: str, value: Any) -> None:
    *sections, key = place.split(".")
    for section in process["datasets"] if sections == ["datasets"] else [process]:
        into = section if sections in ([], ["datasets"]) else section[sections[0]]
        into[key] = value


def _set_resolution(process: dict[str, Any], knobs: TrainKnobs) -> None:
    resolution = knobs.resolution
    sizes = [resolution] if isinstance(resolution, int) else sorted(set(resolution or ()))
    for dataset in process["datasets"]:
        dataset["resolution"] = sizes
    sample = process["sample"]
    # Square samples get the resolution of the training images; a video keeps the frame size of its model.
    if sizes and sample["width"] == sample["height"]:
        sample["width"] = sample["height"] = max(sizes)


def _set_scheduler(process: dict[str, Any], knobs: TrainKnobs) -> None:
    train = process["train"]
    train["lr_scheduler"] = str(knobs.scheduler)
    if knobs.scheduler is Scheduler.LINEAR:
        # The toolkit's own values rise from a third to the whole rate.
        train["lr_scheduler_params"] = {"start_factor": 1.0, "end_factor": 0.0}
    elif knobs.scheduler is Scheduler.CONSTANT_WITH_WARMUP:
        # Its default of 1000 steps is more than many trainings have.
        train["lr_scheduler_params"] = {"num_warmup_steps": max(1, train["steps"] // 20)}


def _set_quantize(process: dict[str, Any], knobs: TrainKnobs) -> None:
    model = process["model"]
    model["quantize"] = model["quantize_te"] = bool(knobs.quantize)
    if isinstance(knobs.quantize, WeightFormat):
        model["qtype"] = str(knobs.quantize)


def _set_ema(process: dict[str, Any], knobs: TrainKnobs) -> None:
    decay = _DEFAULT_DECAY if isinstance(knobs.ema, bool) else knobs.ema
    process["train"]["ema_config"] = {"use_ema": knobs.ema is not False, "ema_decay": decay}


def _set_network(process: dict[str, Any], knobs: TrainKnobs) -> None:
    network, asked = process["network"], knobs.network
    assert asked is not None, "it is applied only if it is set"
    network["type"] = str(asked.type)
    rank = asked.rank or knobs.rank
    if rank is not None:
        network["linear"] = network["linear_alpha"] = rank
    if asked.alpha is not None:
        network["linear_alpha"] = asked.alpha
    if asked.type is NetworkType.LOKR:
        network["lokr_full_rank"] = rank is None


def _set_control(process: dict[str, Any], knobs: TrainKnobs) -> None:
    for dataset in process["datasets"]:
        dataset["control_path"] = _control(knobs.control or [])


def _control(names: list[str]) -> str | list[str]:
    folders = [name if "/" in name else f"training_data/{name}" for name in names]
    return folders[0] if len(folders) == 1 else folders


def _set_datasets(process: dict[str, Any], knobs: TrainKnobs) -> None:
    process["datasets"] = [_dataset(process["datasets"][0], each) for each in knobs.datasets or ()]


def _dataset(base: Mapping[str, Any], asked: TrainingSet) -> dict[str, Any]:
    """Return the preset's dataset with a caller's own folder and values."""
    own = {
        "folder_path": asked.folder,
        "num_repeats": asked.repeats if asked.repeats > 1 else None,
        "is_reg": asked.is_reg or None,
        "caption_dropout_rate": asked.caption_dropout,
        "num_frames": asked.num_frames,
        "control_path": _control(asked.control) if asked.control is not None else None,
    }
    return {**copy.deepcopy(dict(base)), **{key: value for key, value in own.items() if value is not None}}


#: The knobs that change more than a place; `datasets` last, because each dataset begins with what the others set.
_CHANGES: Final[Mapping[str, Callable[[dict[str, Any], TrainKnobs], None]]] = {
    "resolution": _set_resolution,
    "scheduler": _set_scheduler,
    "quantize": _set_quantize,
    "ema": _set_ema,
    "network": _set_network,
    "control": _set_control,
    "datasets": _set_datasets,
}
