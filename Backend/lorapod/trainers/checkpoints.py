"""Makes a run folder ready to be resumed: what is broken is set aside, the newest whole checkpoint made unmistakable.

A trainer that resumes takes what it finds, and some find badly: AI Toolkit takes the checkpoint with the newest inode
change time, whatever its step, and fails on a truncated one at every try.
"""

from __future__ import annotations

import logging
import os
import re
import zipfile
from pathlib import Path

from lorapod import weights

logger = logging.getLogger(__name__)

#: Where broken files go, beside those that were whole.
SET_ASIDE_NAME = "set_aside"

#: The optimizer's state, as `torch.save` writes it: a zip archive.
OPTIMIZER_NAME = "optimizer.pt"


def make_ready(run_folder: Path, name: str) -> int | None:
    """Prepare a run folder for a resume.

    Args:
        run_folder: `<training_folder>/<name>`; need not exist.
        name: the stem of its checkpoints.

    Returns:
        The step that the run goes on from; None where there is no whole checkpoint.

    Raises:
        OSError: a broken file cannot be moved.
    """
    numbered = re.compile(rf"{re.escape(name)}_(?P<step>\d{{9}})\.safetensors")
    steps: dict[int, Path] = {}
    for path in run_folder.glob("*.safetensors"):
        match = numbered.fullmatch(path.name)
        if match is None and path.name != f"{name}.safetensors":
            continue
        if not weights.is_whole(path):
            _set_aside(path)
        elif match is not None:
            steps[int(match["step"])] = path
    optimizer = run_folder / OPTIMIZER_NAME
    if optimizer.exists() and not zipfile.is_zipfile(optimizer):
        _set_aside(optimizer)
    if not steps:
        return None
    newest = max(steps)
    _touch_inode(steps[newest])
    return newest


def _set_aside(path: Path) -> None:
    folder = path.parent / SET_ASIDE_NAME
    folder.mkdir(exist_ok=True)
    path.replace(folder / path.name)
    logger.warning("broken file set aside", extra={"path": str(path)})


def _touch_inode(path: Path) -> None:
    """Make the inode's change time the newest, and leave the time of the content alone."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
