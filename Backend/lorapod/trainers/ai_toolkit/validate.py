"""Finds mistakes in a config before a start that AI Toolkit would find late or never.

A config is refused only if it is sure to fail, or to train something else than it says; each check tells what AI Toolkit
0.12.26 does with the mistake.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lorapod.trainers.ai_toolkit.datasets import check_datasets
from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.trainers.ai_toolkit.sample_images import check_sample_images
from lorapod.trainers.ai_toolkit.vocabulary import STANDARD_TYPES, Vocabulary
from lorapod.wire.validation import nearest

_PROCESS = "config.process[0]"

#: Whole numbers with their minimum.
_WHOLE = (
    ("train", "steps", 1),
    ("train", "batch_size", 1),
    ("train", "gradient_accumulation", 1),
    ("train", "gradient_accumulation_steps", -1),
    ("save", "max_step_saves_to_keep", 0),
    ("sample", "width", 1),
    ("sample", "height", 1),
    ("sample", "sample_steps", 1),
)
_WHOLE_OR_NONE = (("network", "linear", 1), ("network", "rank", 1), ("network", "conv", 1))
#: Intervals in steps; 0 and null mean never.
_INTERVALS = (("save", "save_every"), ("sample", "sample_every"), ("logging", "log_every"))
#: Process types that train on `datasets`; without one, sliders fail at the first step. Others have sections of their own.
_LEARN_FROM_DATASETS = STANDARD_TYPES | {"concept_slider", "concept_replacer"}
_RATES = ("lr", "unet_lr", "text_encoder_lr")


def validate_config(config: Mapping[str, Any], known: Vocabulary, problems: Problems) -> None:
    """Add a problem for every mistake in a prepared config, whose paths are already resolved."""
    process = config["config"]["process"][0]
    check_model(process.get("model"), known, problems)
    _check_numbers(process, problems)
    _check_samples(process, problems)
    if process.get("type") in _LEARN_FROM_DATASETS:
        check_datasets(process, problems)
        _check_resolutions(process, problems)
    check_sample_images(process, problems)


def check_model(model: Mapping[str, Any] | None, known: Vocabulary, problems: Problems) -> None:
    """Check the model; AI Toolkit finds a missing one after 10 s, and trains an unknown arch as SD 1.x."""
    model = model or {}
    if not isinstance(model.get("name_or_path"), str) or not model["name_or_path"]:
        problems.add(
            f"{_PROCESS}.model.name_or_path", "is required: a path in the workspace or a HuggingFace id"
        )
    arch = model.get("arch")
    if arch is None:
        return
    # AI Toolkit's own UI writes `arch:tag`; AI Toolkit ignores the tag.
    if not isinstance(arch, str) or arch.split(":")[0] not in known.archs:
        problems.add(
            f"{_PROCESS}.model.arch",
            f"{_unknown('architecture', arch, known.archs)}; AI Toolkit would silently train it as SD 1.5",
        )


def _check_numbers(process: Mapping[str, Any], problems: Problems) -> None:
    """Check numbers; AI Toolkit finds one in quotes when it first uses it, as late as at the first checkpoint."""
    for section, key, least in (*_WHOLE, *_WHOLE_OR_NONE):
        values = process.get(section) or {}
        optional = (section, key, least) in _WHOLE_OR_NONE
        if key not in values or (optional and values[key] is None):
            continue
        number = values[key]
        if problems.has(f"{_PROCESS}.{section}.{key}"):
            continue
        if type(number) is not int or number < least:
            problems.add(f"{_PROCESS}.{section}.{key}", _wrong_number("a whole number", least, number))
    for section, key in _INTERVALS:
        number = (process.get(section) or {}).get(key)
        if problems.has(f"{_PROCESS}.{section}.{key}"):
            continue
        if number not in (None, False) and (not isinstance(number, int | float) or number < 0):
            problems.add(f"{_PROCESS}.{section}.{key}", _wrong_number("a number of steps", 0, number))
    for key in _RATES:
        rate = (process.get("train") or {}).get(key)
        if rate is not None and not problems.has(f"{_PROCESS}.train.{key}") and not _is_rate(rate):
            problems.add(f"{_PROCESS}.train.{key}", _wrong_number("a number", 0, rate))


def _is_rate(rate: object) -> bool:
    try:
        return not isinstance(rate, bool) and isinstance(rate, int | float | str) and float(rate) >= 0
    except ValueError:
        return False


def _wrong_number(kind: str, least: int, number: object) -> str:
    quotes = "; remove the quotes" if isinstance(number, str) and number.strip().isdigit() else ""
    return f"{_quoted(number)} is not {kind} of at least {least}{quotes}"


def _quoted(value: object) -> str:
    return repr(shown(value)) if isinstance(value, str) else shown(value)


def _check_samples(process: Mapping[str, Any], problems: Problems) -> None:
    """Check the samples; AI Toolkit fails at the first one that is not text, after the model load."""
    for section in ("sample", "first_sample"):
        sample = process.get(section) or {}
        if not isinstance(sample.get("neg", ""), str) and not problems.has(f"{_PROCESS}.{section}.neg"):
            problems.add(f"{_PROCESS}.{section}.neg", "is not text")
        for key, kind in (("prompts", str), ("samples", dict)):
            entries = sample.get(key, [])
            if problems.has(f"{_PROCESS}.{section}.{key}"):
                continue
            if not isinstance(entries, list) or not all(isinstance(entry, kind) for entry in entries):
                what = "texts" if kind is str else "mappings, each with a prompt"
                problems.add(f"{_PROCESS}.{section}.{key}", f"is not a list of {what}")


def _check_resolutions(process: Mapping[str, Any], problems: Problems) -> None:
    for place, dataset in enumerate(process.get("datasets") or []):
        field = f"{_PROCESS}.datasets[{place}]"
        if not problems.has(f"{field}.resolution"):
            _check_resolution(dataset.get("resolution", 512), field, problems)


def _check_resolution(resolution: object, field: str, problems: Problems) -> None:
    sizes = resolution if isinstance(resolution, list) else [resolution]
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        problems.add(
            f"{field}.resolution", f"{_quoted(resolution)} is neither a size in pixels nor a list of sizes"
        )


def check_text(config: Mapping[str, Any], problems: Problems) -> None:
    """Refuse `${NAME}`: AI Toolkit replaces it from the environment, prints the result, and has no way to escape it."""
    tagged: list[str] = []
    for field, text in _texts(config, ""):
        if "${" in text:
            problems.add(
                field, "has ${...}, which AI Toolkit replaces from the environment; write the value itself"
            )
        if "[name]" in text and not field.startswith("meta."):
            tagged.append(field)
    if tagged:
        problems.warn(
            f"AI Toolkit replaces [name] by config.name in {', '.join(shown(field) for field in tagged[:5])}."
        )


def _texts(value: Any, field: str) -> Iterator[tuple[str, str]]:
    """Yield every text below `value`, keys included, with its path."""
    if isinstance(value, str):
        yield field, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            path = f"{field}.{key}" if field else key
            yield path, key
            yield from _texts(inner, path)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{field}[{place}]")


def _unknown(what: str, word: object, known: Iterable[str]) -> str:
    meant = nearest(word, known) if isinstance(word, str) else None
    return f"unknown {what} {shown(word)!r}{f', did you mean {meant!r}?' if meant else ''}"
