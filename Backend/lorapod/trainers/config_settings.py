"""The settings of a config that people compare, and its sample prompts; for answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lorapod.errors import InvalidInput
from lorapod.trainers.prompt_flags import sample_prompts
from lorapod.volume.shown_config import ShownConfig
from lorapod.wire.training_settings import TrainingSettings
from lorapod.yaml_config.text import parse_config

#: Configs that are kept parsed: `process_status` asks for the same one every few seconds.
_KEPT = 64


@dataclass(frozen=True, kw_only=True)
class ConfigSummary:
    """What answers show of a config."""

    settings: TrainingSettings
    prompts: Sequence[str]
    #: The kind of network that it trains, e.g. `lora`; None if it trains the whole model.
    network: str | None


def read_summary(path: Path) -> ConfigSummary | None:
    """Return the summary of a config file; None if there is no such file, or no config in it.

    Raises:
        OSError: it cannot be read now.
    """
    try:
        status = path.stat()
        return _read(path, status.st_mtime_ns, status.st_size)
    except (FileNotFoundError, InvalidInput, UnicodeDecodeError):
        return None


def read_shown(path: Path) -> ShownConfig | None:
    """Return what answers show of a config file, which is there from the beginning of the first run on.

    Raises:
        OSError: it cannot be read now.
    """
    summary = read_summary(path)
    if summary is None:
        return None
    return ShownConfig(settings=summary.settings, sample_prompts=summary.prompts)


def shown_of(config: Mapping[str, Any]) -> ShownConfig:
    """Return what answers show of a config."""
    return ShownConfig(settings=settings_of(config), sample_prompts=sample_prompts(config))


@lru_cache(maxsize=_KEPT)
def _read(path: Path, _mtime_ns: int, _size_bytes: int) -> ConfigSummary:
    config = parse_config(path.read_text("utf-8"))
    return ConfigSummary(
        settings=settings_of(config), prompts=sample_prompts(config), network=_network(config)
    )


def settings_of(config: Mapping[str, Any]) -> TrainingSettings:
    """Return the settings of the first process in a config of AI Toolkit's format; what it does not say is left out."""
    match config:
        case {"config": {"process": [dict(process), *_]}}:
            pass
        case _:
            return TrainingSettings()
    network, train, model = (_section(process, name) for name in ("network", "train", "model"))
    return TrainingSettings(
        learning_rate=_number(train.get("lr")),
        rank=_whole(network.get("linear", network.get("rank"))),
        alpha=_number(network.get("linear_alpha", network.get("alpha"))),
        batch_size=_whole(train.get("batch_size")),
        resolution=_resolution(process.get("datasets")),
        optimizer=_text(train.get("optimizer")),
        arch=_text(model.get("arch")),
    )


def _network(config: Mapping[str, Any]) -> str | None:
    match config:
        case {"config": {"process": [{"network": dict(network)}, *_]}}:
            return _text(network.get("type", "lora"))
    return None


def _section(process: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = process.get(name)
    return section if isinstance(section, Mapping) else {}


def _resolution(datasets: Any) -> list[int]:
    sides: set[int] = set()
    for dataset in datasets if isinstance(datasets, list) else ():
        value = dataset.get("resolution") if isinstance(dataset, Mapping) else None
        sides |= {
            side
            for each in (value if isinstance(value, list) else [value])
            if (side := _whole(each)) is not None
        }
    return sorted(sides)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
