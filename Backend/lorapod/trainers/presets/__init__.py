"""Training configs to start from, one YAML file for each base model, and the knobs that change them."""

from lorapod.trainers.presets.building import build_config, knob_of
from lorapod.trainers.presets.preset import Preset, Tier, get, names

__all__ = ["Preset", "Tier", "build_config", "get", "knob_of", "names"]
