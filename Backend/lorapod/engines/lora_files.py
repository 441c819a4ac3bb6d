"""Find the LoRA that a request means, and the base model that it was trained on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound, WorkerError
from lorapod.kinds import is_hidden
from lorapod.records.record import ProcessRecord
from lorapod.volume import artifacts
from lorapod.weights import SUFFIX
from lorapod.workspace import Workspace

#: Finds the record of a process; raises `NotFound` if no process has the id.
FindRecord = Callable[[str], ProcessRecord]


def newest_weights(record: ProcessRecord, workspace: Workspace) -> Path:
    """Return the final weights of a training, else its newest checkpoint.

    Raises:
        NotFound: it has none.
    """
    saved = artifacts.checkpoints(record.run_folder(workspace), record.name) if record.trainer else []
    if not saved:
        raise NotFound(
            f"The process {record.process_id} has no weights yet.",
            hint="`process_status` shows what it has written.",
        )
    return saved[-1].path


def lora_file(text: str, workspace: Workspace) -> Path:
    """Return the file that a request names by its path.

    Raises:
        NotFound: it does not exist.
        InvalidInput: it is not a LoRA.
        UnsafePath: it is outside the workspace.
    """
    path = workspace.safe_path(text)
    if not path.is_file() or any(is_hidden(part) for part in path.relative_to(workspace.root).parts):
        raise NotFound(f"There is no LoRA {text}.", hint="`lora` lists those that are there.")
    if path.suffix != SUFFIX:
        raise InvalidInput(f"{path.name} is not a LoRA: it must be a {SUFFIX} file.")
    return path


def training_of(path: Path, workspace: Workspace, find: FindRecord) -> ProcessRecord | None:
    """Return the training that wrote a file of the output folder; None if no training did, or its record is gone."""
    if not path.is_relative_to(workspace.output):
        return None
    try:
        record = find(path.relative_to(workspace.output).parts[0])
    except WorkerError:
        return None
    return record if record.training is not None else None


def base_model_of(record: ProcessRecord | None) -> str | None:
    """Return the base model of a training, as its config names it; None if that is not known."""
    return record.training.base_model if record is not None and record.training is not None else None
