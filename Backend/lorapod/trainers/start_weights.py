"""The LoRA that a training begins with: checked before the start, kept for the process, named in the config.

An order's `start_from` has its `path` relative to the workspace, and if a training of the workspace made it, `process_id`,
`step` and what that training's config said of it: `arch`, `alpha` and `network`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.processes.order import TrainingOrder
from lorapod.trainers.checkpoints import step_to_resume
from lorapod.trainers.model_lines import line_of_arch, line_of_model, line_of_notes
from lorapod.trainers.port import StartWeights, TrainingPlan
from lorapod.weights import WeightsHeader, read_header
from lorapod.workspace import Workspace

FILE_NAME = "start_from.safetensors"
_FIELD = "start_from"
#: Those of both trainers.
_DEFAULT_RANK, _DEFAULT_ALPHA = 4, 1.0
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


@dataclass(frozen=True, kw_only=True)
class ParentLora:
    """The LoRA that one process begins with."""

    #: The process's own link to the file, made when it first runs: the source may be removed meanwhile.
    kept: Path
    source: Path
    #: The order's `start_from`.
    said: Mapping[str, Any]

    @classmethod
    def of(cls, order: TrainingOrder, process_id: str, workspace: Workspace) -> Self | None:
        """Return what the order begins with, or None if that is fresh weights."""
        if order.start_from is None:
            return None
        return cls(
            kept=workspace.process_folder(process_id) / FILE_NAME,
            source=workspace.root / order.start_from["path"],
            said=order.start_from,
        )

    @property
    def weights(self) -> StartWeights:
        """What its trainer gets."""
        names = ("process_id", "step")
        known = {name: self.said[name] for name in names if self.said.get(name) is not None}
        return StartWeights(path=self.kept, parent={**known, "file": self.source.name})

    @property
    def shown(self) -> Mapping[str, Any]:
        """What answers say of it."""
        return {
            name: self.said[name]
            for name in ("path", "process_id", "step")
            if self.said.get(name) is not None
        }

    def check(self, plan: TrainingPlan) -> Sequence[str]:
        """Compare it with what the plan trains, and return warnings; a training that has begun no longer needs it.

        Raises:
            NotFound: the file is gone.
            InvalidInput: it does not fit the config; `details` has every reason.
        """
        if step_to_resume(plan.run_folder, plan.name) is not None:
            return ()
        header = _whole(self.kept if self.kept.exists() else self.source)
        network, model = _sections(plan.config)
        problems = [*_network_problems(header, self.said, network), *_line_problems(header, self.said, model)]
        if problems:
            raise InvalidInput(
                " ".join(f"{_FIELD}: {problem}." for problem in problems),
                hint="Change the config to what the LoRA has, or begin without it.",
                details=[{"field": _FIELD, "error": problem} for problem in problems],
            )
        if _line(header, self.said) is None:
            return [
                f"{_FIELD}: {self.source.name} does not say which base model it is for, so the worker cannot check that."
            ]
        return ()

    def keep(self) -> None:
        """Link the file into the process's folder, once.

        Raises:
            OSError: it is gone, or the disk is full.
        """
        if self.kept.exists():
            return
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            try:
                self.kept.hardlink_to(self.source)
            except (FileNotFoundError, FileExistsError):
                raise
            except OSError:
                # A volume without hard links.
                staged = self.kept.with_name(f".{FILE_NAME}.tmp")
                shutil.copyfile(self.source, staged)
                staged.replace(self.kept)


def begin_with(config: dict[str, Any], start: StartWeights) -> None:
    """Name the weights in a config of AI Toolkit's format, and their parent in the metadata of what it will save.

    Raises:
        InvalidInput: the config trains no LoRA, or names other weights to begin with.
    """
    network = config["config"]["process"][0].get("network")
    if not isinstance(network, dict):
        raise InvalidInput(
            f"{_FIELD}: the config trains no LoRA.",
            details=[{"field": _FIELD, "error": "goes with a config that has a network"}],
        )
    if network.get("pretrained_lora_path"):
        raise InvalidInput(
            f"{_FIELD}: the config has network.pretrained_lora_path already; give one of them.",
            details=[{"field": _FIELD, "error": "goes without network.pretrained_lora_path"}],
        )
    network["pretrained_lora_path"] = str(start.path)
    config["meta"] = {**(config.get("meta") or {}), _FIELD: dict(start.parent)}


def _whole(path: Path) -> WeightsHeader:
    try:
        header = read_header(path)
    except NotFound:
        raise NotFound(
            f"{_FIELD}: the LoRA {path.name} is gone.", hint="`lora` lists the LoRAs of the workspace."
        ) from None
    except WorkerError as error:
        raise InvalidInput(
            f"{_FIELD}: {error.message}", details=[{"field": _FIELD, "error": error.message}]
        ) from None
    problem = (
        "is cut off; take another checkpoint"
        if not header.whole
        else None
        if header.is_lora
        else "is no LoRA"
    )
    if problem is not None:
        raise InvalidInput(
            f"{_FIELD}: {path.name} {problem}.",
            details=[{"field": _FIELD, "error": f"{path.name} {problem}"}],
        )
    return header


def _network_problems(
    header: WeightsHeader, said: Mapping[str, Any], network: Mapping[str, Any]
) -> list[str]:
    found = []
    kind, kind_before = network.get("type", "lora"), said.get("network") or "lora"
    if kind != kind_before:
        found.append(f"it is a {kind_before}, and the config trains a {kind}")
    rank = network.get("linear", network.get("rank", _DEFAULT_RANK))
    if header.rank is not None and isinstance(rank, int) and rank != header.rank:
        found.append(f"its rank is {header.rank}, and the config asks for {rank}")
    alpha = network.get("linear_alpha", network.get("alpha", _DEFAULT_ALPHA))
    alpha_before = _alpha(header, said)
    if alpha_before is not None and isinstance(alpha, int | float) and alpha != alpha_before:
        found.append(f"its alpha is {alpha_before:g}, and the config asks for {alpha:g}")
    return found


def _alpha(header: WeightsHeader, said: Mapping[str, Any]) -> float | None:
    if said.get("alpha") is not None:
        return float(said["alpha"])
    noted = header.metadata.get("ss_network_alpha", "").strip('"')
    return float(noted) if _NUMBER.fullmatch(noted) else None


def _line(header: WeightsHeader, said: Mapping[str, Any]) -> str | None:
    arch = said.get("arch")
    return line_of_arch(arch) if arch else line_of_notes(header.metadata)


def _line_problems(header: WeightsHeader, said: Mapping[str, Any], model: Mapping[str, Any]) -> list[str]:
    before, now = _line(header, said), line_of_model(model)
    if before is None or now is None or before == now:
        return []
    return [f"it was trained for {before}, and the config trains {now}"]


def _sections(config: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    match config:
        case {"config": {"process": [{"network": dict(network), "model": dict(model)}, *_]}}:
            return network, model
    return {}, {}
