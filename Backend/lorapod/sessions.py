"""Sessions: one training with all its files in one folder, as single-purpose handlers keep it on a volume.

```
training_session_<epoch>/
    config.yaml     the config as the trainer gets it
    dataset/        the images, once they have been fetched
    output/         what the trainer writes
```
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lorapod.clock import Clock
from lorapod.folders import entries_of
from lorapod.workspace import CONFIG_NAME, Workspace

PREFIX = "training_session_"

#: Folders of the workspace that contain sessions, one for each kind of handler; "" is the root.
PARENTS = ("", "training")


@dataclass(frozen=True, kw_only=True)
class TrainingSession:
    """One session's folder."""

    #: Relative to the workspace; its last part is the session's id.
    folder: str

    @property
    def id(self) -> str:
        """`training_session_<epoch>`, as answers show it."""
        return PurePosixPath(self.folder).name

    @property
    def dataset(self) -> str:
        """The folder of its images, relative to the workspace."""
        return f"{self.folder}/dataset"


def begin_session(workspace: Workspace, clock: Clock, *, parent: str = "") -> TrainingSession:
    """Make the folder of a new session, for this worker alone; the second session of one second gets `_2`.

    Raises:
        OSError: the workspace cannot be written.
    """
    folder = workspace.root / parent
    folder.mkdir(exist_ok=True)
    for name in _names(int(clock.now().timestamp())):
        try:
            (folder / name).mkdir()
        except FileExistsError:
            continue
        return TrainingSession(folder=workspace.relative(folder / name))
    raise AssertionError("there is always another name")


def drop_session(session: TrainingSession, workspace: Workspace) -> None:
    """Remove the folder of a session that never started; keep it if it has files."""
    folder = workspace.root / session.folder
    (folder / CONFIG_NAME).unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        return


def session_outputs(workspace: Workspace) -> list[Path]:
    """Return the output folders of all sessions, oldest first."""
    found = (entry for parent in PARENTS for entry in entries_of(workspace.root / parent))
    outputs = (Path(entry.path, "output") for entry in found if entry.name.startswith(PREFIX))
    return sorted(path for path in outputs if path.is_dir())


def in_session(path: Path, workspace: Workspace) -> bool:
    """Return whether a path of the workspace is a session's folder, or is inside one."""
    parts = path.relative_to(workspace.root).parts
    return any(
        part.startswith(PREFIX) and "/".join(parts[:place]) in PARENTS for place, part in enumerate(parts)
    )


def _names(epoch: int) -> Iterator[str]:
    yield f"{PREFIX}{epoch}"
    number = 2
    while True:
        yield f"{PREFIX}{epoch}_{number}"
        number += 1
