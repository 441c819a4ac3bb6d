"""Check what can be checked of an order before it runs: by the headers of its LoRAs, in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lorapod import weights
from lorapod.errors import InvalidInput, NotFound, Unsupported
from lorapod.kinds import suffix_of
from lorapod.lora_tools.look import LoraLook, look_at, refuse_strangers
from lorapod.lora_tools.names import KeyFormat
from lorapod.lora_tools.order import ConvertOrder, LoraToolOrder, MergeMethod, MergeOrder, ResizeOrder
from lorapod.models.kinds import ModelKind
from lorapod.models.placing import name_parts, target_of
from lorapod.workspace import Workspace


def target_for(workspace: Workspace, name: str) -> Path:
    """Return the file of a new LoRA; its name may have folders and the suffix.

    Raises:
        InvalidInput: it is not a plain name.
        UnsafePath: its folder is a link that leads out of the models.
    """
    whole = name if suffix_of(name) == weights.SUFFIX else f"{name}{weights.SUFFIX}"
    target = target_of(workspace, ModelKind.LORA, name_parts(whole))
    if not target.parent.resolve().is_relative_to(workspace.models):
        raise InvalidInput(
            f"name: {name!r} is in a folder that shows the outputs of trainings.", hint="Give another `name`."
        )
    return target


def looks_of(workspace: Workspace, order: LoraToolOrder) -> Sequence[LoraLook]:
    """Look at the LoRAs of an order, and refuse what cannot be done with them.

    Raises:
        WorkerError: it is refused.
    """
    paths = [source_path(workspace, source.path) for source in order.sources]
    looks = [look_at(path) for path in paths]
    if isinstance(order, MergeOrder):
        _check_merge(order, looks, paths)
    elif isinstance(order, ResizeOrder):
        _check_resize(order, looks[0])
    return looks


def source_path(workspace: Workspace, text: str) -> Path:
    """Return the file of a source.

    Raises:
        NotFound: it is gone.
        UnsafePath: it is outside the workspace.
    """
    path = workspace.safe_path(text)
    if not path.is_file():
        raise NotFound(f"There is no LoRA {text}.", hint="`lora` lists those that are there.")
    return path


def warnings_of(order: LoraToolOrder, looks: Sequence[LoraLook]) -> list[str]:
    """Return what its caller should know."""
    warnings: list[str] = []
    if isinstance(order, MergeOrder):
        warnings += [
            f"{look.name} has the weight 0: it adds nothing."
            for look, source in zip(looks, order.loras, strict=True)
            if not source.weight
        ]
        if order.method is MergeMethod.LINEAR and len(order.loras) > 1:
            warnings.append(
                "`linear` adds up the matrices themselves: a good merge only of LoRAs that began from the same weights. "
                "`cat` and `svd` add up the effects."
            )
    if isinstance(order, ConvertOrder) and looks[0].key_format is order.format is not KeyFormat.OTHER:
        warnings.append(f"{looks[0].name} has the names of {order.format} already: this only copies it.")
    return warnings


def _check_merge(order: MergeOrder, looks: Sequence[LoraLook], paths: Sequence[Path]) -> None:
    seen: set[Path] = set()
    for path, source in zip(paths, order.loras, strict=True):
        if path in seen:
            total = sum(other.weight for other, its in zip(order.loras, paths, strict=True) if its == path)
            raise InvalidInput(
                f"loras: {source.path} is there twice.", hint=f"Give it once, with the weight {total:g}."
            )
        seen.add(path)
    if not any(source.weight for source in order.loras):
        raise InvalidInput("loras: every weight is 0: nothing would be left.")
    for look in looks:
        if look.dora:
            raise Unsupported(
                f"{look.name} is a DoRA: its effect depends on the base model's weights, so it cannot be merged."
            )
    refuse_strangers(looks)


def _check_resize(order: ResizeOrder, look: LoraLook) -> None:
    if order.rank is not None and order.rank >= look.rank:
        raise InvalidInput(
            f"rank: {look.name} has the rank {look.rank}; {order.rank} is not smaller.",
            hint="Give a smaller rank.",
        )
