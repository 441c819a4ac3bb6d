"""Checks the control images of samples; AI Toolkit opens them at the first sample, after the model load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lorapod.datasets.looks.facts import facts_of_image
from lorapod.kinds import VIDEO_SUFFIXES, suffix_of
from lorapod.trainers.ai_toolkit.arch import arch_of_process
from lorapod.trainers.ai_toolkit.datasets import ARCHS_THAT_FAIL_WITHOUT_CONTROL
from lorapod.trainers.ai_toolkit.problems import Problems, shown
from lorapod.trainers.prompt_flags import split_prompt

_PROCESS = "config.process[0]"
_KEYS = ("ctrl_img", "ctrl_img_1", "ctrl_img_2", "ctrl_img_3")


def check_sample_images(process: Mapping[str, Any], problems: Problems) -> None:
    """Add a problem for every invalid control image, and for samples that lack a control image that they need."""
    needs_control = arch_of_process(process) in ARCHS_THAT_FAIL_WITHOUT_CONTROL and not (
        process.get("train") or {}
    ).get("disable_sampling")
    for section in ("sample", "first_sample"):
        sample = process.get(section)
        if not isinstance(sample, Mapping):
            continue
        for field, images in _named(sample, f"{_PROCESS}.{section}"):
            for place, path in images:
                _check(path, place, problems)
            if needs_control and not images:
                problems.add(
                    field,
                    f"needs a control image (--ctrl_img and its path): {arch_of_process(process)} fails without",
                )


def _named(sample: Mapping[str, Any], field: str) -> Iterator[tuple[str, Sequence[tuple[str, Any]]]]:
    """Yield each prompt's field, and the fields and paths of its control images."""
    for number, prompt in enumerate(_list(sample.get("prompts"))):
        place = f"{field}.prompts[{number}]"
        yield place, _flagged(prompt, place)
    for number, entry in enumerate(_list(sample.get("samples"))):
        if isinstance(entry, Mapping):
            place = f"{field}.samples[{number}]"
            images = [(f"{place}.{key}", entry[key]) for key in _KEYS if entry.get(key)]
            yield place, [*images, *_flagged(entry.get("prompt"), f"{place}.prompt")]


def _flagged(prompt: object, field: str) -> Sequence[tuple[str, str]]:
    if not isinstance(prompt, str):
        return []
    return [(field, flag.value) for flag in split_prompt(prompt)[1] if flag.name == "ctrl_img"]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _check(path: object, field: str, problems: Problems) -> None:
    if problems.has(field) or not isinstance(path, str) or suffix_of(path) in VIDEO_SUFFIXES:
        return  # a path that leads out of the workspace, or nowhere, is reported where paths are
    if not Path(path).is_file():
        return
    try:
        facts = facts_of_image(Path(path), Path(path).name, decode_alpha=False)
    except OSError as error:
        problems.add(field, f"{shown(path)!r} cannot be read: {error.strerror}")
        return
    if facts.error:
        problems.add(field, facts.error.rstrip("."))
