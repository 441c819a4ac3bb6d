"""Makes the config that AI Toolkit gets: the caller's config with the few keys set that the worker decides."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorapod.datasets.sections import sections_of
from lorapod.trainers.ai_toolkit.arch import arch_of_process
from lorapod.trainers.ai_toolkit.datasets import learns_pairs
from lorapod.trainers.ai_toolkit.paths import CONTROL_KEY
from lorapod.trainers.ai_toolkit.problems import Problems
from lorapod.trainers.ai_toolkit.vocabulary import STANDARD_TYPES
from lorapod.trainers.model_names import name_problems
from lorapod.trainers.port import TrainingRequest
from lorapod.yaml_config.text import parse_config

#: The only process type that uses the control table.
CONTROLLED_TYPE = "diffusion_trainer"

CONTROL_FILE = "control.db"

#: Keys that the worker sets in every process, also where the trainer does not read them.
WORKER_KEYS = frozenset({"training_folder", "logging", "datasets", CONTROL_KEY})

#: AI Toolkit's default of `train.steps`.
DEFAULT_STEPS = 1000


def prepare_config(request: TrainingRequest, problems: Problems) -> dict[str, Any] | None:
    """Return the final config, or None if its shape is so wrong that the other checks are not possible.

    All other keys stay as the caller wrote them.
    """
    config = parse_config(request.config)
    process = _process(config, problems)
    if process is None:
        return None
    job = config["config"]
    job.setdefault("name", request.name or request.process_id)
    _check_name(job["name"], "config.name", problems)
    if "name" in process:
        _check_name(process["name"], "config.process[0].name", problems)
    if isinstance(process.get("type"), str) and process["type"] in STANDARD_TYPES:
        process["type"] = CONTROLLED_TYPE
    process["training_folder"] = str(request.training_folder)
    _set_log_dir(process, request.training_folder)
    if config.get("job") == "train":
        # The legacy job has folder and device of its own; its default device is the processor.
        job["training_folder"] = str(request.training_folder)
        job.setdefault("device", "cuda")
        _set_log_dir(job, request.training_folder)
    if request.steps is not None:
        process["train"] = {**(process.get("train") or {}), "steps": request.steps}
    process[CONTROL_KEY] = str(request.scratch / CONTROL_FILE)
    _set_logging(process, problems)
    if request.dataset is not None:
        _set_dataset(process, request.dataset, problems)
    _set_negative_prompts(process)
    return config


def process_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one process of a prepared config."""
    process: dict[str, Any] = config["config"]["process"][0]
    return process


def _process(config: dict[str, Any], problems: Problems) -> dict[str, Any] | None:
    """Return the config's one process, and add a problem for every section that is not a mapping."""
    job = config.get("config")
    if not isinstance(job, dict):
        problems.add("config", "is required: a mapping with name and process")
        return None
    processes = job.get("process")
    if not isinstance(processes, list) or not processes or not isinstance(processes[0], dict):
        problems.add("config.process", "is required: a list with one mapping")
        return None
    if len(processes) > 1:
        problems.add("config.process", f"has {len(processes)} entries; send one training at a time")
    process: dict[str, Any] = processes[0]
    whole = True
    for section in ("network", "save", "sample", "first_sample", "train", "model", "logging"):
        if process.get(section) is not None and not isinstance(process[section], dict):
            problems.add(f"config.process[0].{section}", "is not a mapping")
            whole = False
    datasets = process.get("datasets")
    if datasets is not None and not (
        isinstance(datasets, list) and all(isinstance(dataset, dict) for dataset in datasets)
    ):
        problems.add("config.process[0].datasets", "is not a list of mappings")
        whole = False
    return process if whole else None


def _set_log_dir(section: dict[str, Any], training_folder: Path) -> None:
    """Keep a relative path, which would lead into AI Toolkit's own folder, in the output folder."""
    if isinstance(section.get("log_dir"), str):
        section["log_dir"] = str(training_folder / section["log_dir"])


def _check_name(name: object, field: str, problems: Problems) -> None:
    if not isinstance(name, str):
        problems.add(field, "is not text; put it in quotes")
        return
    for problem in name_problems(name, field=field):
        problems.add(field, problem)


def _set_logging(process: dict[str, Any], problems: Problems) -> None:
    logging = process.setdefault("logging", None) or {}
    process["logging"] = logging
    logging["use_ui_logger"] = True
    # AI Toolkit's default, every hundredth step, leaves a short training without a curve.
    logging.setdefault("log_every", 1)
    if logging.get("use_wandb"):
        problems.warn("With logging.use_wandb AI Toolkit keeps no loss log: `metrics` will have no curves.")


def _set_dataset(process: dict[str, Any], folder: Path, problems: Problems) -> None:
    """Set `folder` in the first dataset and in all others with the same folder or none."""
    datasets = process.get("datasets") or [{}]
    placeholder = _source(datasets[0])
    placed: list[dict[str, Any]] = []
    for place, dataset in enumerate(datasets):
        if _source(dataset) in (placeholder, None):
            placed += sections_of(dataset, folder, learns_pairs=learns_pairs(arch_of_process(process)))
        else:
            placed.append(dataset)
            problems.warn(f"config.process[0].datasets[{place}] keeps its own folder.")
    process["datasets"] = placed


def _source(dataset: Mapping[str, Any]) -> Any:
    return dataset.get("dataset_path") or dataset.get("folder_path")


def _set_negative_prompts(process: Mapping[str, Any]) -> None:
    """Replace the default `false`, with which AI Toolkit fails at the first sample of SD 1.x and SDXL, by empty text."""
    for section in ("sample", "first_sample"):
        sample = process.get(section)
        if isinstance(sample, dict) and sample.get("neg") in (None, False):
            sample["neg"] = ""
