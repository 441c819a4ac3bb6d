"""Refuse a training that the machine cannot hold, or that would take days on a processor, and name the way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorapod.errors import GpuUnavailable, InsufficientMemory
from lorapod.trainers.fit.duration import cpu_duration_s, spoken
from lorapod.trainers.fit.memory import MemoryNeed, bits_of, memory_need

#: A training on a processor that takes longer than this is refused.
CPU_LIMIT_S: Final = 86_400.0

_PROCESS: Final = "config.process[0]"
_FORCE: Final = "`force: true` starts it anyway"

Process = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class WayOut:
    """Another way to train the same: a field of the request with its value, and the process that comes of it."""

    field: str
    value: str
    process: Process
    #: Which of the settings that save memory it has, for people.
    explanation: str = ""

    def __str__(self) -> str:
        """Return it as a hint names it."""
        return f"`{self.field}: {self.value}`{f' ({self.explanation})' if self.explanation else ''}"


def check_gpu_memory(
    process: Process, gpu_memory_bytes: int, *, tiers: Sequence[WayOut] = (), can_quantise: bool = True
) -> None:
    """Refuse a process that needs more memory than the GPU has; one whose need is not known passes.

    Args:
        process: the config's process.
        gpu_memory_bytes: memory of the GPU.
        tiers: the preset's tiers with the same knobs, the smallest first; without a preset, none.
        can_quantise: whether the trainer can hold weights in fewer bits and outside the GPU.

    Raises:
        InsufficientMemory: it names what would fit.
    """
    need = memory_need(process)
    if need is None or need.total <= gpu_memory_bytes:
        return
    changes = _changes(process, can_quantise=can_quantise)
    if tiers:
        changes = [(_KNOBS[place], value, change) for place, value, change in changes if place in _KNOBS]
    else:
        changes = [(f"{_PROCESS}.{place}", value, change) for place, value, change in changes]
    ways = [way for way in tiers if _fits(way.process, gpu_memory_bytes)][-1:]
    ways += _single(changes, process, gpu_memory_bytes)[: 3 - len(ways)]
    ways = ways or _together(changes, process, gpu_memory_bytes)
    has = f"{gpu_memory_bytes / 1e9:.0f} GB"
    size = f"{need.total / 1e9:.0f} GB"
    if size == has:
        has, size = f"{gpu_memory_bytes / 1e9:.1f} GB", f"{need.total / 1e9:.1f} GB"
    raise InsufficientMemory(
        f"This training needs about {size} of GPU memory, and this worker's GPU has {has}.",
        hint=_hint(ways, need),
        details=[{"field": way.field, "error": f"{way.value} would fit"} for way in ways]
        or [{"field": f"{_PROCESS}.model", "error": f"needs a GPU with about {size}"}],
    )


def check_cpu_time(process: Process, cores: int) -> None:
    """Refuse a process that would train for more than a day on a processor.

    Raises:
        GpuUnavailable: it says how long.
    """
    duration_s = cpu_duration_s(process, cores)
    if duration_s is None or duration_s <= CPU_LIMIT_S:
        return
    steps = process.get("train", {}).get("steps", 1000)
    raise GpuUnavailable(
        f"This worker has no GPU: {steps} steps would take about {spoken(duration_s)} on its {cores} processor cores.",
        hint="Take a machine with a GPU, or fewer steps and a smaller resolution. The time is a rule of thumb "
        f"(multiply-adds of the model by pixels and steps); {_FORCE}.",
        details=[{"field": f"{_PROCESS}.train.steps", "error": f"about {spoken(duration_s)} without a GPU"}],
    )


def savings_of(process: Process) -> str:
    """Return which of the settings that save memory a process has."""
    model, train = process.get("model", {}), process.get("train", {})
    found = []
    if model.get("quantize"):
        found.append(f"weights in {bits_of(str(model.get('qtype') or 'qfloat8')):.0f} bits")
    if model.get("low_vram"):
        found.append("low_vram")
    if model.get("layer_offloading"):
        found.append("layer_offloading")
    if train.get("cache_text_embeddings"):
        found.append("cache_text_embeddings")
    return ", ".join(found)


def _hint(ways: Sequence[WayOut], need: MemoryNeed) -> str:
    basis = f"The need is a rule of thumb (parameters by bytes, and activations): {need.explained()}"
    if not ways:
        return f"Take a larger GPU. {basis}; {_FORCE}."
    return f"Set {', or '.join(map(str, ways))}, or take a larger GPU. {basis}; {_FORCE}."


def _fits(process: Process, gpu_memory_bytes: int) -> bool:
    need = memory_need(process)
    return need is not None and need.total <= gpu_memory_bytes


#: A place in the process, a value for it, and the process with it.
Change = tuple[str, str, Callable[[Process], Process]]

#: The knobs of `train` that set a place.
_KNOBS: Final = {
    "train.batch_size": "batch_size",
    "datasets[].resolution": "resolution",
    "datasets[].num_frames": "num_frames",
    "model.low_vram": "low_vram",
    "model.quantize": "quantize",
}

#: Architectures that AI Toolkit holds in 16 bits only.
_NEVER_QUANTISED: Final = frozenset({"sd1", "sd2", "sdxl", "ssd", "vega"})


def _changes(process: Process, *, can_quantise: bool) -> list[Change]:
    """Return the changes that save memory, the gentlest first."""
    found: list[Change] = [
        ("train.batch_size", "1", lambda process: _with(process, "train", batch_size=1)),
        ("datasets[].resolution", "512", lambda process: _with_datasets(process, resolution=512)),
    ]
    if any((dataset or {}).get("num_frames", 1) != 1 for dataset in process.get("datasets") or []):
        found.append(("datasets[].num_frames", "17", lambda process: _with_datasets(process, num_frames=17)))
    arch = str((process.get("model") or {}).get("arch") or "sd1").partition(":")[0]
    if can_quantise and arch not in _NEVER_QUANTISED:
        found += [
            ("model.quantize", "true", lambda process: _with(process, "model", quantize=True)),
            (
                "train.cache_text_embeddings",
                "true",
                lambda process: _with(process, "train", cache_text_embeddings=True),
            ),
            ("model.low_vram", "true", lambda process: _with(process, "model", low_vram=True)),
            (
                "model.qtype",
                "uint4",
                lambda process: _with(process, "model", quantize=True, qtype="uint4"),
            ),
        ]
    return found


def _single(changes: Sequence[Change], process: Process, gpu_memory_bytes: int) -> list[WayOut]:
    """Return the single changes that make the process fit."""
    return [
        WayOut(field=place, value=value, process=changed)
        for place, value, change in changes
        if _fits(changed := change(process), gpu_memory_bytes)
    ]


def _together(changes: Sequence[Change], process: Process, gpu_memory_bytes: int) -> list[WayOut]:
    """Return the first changes that make the process fit together, as one way; none if all do not."""
    kept: list[str] = []
    for place, value, change in changes:
        before, process = memory_need(process), change(process)
        after = memory_need(process)
        if before is not None and after is not None and after.total < before.total:
            kept.append(f"{place}: {value}")
        if kept and _fits(process, gpu_memory_bytes):
            field, _, first = kept[0].partition(": ")
            explanation = f"with {', '.join(kept[1:])}" if kept[1:] else ""
            return [WayOut(field=field, value=first, process=process, explanation=explanation)]
    return []


def _with(process: Process, section: str, **changes: Any) -> Process:
    return {**process, section: {**(process.get(section) or {}), **changes}}


def _with_datasets(process: Process, **changes: Any) -> Process:
    return {**process, "datasets": [{**dataset, **changes} for dataset in process.get("datasets") or [{}]]}
