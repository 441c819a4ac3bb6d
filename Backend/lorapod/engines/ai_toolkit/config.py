"""The config that AI Toolkit gets for a generation: the caller's own, with what the request says beside it.

What AI Toolkit 0.12.26 does with it: `jobs/GenerateJob.py` and `jobs/process/GenerateProcess.py` of its source.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.engines.port import Generation
from lorapod.errors import InvalidInput, Unsupported
from lorapod.processes.slots import Slot
from lorapod.trainers.ai_toolkit.paths import PathRules
from lorapod.trainers.ai_toolkit.problems import Problems
from lorapod.trainers.ai_toolkit.validate import check_model, check_text
from lorapod.trainers.ai_toolkit.vocabulary import Vocabulary

_PROCESS = "config.process[0]"

#: From a generation's fields to those of the config's `generate` section.
_FIELDS = {
    "width": "width",
    "height": "height",
    "steps": "sample_steps",
    "guidance_scale": "guidance_scale",
    "negative_prompt": "neg",
}

#: Fields of a request that this job has no use for.
_USELESS = ("image", "strength", "length", "model", "loras")

#: Whole numbers of the `generate` section.
_WHOLE = ("width", "height", "sample_steps", "num_repeats")

#: AI Toolkit's random numbers take no larger seed.
_SEEDS = 2**32


def prepare_config(
    generation: Generation, rules: PathRules, known: Vocabulary, *, legacy_works: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the final config without its device, and the warnings for the caller.

    Args:
        generation: with a config.
        rules: where its paths may lead.
        known: the architectures of the installation.
        legacy_works: whether the job can be used for architectures without their own class.

    Raises:
        InvalidInput: AI Toolkit would refuse it, or make something else.
        Unsupported: this version cannot generate with the architecture.
    """
    problems = Problems()
    config: dict[str, Any] = copy.deepcopy(dict(generation.config or {}))
    process = _process(config, problems)
    if process is None:
        problems.raise_any()
        raise AssertionError("a config without a shape is always a problem")
    config["config"].setdefault("name", generation.process_id)
    _fill(process["generate"], generation, problems)
    rules.settle(process, _PROCESS, problems)
    process["output_folder"] = str(generation.folder)
    check_model(process["model"], known, problems)
    check_text(config, problems)
    _check_prompts(process["generate"], problems)
    for field in _USELESS:
        if getattr(generation, field):
            problems.add(field, "cannot be used with an AI Toolkit config")
    problems.warnings += [f"AI Toolkit has no use for the parameter {name!r}." for name in generation.params]
    problems.raise_any()
    _check_architecture(process["model"], known, legacy_works=legacy_works)
    return config, problems.warnings


def for_slot(config: Mapping[str, Any], slot: Slot) -> dict[str, Any]:
    """Return the config for the generation's device: AI Toolkit's own default is the processor."""
    final: dict[str, Any] = copy.deepcopy(dict(config))
    process = process_of(final)
    process["device"] = "cpu" if slot.gpu is None else "cuda:0"
    if slot.gpu is None:
        # Half precision is for GPUs.
        process.setdefault("dtype", "float32")
        process["model"].setdefault("dtype", "float32")
    return final


def process_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one process of a prepared config."""
    process: dict[str, Any] = config["config"]["process"][0]
    return process


def image_count(config: Mapping[str, Any]) -> int:
    """Return how many files a config makes."""
    asked = process_of(config)["generate"]
    return len(asked["prompts"]) * int(asked.get("num_repeats", 1))


def seed_of(config: Mapping[str, Any]) -> int | None:
    """Return the seed of every image; None if each image has another one, which AI Toolkit does not report."""
    seed: int = process_of(config)["generate"]["seed"]
    return None if seed == -1 else seed


def environment_of(generation: Generation) -> dict[str, str]:
    """Return the variable from which AI Toolkit draws the seeds that a config leaves open."""
    return {"SEED": str(generation.seed % _SEEDS)}


def _process(config: dict[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Return the config's one process; note every problem of its shape."""
    if config.get("job") != "generate":
        problems.add("job", "must be generate here; a training is started with `train`")
        return None
    job = config.get("config")
    processes = job.get("process") if isinstance(job, dict) else None
    if not isinstance(processes, list) or len(processes) != 1 or not isinstance(processes[0], dict):
        problems.add("config.process", "is required, and is a list with one mapping")
        return None
    process: dict[str, Any] = processes[0]
    if process.setdefault("type", "to_folder") != "to_folder":
        problems.add(f"{_PROCESS}.type", "must be to_folder")
    for section in ("generate", "model"):
        if not isinstance(process.setdefault(section, {}), dict):
            problems.add(f"{_PROCESS}.{section}", "is not a mapping")
            return None
    return process


