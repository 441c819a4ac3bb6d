"""The name of what a training makes: what it may be, and what it is if the request has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from lorapod.errors import WorkerError
from lorapod.wire.dataset import DatasetRef
from lorapod.wire.knobs import TrainingSet
from lorapod.workspace import safe_name

#: Files and folders that AI Toolkit makes in a run folder. At a resume it takes every file whose name begins with the
#: job's name for a checkpoint, so a job called `config` fails at once on its own `config.yaml`.
_OWN_FILES = ("config.yaml", "loss_log.db", "learnable_snr.json", "optimizer.pt", "samples")

#: As long as a request's `name` may be.
_LONGEST = 100


def name_problems(name: str, *, field: str) -> list[str]:
    """Return why this cannot be the name of a model, one part of a sentence each; `field` is where it was given."""
    try:
        safe_name(name, field=field)
    except WorkerError as error:
        return [error.message.removeprefix(f"{field}: ").rstrip(".")]
    problems = []
    if "[" in name or "]" in name:
        problems.append("has square brackets; AI Toolkit would not find the checkpoints of such a name")
    if (clash := next((file for file in _OWN_FILES if file.startswith(name)), None)) is not None:
        problems.append(
            f"is the beginning of {clash}, a file that AI Toolkit would then take for a checkpoint; choose another"
        )
    return problems


def name_after(dataset: DatasetRef | None, sets: Sequence[TrainingSet] = ()) -> str | None:
    """Return the name of the dataset that is trained on; None if it has no name, or not one that a model may have."""
    named = dataset or next((one for one in sets if not one.is_reg), None)
    if named is None:
        return None
    name = named.training_name or _last_part(named.path)
    if isinstance(named, DatasetRef) and named.huggingface is not None:
        name = _last_part(named.huggingface.repo_id)
    usable = name is not None and len(name) <= _LONGEST and not name_problems(name, field="name")
    return name if usable else None


def _last_part(path: str | None) -> str | None:
    return None if path is None else PurePosixPath(path).name or None
