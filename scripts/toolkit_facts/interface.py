"""What AI Toolkit's own web interface offers: models with their defaults, choices, and a whole default config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from toolkit_facts.checkout import Checkout
from toolkit_facts.literals import Literals

_FOLDER = "ui/src/app/jobs/new"
_PROCESS = "config.process[0]."
_CONSTANT = re.compile(r"^const (\w+) = ('[^']*'|-?\d+(?:\.\d+)?);$", re.MULTILINE)
_SELECT = re.compile(
    r"setJobConfig\(value, '" + re.escape(_PROCESS) + r"([\w.]+)'\)\}\s*options=\{\[(.*?)\]\}", re.DOTALL
)
_OPTION = re.compile(r"value: '([^']+)'")


def models(checkout: Checkout) -> dict[str, dict[str, Any]]:
    """Return the interface's models by their names, which may have a tag (`zimage:turbo`).

    Each has a `label`, a `group`, the `defaults` that it sets in a config, below `config.process[0]`, the page where
    the licence is accepted (`gate`), and the `recovery_adapters` by the number of bits.
    """
    source = checkout.text(f"{_FOLDER}/options.tsx")
    constants = {
        name: text.strip("'") if text.startswith("'") else float(text) if "." in text else int(text)
        for name, text in _CONSTANT.findall(source)
    }
    found: dict[str, dict[str, Any]] = {}
    for entry in Literals(source, constants).after("export const modelArchs: ModelArch[] = "):
        model: dict[str, Any] = {"label": entry["label"], "group": entry["group"]}
        model["defaults"] = {
            key.removeprefix(_PROCESS): value[0]
            for key, value in (entry.get("defaults") or {}).items()
            if isinstance(value, list) and value[0] is not None
        }
        if entry.get("gateUrl"):
            model["gate"] = entry["gateUrl"]
        if entry.get("accuracyRecoveryAdapters"):
            model["recovery_adapters"] = entry["accuracyRecoveryAdapters"]
        if entry.get("isVideoModel"):
            model["video"] = True
        if sections := entry.get("additionalSections"):
            model["sections"] = sorted(section for section in sections if section is not None)
        found[entry["name"]] = model
    return found


def offered(checkout: Checkout) -> Iterator[tuple[str, str]]:
    """Yield the values that the form offers, each with the place of its key below the process."""
    for place, options in _SELECT.findall(checkout.text(f"{_FOLDER}/SimpleJob.tsx")):
        for value in _OPTION.findall(options):
            yield place, value
    source = checkout.text(f"{_FOLDER}/options.tsx")
    for option in Literals(source).after("export const quantizationOptions: SelectOption[] = "):
        for key in ("qtype", "qtype_te"):
            yield f"model.{key}", option["value"]


def default_config(checkout: Checkout) -> dict[str, Any]:
    """Return the config with which the form begins."""
    source = checkout.text(f"{_FOLDER}/jobConfig.ts")
    dataset = Literals(source).after("export const defaultDatasetConfig: DatasetConfig = ")
    slider = Literals(source).after("export const defaultSliderConfig: SliderConfig = ")
    constants = {"defaultDatasetConfig": dataset, "defaultSliderConfig": slider}
    config: dict[str, Any] = Literals(source, constants).after("export const defaultJobConfig: JobConfig = ")
    return config