def _fill(asked: dict[str, Any], generation: Generation, problems: Problems) -> None:
    """Put the request's fields over those of the config."""
    if generation.prompt:
        asked["prompts"] = [generation.prompt]
    for field, key in _FIELDS.items():
        if (value := getattr(generation, field)) is not None:
            asked[key] = value
    if generation.num_images > 1:
        asked["num_repeats"] = generation.num_images
    for key in _WHOLE:
        if key in asked and (type(asked[key]) is not int or asked[key] < 1):
            problems.add(f"{_PROCESS}.generate.{key}", "is not a whole number from 1 up")
            asked[key] = 1
    if asked.setdefault("seed", -1) == -1:
        if asked.get("num_repeats", 1) == 1:
            asked["seed"] = generation.seed % _SEEDS
        else:
            # With one seed for all they would be the same image: each draws its own, see `environment_of`.
            problems.warn(
                "AI Toolkit draws the seeds of repeated images from the request's, and does not report them: the same "
                "request with the same seed makes the same images."
            )
    if type(asked["seed"]) is not int or not -1 <= asked["seed"] < _SEEDS:
        problems.add(f"{_PROCESS}.generate.seed", "is not a whole number from -1 to 4294967295")


def _check_prompts(asked: Mapping[str, Any], problems: Problems) -> None:
    prompts = asked.get("prompts")
    if isinstance(prompts, str):
        problems.add(f"{_PROCESS}.generate.prompts", "is the name of a file; write the prompts as a list")
    elif not isinstance(prompts, list) or not prompts or not all(isinstance(text, str) for text in prompts):
        problems.add(f"{_PROCESS}.generate.prompts", "is required: a list of texts")
    elif any("--" in text for text in prompts):
        problems.warn("AI Toolkit reads no flags (--…) in the prompts of this job: they become words.")
    if asked.get("random_prompts"):
        problems.add(f"{_PROCESS}.generate.random_prompts", "makes ten thousand images; write the prompts")


def _check_architecture(model: Mapping[str, Any], known: Vocabulary, *, legacy_works: bool) -> None:
    arch = str(model.get("arch") or "").partition(":")[0]
    if legacy_works or arch in known.own_class_archs:
        return
    raise Unsupported(
        f"This version of AI Toolkit cannot generate with {arch or 'a model without arch (SD 1.5)'}: its generate job "
        "fails for it before the first image.",
        hint="Use the engine diffusers, or a model with an architecture such as wan21, chroma or zimage.",
    )


def legacy_works(root: Path) -> bool:
    """Return whether the generate job can build architectures without their own class.

    Version 0.12.26 looks for a section of trainings there that generations do not have.
    """
    try:
        text = (root / "jobs" / "process" / "GenerateProcess.py").read_text("utf-8", errors="replace")
    except OSError as error:
        raise Unsupported(f"This installation of AI Toolkit has no generate job: {error.strerror}.") from None
    return "self.train_config." not in text or "self.train_config =" in text


def need_config(generation: Generation) -> None:
    """Without one there is nothing to run.

    Raises:
        InvalidInput: it has none.
    """
    if generation.config is None:
        raise InvalidInput(
            "The engine ai-toolkit needs a config.",
            hint="Send `config` with `job: generate`, or choose the engine diffusers for a prompt alone.",
        )
