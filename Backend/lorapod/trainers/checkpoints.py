"""Makes a run folder ready to go on from: what is broken is set aside, the best checkpoint made unmistakable.

Trainers find badly: AI Toolkit goes on from whatever in the folder begins with the job's name and has the newest change
time. That is the wrong file after a folder was copied or restored, and a file that was cut off, which ends every
further start.
"""

from __future__ import annotations

import logging
import os
import re
import zipfile
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound
from lorapod.weights import SUFFIX, read_header, step_of

logger = logging.getLogger(__name__)

#: Hidden, and not beginning with the job's name: no search for checkpoints finds it.
DAMAGED_FOLDER = ".damaged"

#: The optimizer's state, as `torch.save` writes it: a zip archive.
OPTIMIZER_NAME = "optimizer.pt"

_STEP = re.compile(r"_(?P<step>[0-9]{9})$")


def make_ready(run_folder: Path, name: str) -> int | None:
    """Prepare a run folder for a resume.

    Args:
        run_folder: `<training_folder>/<name>`; need not exist.
        name: the stem of its checkpoints.

    Returns:
        The step that the run goes on from, 0 where its weights do not tell; None where there are none.

    Raises:
        OSError: the folder cannot be changed.
    """
    steps: dict[Path, int] = {}
    for path in sorted(run_folder.glob(f"*{SUFFIX}")):
        if path.name.startswith(name) and path.is_file() and (step := _trained_steps(path, name)) is not None:
            steps[path] = step
    optimizer = run_folder / OPTIMIZER_NAME
    if optimizer.exists() and not zipfile.is_zipfile(optimizer):
        _set_aside(optimizer)
    if not steps:
        return None
    # Of two with the same step, the one without a step in its name is the result of a whole run.
    best = max(steps, key=lambda path: (steps[path], path.stem == name))
    # Setting its times to what they are changes nothing but its change time.
    status = best.stat()
    os.utime(best, ns=(status.st_atime_ns, status.st_mtime_ns))
    return steps[best]


def _trained_steps(path: Path, name: str) -> int | None:
    """Steps that whole weights were trained for; None, and set aside, where they are damaged."""
    try:
        header = read_header(path)
    except NotFound:
        return None
    except InvalidInput:
        if os.access(path, os.R_OK):
            _set_aside(path)
        return None
    if not header.whole:
        _set_aside(path)
        return None
    if (told := step_of(header)) is not None:
        return told
    named = _STEP.search(path.stem[len(name) :])
    return int(named["step"]) if named else 0


def _set_aside(path: Path) -> None:
    folder = path.parent / DAMAGED_FOLDER
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    logger.warning("damaged file was set aside", extra={"path": str(path)})
