"""Training configs to start from, one YAML file for each base model, and the knobs that change them."""

from lorapod.trainers.presets.preset import Preset, build_config, get, names

__all__ = ["Preset", "build_config", "get", "names"]
