"""A run folder made ready to go on from.

AI Toolkit goes on from whatever in the folder begins with the job's name and has the newest change time. That is the
wrong file after a folder was copied or restored, and a file that was cut off, which ends every further start. So
before a start damaged weights are set aside, in a hidden folder that its search does not see, and the weights of the
highest step are made the newest.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lorapod.errors import InvalidInput, NotFound
from lorapod.weights import SUFFIX, read_header, step_of

logger = logging.getLogger(__name__)

#: Hidden, and not beginning with the job's name: no search for checkpoints finds it.
DAMAGED_FOLDER = ".damaged"

_STEP = re.compile(r"_(?P<step>[0-9]{9})$")


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Weights to go on from."""

    path: Path
    #: Steps they were trained for; None where neither the file nor its name tells.
    step: int | None


def ready_to_resume(run_folder: Path, name: str) -> ResumePoint | None:
    """Set damaged weights aside and make the best the newest; None where there is nothing to go on from.

    Raises:
        OSError: the folder cannot be changed.
    """
    points: list[ResumePoint] = []
    for path in sorted(run_folder.glob(f"*{SUFFIX}")):
        if not path.name.startswith(name) or not path.is_file():
            continue
        try:
            header = read_header(path)
        except NotFound:
            continue
        except InvalidInput:
            if os.access(path, os.R_OK):
                _set_aside(path)
            continue
        if header.whole:
            points.append(ResumePoint(path=path, step=_first(step_of(header), _step_in_name(path, name))))
        else:
            _set_aside(path)
    if not points:
        return None
    # Of two with the same step the one without a step in its name is the result of a whole run.
    best = max(points, key=lambda point: (point.step or 0, point.path.stem == name))
    if len(points) > 1:
        # Setting its times to what they are changes nothing but its change time.
        status = best.path.stat()
        os.utime(best.path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return best


def final_weights(run_folder: Path, name: str) -> Path | None:
    """The end result of a whole run: weights or a model folder without a step in the name; None where there is none."""
    for ending in (SUFFIX, f"_LoRA{SUFFIX}", ".pt", ""):
        path = run_folder / f"{name}{ending}"
        if path.exists():
            return path
    return None


def _set_aside(path: Path) -> None:
    folder = path.parent / DAMAGED_FOLDER
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    logger.warning("checkpoint is cut off and was set aside", extra={"path": str(path)})


def _step_in_name(path: Path, name: str) -> int | None:
    found = _STEP.search(path.stem[len(name) :])
    return int(found["step"]) if found else None


def _first(*steps: int | None) -> int | None:
    return next((step for step in steps if step is not None), None)
