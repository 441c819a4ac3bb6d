"""What retention knows of ended processes from earlier passes, kept on the volume: a pass reads no record twice for nothing."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from lorapod.atomic import replace_file
from lorapod.records.record import ProcessRecord
from lorapod.workspace import Workspace

#: In the folder of the processes; hidden, so that it is no process.
_NAME = ".retention.json"


@dataclass(frozen=True, kw_only=True)
class KnownEnd:
    """An ended process, as a pass has read it; it may have been resumed since, and then it ended later."""

    ended_at: datetime
    #: Where it writes, relative to the workspace.
    run_folder: str
    #: When that folder had changed last, in nanoseconds, as it was found without checkpoints to delete.
    cleared_ns: int | None = None


_ADAPTER = TypeAdapter(dict[str, KnownEnd])


class KnownEnds:
    """Ended processes by their ids; for one thread. Workers that keep it at the same time lose nothing but a reading."""

    def __init__(self, workspace: Workspace) -> None:
        """Read nothing yet."""
        self._workspace = workspace
        self._file = workspace.processes / _NAME
        self._known: dict[str, KnownEnd] = {}
        self._kept: dict[str, KnownEnd] = {}

    def load(self) -> None:
        """Take over what some worker has kept, beside what this one has read."""
        with suppress(OSError, ValueError):
            self._known = _ADAPTER.validate_json(self._file.read_bytes()) | self._known

    def keep(self, process_ids: Collection[str]) -> None:
        """Write it down if it has changed, without processes that are not among `process_ids` any more."""
        self._known = {one: end for one, end in self._known.items() if one in process_ids}
        if self._known != self._kept:
            with suppress(OSError):  # the next pass reads the records again
                replace_file(self._file, _ADAPTER.dump_json(self._known))
                self._kept = dict(self._known)

    def of(self, process_id: str) -> KnownEnd | None:
        """Return what is known of a process; None: its record must be read."""
        return self._known.get(process_id)

    def learn(self, record: ProcessRecord) -> KnownEnd:
        """Note how an ended process ended."""
        end = KnownEnd(
            ended_at=record.ended_at or record.created_at,
            run_folder=self._workspace.relative(record.run_folder(self._workspace)),
        )
        before = self._known.get(record.process_id)
        if before is not None and before.run_folder == end.run_folder:
            end = replace(end, cleared_ns=before.cleared_ns)
        self._known[record.process_id] = end
        return end

    def is_cleared(self, end: KnownEnd) -> bool:
        """Return whether its folder had no checkpoints to delete, and has not changed since."""
        return end.cleared_ns is not None and end.cleared_ns == self.changed_ns(end)

    def note_cleared(self, process_id: str, changed_ns: int) -> None:
        """Note that its folder, as it was at `changed_ns`, has no checkpoints to delete."""
        self._known[process_id] = replace(self._known[process_id], cleared_ns=changed_ns)

    def changed_ns(self, end: KnownEnd) -> int:
        """Return when its folder changed last, in nanoseconds; 0 if there is none."""
        try:
            return (self._workspace.root / end.run_folder).stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return 0
