"""Training configs to begin with, one YAML file a base model, and the knobs that change them."""

from lorapod.trainers.presets.build import build_config
from lorapod.trainers.presets.preset import Preset, get, names

__all__ = ["Preset", "build_config", "get", "names"]
