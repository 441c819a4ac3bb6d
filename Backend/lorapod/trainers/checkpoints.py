"""Prepares a run folder for a resume: sets damaged files aside and makes the best checkpoint the newest file.

AI Toolkit resumes from the file in the folder that begins with the job's name and has the newest change time. After a
folder was copied or restored that is the wrong file; and a truncated file, once chosen, makes every further start fail.
"""

from __future__ import annotations

import logging
import os
import re
import zipfile
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound
from lorapod.folders import entries_of
from lorapod.weights import SUFFIX, read_header, step_of

logger = logging.getLogger(__name__)

#: Hidden, and without the job's name in front, so that no search for checkpoints finds it.
DAMAGED_FOLDER = ".damaged"

#: The optimizer's state, as `torch.save` writes it: a zip archive.
OPTIMIZER_NAME = "optimizer.pt"

_STEP = re.compile(r"_(?P<step>[0-9]{9})$")


def step_to_resume(run_folder: Path, name: str) -> int | None:
    """Return the step that a run would resume from, 0 if its weights do not say it, or None without weights.

    Args:
        run_folder: `<training_folder>/<name>`; need not exist.
        name: the stem of its checkpoints.
    """
    whole, _ = _judged(run_folder, name)
    return max(whole.values(), default=None)


def make_ready(run_folder: Path, name: str, *, total_steps: int | None = None) -> int | None:
    """Prepare a run folder for a resume; only the worker that holds the process may do this.

    Args:
        run_folder: `<training_folder>/<name>`; need not exist.
        name: the stem of its checkpoints.
        total_steps: steps of the run that is about to start. Final weights of fewer steps become a checkpoint of their
            step: they are not the result any more.

    Returns:
        The step that the run resumes from, as `step_to_resume` returns it.

    Raises:
        OSError: the folder cannot be changed.
    """
    whole, damaged = _judged(run_folder, name)
    optimizer = run_folder / OPTIMIZER_NAME
    if optimizer.exists() and not zipfile.is_zipfile(optimizer):
        damaged.append(optimizer)
    for path in damaged:
        _set_aside(path)
    if not whole:
        return None
    # Of two files of the same step, the one without a step in its name is the result of a complete run.
    best = max(whole, key=lambda path: (whole[path], path.stem == name))
    step = whole[best]
    if best.stem == name and total_steps is not None and 0 < step < total_steps:
        best = best.replace(best.with_name(f"{name}_{step:09d}{SUFFIX}"))
    # Writing its times back unchanged makes its change time the newest.
    status = best.stat()
    os.utime(best, ns=(status.st_atime_ns, status.st_mtime_ns))
    return step


def _judged(run_folder: Path, name: str) -> tuple[dict[Path, int], list[Path]]:
    """Return the whole weights with their steps, and the damaged ones."""
    whole: dict[Path, int] = {}
    damaged: list[Path] = []
    for path in (Path(entry.path) for entry in entries_of(run_folder)):
        if path.suffix != SUFFIX or not path.name.startswith(name) or not path.is_file():
            continue
        try:
            header = read_header(path)
        except NotFound:
            continue
        except InvalidInput as error:
            if isinstance(error.__cause__, PermissionError):
                continue
            if isinstance(error.__cause__, OSError):
                # The volume does not answer now; the file may be complete.
                raise error.__cause__ from None
            damaged.append(path)
            continue
        if header.whole:
            named = _STEP.search(path.stem[len(name) :])
            told = step_of(header)
            whole[path] = told if told is not None else int(named["step"]) if named else 0
        else:
            damaged.append(path)
    return whole, damaged


def _set_aside(path: Path) -> None:
    folder = path.parent / DAMAGED_FOLDER
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    logger.warning("a damaged file was set aside", extra={"path": str(path)})
