"""One run of a tool: read module by module, write module by module, and read the result back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from lorapod.errors import InternalError, InvalidInput
from lorapod.lora_tools.child.factors import NewFactors
from lorapod.lora_tools.child.lora import ADAPTER_METADATA, LoraFile
from lorapod.lora_tools.child.merging import Share, merge
from lorapod.lora_tools.child.naming import Naming, named_as, same_naming
from lorapod.lora_tools.child.resizing import resize
from lorapod.lora_tools.child.writing import LoraWriter
from lorapod.lora_tools.job import PROGRESS, LoraToolAnswer, LoraToolJob
from lorapod.lora_tools.look import LoraLook, look_at
from lorapod.lora_tools.metadata import new_metadata
from lorapod.lora_tools.names import KeyFormat
from lorapod.lora_tools.order import ConvertOrder, MergeOrder, ResizeOrder, lora_order

#: Between two lines of progress.
_TELL_S = 0.5


@dataclass(kw_only=True)
class LoraPlan:
    """The modules of the new LoRA: their names, and how each is made."""

    naming: Naming
    modules: Sequence[str]
    make: Callable[[str], NewFactors]
    key_format: KeyFormat
    warnings: list[str] = field(default_factory=list)


def run(job: LoraToolJob) -> LoraToolAnswer:
    """Make the new LoRA.

    Raises:
        WorkerError: it cannot be made of these.
        OSError: the disk failed.
    """
    order = lora_order(job.kind, job.order)
    loras = [LoraFile.of_file(path) for path in job.sources]
    looks = [look_at(path) for path in job.sources]
    if isinstance(order, MergeOrder):
        plan = _merging(order, loras, looks)
    elif isinstance(order, ResizeOrder):
        plan = _resizing(order, loras[0], looks[0])
    else:
        plan = _converting(order, loras[0], looks[0])
    metadata = new_metadata([lora.metadata for lora in loras], job.notes, without={ADAPTER_METADATA})
    energy = kept = 0.0
    cut = False
    with LoraWriter(
        job.target,
        modules=plan.modules,
        style=plan.naming.style,
        alphas=plan.naming.alphas,
        metadata=metadata,
    ) as writer:
        for module in _told(plan.modules):
            new = plan.make(module)
            _check(module, new)
            writer.add(module, new.factors)
            if new.kept is not None and new.energy is not None:
                cut, energy, kept = True, energy + new.energy, kept + new.kept
        rank = max(writer.ranks.values())
        writer.finish({"ss_network_dim": str(rank), "ss_network_alpha": str(float(rank))})
    _read_back(job, writer.ranks)
    return LoraToolAnswer(
        rank=rank,
        modules=len(plan.modules),
        kept_energy=round(kept / energy if energy else 1.0, 6) if cut else None,
        key_format=plan.key_format.value,
        dtypes=sorted(writer.dtypes),
        warnings=plan.warnings,
    )


def _merging(order: MergeOrder, loras: Sequence[LoraFile], looks: Sequence[LoraLook]) -> LoraPlan:
    torch.manual_seed(order.seed)
    first = same_naming(loras[0], looks[0])
    names = [first, *(_alike(looks[0], lora, look) for lora, look in zip(loras[1:], looks[1:], strict=True))]
    weighted = [
        (naming.source, set(naming.source.modules), source.weight)
        for naming, source in zip(names, order.loras, strict=True)
        if source.weight
    ]
    modules = list(dict.fromkeys(module for source, _, _ in weighted for module in source.modules))

    def make(module: str) -> NewFactors:
        shares = [
            Share(factors=source.factors(module), weight=weight)
            for source, known, weight in weighted
            if module in known
        ]
        return merge(module, shares, order)

    return LoraPlan(naming=first, modules=modules, make=make, key_format=looks[0].key_format)


def _alike(first: LoraLook, lora: LoraFile, look: LoraLook) -> Naming:
    """Return a LoRA under the names of the first one."""
    if look.key_format is first.key_format:
        return same_naming(lora, look)
    return named_as(first.key_format, lora, look)


def _resizing(order: ResizeOrder, lora: LoraFile, look: LoraLook) -> LoraPlan:
    naming = same_naming(lora, look)
    return LoraPlan(
        naming=naming,
        modules=naming.source.modules,
        make=lambda module: resize(naming.source.factors(module), order),
        key_format=look.key_format,
    )


def _converting(order: ConvertOrder, lora: LoraFile, look: LoraLook) -> LoraPlan:
    naming = named_as(order.format, lora, look)
    return LoraPlan(
        naming=naming,
        modules=naming.source.modules,
        make=lambda module: NewFactors(factors=naming.source.factors(module)),
        key_format=order.format,
        warnings=list(naming.warnings),
    )


def _told(modules: Sequence[str]) -> Iterator[str]:
    """Yield the modules, and write a line now and then."""
    due_s = 0.0
    for number, module in enumerate(modules):
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + _TELL_S
            _say(number, len(modules))
        yield module
    _say(len(modules), len(modules))


def _say(done: int, total: int) -> None:
    print(f"{PROGRESS}{done} of {total}", flush=True)  # noqa: T201 - stdout is the way to the worker


def _check(module: str, new: NewFactors) -> None:
    """Refuse what the number format cannot hold."""
    factors = new.factors
    if not all(bool(torch.isfinite(tensor.float().sum())) for tensor in (factors.down, factors.up)):
        raise InvalidInput(
            f"The values of {module} are too large for {str(factors.dtype).removeprefix('torch.')}.",
            hint="Give smaller weights.",
        )


def _read_back(job: LoraToolJob, ranks: Mapping[str, int]) -> None:
    """Read the new file as its users will.

    Raises:
        InternalError: it is not what was written.
    """
    new = LoraFile.of_file(job.target)
    if look_at(job.target).modules.keys() != ranks.keys():
        raise InternalError("The new LoRA has other modules than were written.")
    for module in new.modules:
        if new.factors(module).rank != ranks[module]:
            raise InternalError(f"The new LoRA has another rank than was written, in {module}.")
