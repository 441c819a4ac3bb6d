"""What decides the speed of a training, from its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lorapod.trainers.fit import ModelSize, size_of
from lorapod.trainers.fit.sizes import arch_of


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One step of a training; trainings of equal workloads are equally fast on equal GPUs."""

    trainer: str
    arch: str
    #: Millions of parameters of what is trained; None if unknown. Models of one architecture differ in size.
    parameters: int | None
    #: Sides of the images in pixels, each once, in order.
    resolutions: tuple[int, ...]
    #: Images of a batch, counted with the latent frames of videos and with control images.
    images: int
    #: Batches of a step.
    accumulation: int = 1
    #: The format that the weights are held in, if it is not that of the training.
    quantized: str | None = None
    gradient_checkpointing: bool = True
    #: Whether weights are fetched from the main memory while it trains.
    offloading: bool = False

    @property
    def pixels(self) -> float:
        """Pixels that a step learns from, on average."""
        area = sum(float(side) ** 2 for side in self.resolutions) / len(self.resolutions)
        return area * self.images * self.accumulation

    def same_method(self, other: Workload) -> bool:
        """Return whether the other differs in images and batches only."""
        return _method(self) == _method(other)


def _method(workload: Workload) -> tuple[object, ...]:
    return (workload.quantized, workload.gradient_checkpointing, workload.offloading)


def workload_of(trainer: str, config: Mapping[str, Any]) -> Workload | None:
    """Return the workload of a config in AI Toolkit's form; None if it names no model or has invalid numbers."""
    process = process_of(config)
    if process is None:
        return None
    model, train = process["model"], process["train"]
    arch = arch_of(model)
    if arch is None:
        return None
    batch, accumulation = train.get("batch_size", 1), train.get("gradient_accumulation", 1)
    if not _counts(batch) or not _counts(accumulation):
        return None
    datasets = [each for each in _listed(process.get("datasets")) if isinstance(each, Mapping)]
    sides = {side for dataset in datasets for side in _sides(dataset)} or {512}
    size = size_of(model)
    frames = max((_frames(dataset, size) for dataset in datasets), default=1)
    return Workload(
        trainer=trainer,
        arch=arch,
        parameters=None if size is None else max(1, round(size.parameters)),
        resolutions=tuple(sorted(sides)),
        images=batch * frames,
        accumulation=accumulation,
        quantized=str(model.get("qtype") or "qfloat8") if model.get("quantize") else None,
        gradient_checkpointing=bool(train.get("gradient_checkpointing", True)),
        offloading=bool(model.get("low_vram") or model.get("layer_offloading")),
    )


def process_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the process of a config, with a `train` section; None if it has no process with a model."""
    match config:
        case {"config": {"process": [{"model": {}} as process, *_]}}:
            train = process.get("train")
            return {**process, "train": train if isinstance(train, Mapping) else {}}
    return None


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _sides(dataset: Mapping[str, Any]) -> Sequence[int]:
    return [round(side) for side in _listed(dataset.get("resolution", 512)) if _is_side(side)]


def _is_side(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value < 100_000


def _frames(dataset: Mapping[str, Any], size: ModelSize | None) -> int:
    """Return the latent frames of one item, with its control images."""
    frames, of_one = dataset.get("num_frames", 1), 1 if size is None else size.frames
    latent = 1 + (frames - 1) // of_one if _counts(frames) else 1
    return latent + len([path for path in _listed(dataset.get("control_path")) if path])


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
