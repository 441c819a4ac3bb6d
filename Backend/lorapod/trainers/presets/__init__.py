"""Training configs to begin with, one YAML file a base model, and the knobs that change them."""

from lorapod.trainers.presets.preset import Preset, build_config, get, names

__all__ = ["Preset", "build_config", "get", "names"]
