"""What a person asks `deploy` for, and what its earlier runs were asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from lorapod.platform.preset_needs import DEFAULT_GPU_GB, PRESET_NEEDS, PresetNeed

#: The lowest CUDA version that a host's driver must have for the images of this release.
IMAGE_CUDA = "13.0"

_VERSION = re.compile(r"\d+\.\d+")


class WrongOption(ValueError):
    """An option cannot be used; `option` is its name on the command line."""

    def __init__(self, option: str, message: str) -> None:
        self.option = option
        super().__init__(message)


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """The options; None: not given, now or earlier."""

    name: str = "lorapod"
    #: None: the image that the endpoint has.
    image: str | None = None
    preset: str | None = None
    gpu_memory: int | None = None
    max_price: float | None = None
    data_center: str | None = None
    volume: str | None = None
    volume_size: int = 100
    max_workers: int = 2
    #: Workers that are always on. None: as many as the endpoint has; a new one has none.
    active_workers: int | None = None
    idle_timeout: int = 60
    timeout_hours: float = 24.0
    min_cuda: str = IMAGE_CUDA
    front_door: bool = False
    front_door_image: str | None = None
    cached_model: str | None = None
    #: Variables of the container. Their values may be secret: they are shown and stored nowhere.
    env: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def need(self) -> PresetNeed | None:
        """Return what the preset needs, if one is named."""
        return None if self.preset is None else PRESET_NEEDS[self.preset]

    @property
    def memory_gb(self) -> int:
        """Return the GPU memory that is needed."""
        if self.gpu_memory is not None:
            return self.gpu_memory
        return DEFAULT_GPU_GB if self.need is None else self.need.gpu_gb

    @property
    def front_door_name(self) -> str:
        """Return the name of the CPU endpoint."""
        return f"{self.name}-front-door"

    def remembered(self) -> dict[str, Any]:
        """Return what the next run needs to know: everything that is not the default, no variable."""
        kept = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name not in _NOT_KEPT and value is not None and value != each.default:
                kept[each.name] = value
        return kept


#: The ids of volume and data center are kept beside the options.
_NOT_KEPT = frozenset({"env", "data_center", "volume", "volume_size"})


def merged_options(given: Mapping[str, Any], remembered: Mapping[str, Any]) -> DeployOptions:
    """Return the options: those given now, else those of the last run, else the defaults.

    Raises:
        WrongOption: there is no such preset, or a remembered value is wrong.
    """
    known = {each.name: each for each in fields(DeployOptions) if each.name not in _NOT_KEPT}
    chosen: dict[str, Any] = {}
    for name, value in remembered.items():
        if name not in known:
            continue
        if type(value) not in _TYPES[name]:
            raise WrongOption("lorapod.toml", f"{name} in [deploy] cannot be {value!r}.")
        chosen[name] = value
    chosen |= {name: value for name, value in given.items() if value is not None}
    if chosen.get("preset") is not None and chosen["preset"] not in PRESET_NEEDS:
        raise WrongOption(
            "--preset", f"there is no preset {chosen['preset']!r}; `lorapod presets` lists them."
        )
    if not _VERSION.fullmatch(chosen.get("min_cuda", IMAGE_CUDA)):
        raise WrongOption("--min-cuda", "it must be a version such as 13.0.")
    if chosen.get("name") == "":
        raise WrongOption("--name", "it is empty.")
    options = DeployOptions(**chosen)
    if (options.active_workers or 0) > options.max_workers:
        raise WrongOption("--active-workers", f"max workers is {options.max_workers}.")
    return options


_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("name", "image", "preset", "min_cuda", "front_door_image", "cached_model"), (str,)),
    **dict.fromkeys(("gpu_memory", "max_workers", "active_workers", "idle_timeout"), (int,)),
    **dict.fromkeys(("max_price", "timeout_hours"), (int, float)),
    "front_door": (bool,),
}
