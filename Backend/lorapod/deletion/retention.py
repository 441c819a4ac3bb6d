"""Deletes by the rules of `RETENTION`, and writes down what it deleted."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from lorapod.clock import Clock
from lorapod.deletion.keep import KeepRule
from lorapod.deletion.known_ends import KnownEnds
from lorapod.deletion.plan import DeletionPlan, DeletionPlanner
from lorapod.deletion.trash import Trash
from lorapod.errors import Conflict, NotFound, WorkerError
from lorapod.files.archive_cache import FOLDER as ARCHIVES
from lorapod.folders import entries_of
from lorapod.processes.registry import ProcessRegistry
from lorapod.records.record import ProcessRecord
from lorapod.setting_groups.retention import Retained, RetentionRule
from lorapod.volume.artifacts import checkpoints
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Time between two passes, in seconds.
PASS_S = 3600.0

#: What was deleted, a JSON line each, in the folder of the logs.
LOG_NAME = "retention.jsonl"

#: More processes than a workspace can have.
_ALL = 1_000_000

_TYPES = {Retained.TRAININGS: {"train"}, Retained.CHECKPOINTS: {"train"}, Retained.GENERATIONS: {"generate"}}


class Retention:
    """A thread that looks once an hour; it deletes what `delete` would delete, and never what that refuses."""

    def __init__(
        self,
        rules: Sequence[RetentionRule],
        *,
        workspace: Workspace,
        clock: Clock,
        processes: ProcessRegistry,
        planner: DeletionPlanner,
        trash: Trash,
    ) -> None:
        """Delete nothing before `start`; without rules, nothing at all."""
        self._rules = rules
        self._workspace = workspace
        self._clock = clock
        self._processes = processes
        self._planner = planner
        self._trash = trash
        self._ends = KnownEnds(workspace)
        self._closing = threading.Event()

    def start(self) -> None:
        """Begin to look, unless there is no rule."""
        if self._rules:
            threading.Thread(target=self._run, name="retention", daemon=True).start()

    def close(self) -> None:
        """Stop looking; a deletion that is under way is completed by the next worker's trash."""
        self._closing.set()

    def sweep(self) -> None:
        """Apply every rule once.

        Raises:
            OSError: the workspace cannot be read.
        """
        self._ends.load()
        for rule in self._rules:
            for name, plan in self._due(rule):
                if self._closing.is_set():
                    return
                self._delete(rule, name, plan)
        every_type = frozenset().union(*_TYPES.values())
        self._ends.keep(frozenset(self._processes.newest_ids(every_type, limit=_ALL)))

    def _run(self) -> None:
        while True:
            try:
                self.sweep()
            except OSError as error:
                logger.warning("retention cannot read the workspace", extra={"reason": error.strerror})
            except Exception:
                logger.exception("retention failed")
            if self._closing.wait(PASS_S):
                return

    def _due(self, rule: RetentionRule) -> Iterator[tuple[str, Callable[[], DeletionPlan]]]:
        """Yield what a rule deletes: a name, and what plans its deletion."""
        if rule.what in _TYPES:
            for record in self._records(rule, _TYPES[rule.what]):
                if rule.what is not Retained.CHECKPOINTS:
                    yield record.process_id, _planned(self._planner.of_process, record.process_id)
                elif (keep := self._worth_keeping(record)) is not None:
                    yield record.process_id, _planned(self._planner.of_process, record.process_id, keep)
            return
        folder = self._workspace.training_data
        if rule.what is Retained.ARCHIVES:
            folder = self._workspace.output / ARCHIVES
        for path in self._paths(rule, folder):
            yield (
                self._workspace.relative(path),
                _planned(self._planner.of_paths, [self._workspace.relative(path)]),
            )

    def _records(self, rule: RetentionRule, types: Collection[str]) -> Iterator[ProcessRecord]:
        """Yield the records of what a rule deletes.

        Only what may be due by what is known from earlier passes is read. A rule by number counts the records before it,
        so that all are read once something may be due.
        """
        # In this order: what begins in between is in neither list.
        ids = self._processes.newest_ids(types, limit=_ALL)
        maybe_due = self._maybe_due(rule, ids, self._processes.live_ids())
        if not maybe_due:
            return
        kept = 0
        for process_id in ids if rule.newest is not None else maybe_due:
            record = self._ended(process_id)
            if record is None:
                continue
            kept += 1
            end = self._ends.learn(record)
            if self._is_due(rule, kept, end.ended_at):
                yield record

    def _maybe_due(self, rule: RetentionRule, ids: Sequence[str], live_ids: Collection[str]) -> Sequence[str]:
        """Return the processes that may be due; reads the records of those alone that live or are not known yet."""
        found = []
        kept = 0
        for process_id in ids:
            end = None if process_id in live_ids else self._ends.of(process_id)
            if end is None:
                record = self._ended(process_id)
                if record is None:
                    continue
                end = self._ends.learn(record)
            kept += 1
            cleared = rule.what is Retained.CHECKPOINTS and self._ends.is_cleared(end)
            if self._is_due(rule, kept, end.ended_at) and not cleared:
                found.append(process_id)
        return found

    def _ended(self, process_id: str) -> ProcessRecord | None:
        """Return the record of a process that has ended; None if it has not, or is gone."""
        try:
            record = self._processes.get(process_id)
        except NotFound:
            return None
        return record if record.status.final else None

    def _paths(self, rule: RetentionRule, folder: Path) -> Iterator[Path]:
        entries = [entry for entry in entries_of(folder) if not entry.name.startswith(".")]
        changed = {
            entry.path: datetime.fromtimestamp(_last_change_s(entry.path), self._clock.now().tzinfo)
            for entry in entries
        }
        for place, (path, moment) in enumerate(
            sorted(changed.items(), key=lambda item: item[1], reverse=True), 1
        ):
            if self._is_due(rule, place, moment):
                yield Path(path)

    def _is_due(self, rule: RetentionRule, place: int, moment: datetime) -> bool:
        """Return whether a rule deletes the `place`-th newest of its kind, which ended or was changed last at `moment`."""
        if rule.newest is not None:
            return place > rule.newest
        return self._clock.now() - moment > timedelta(seconds=rule.max_age_s or 0)

    def _worth_keeping(self, record: ProcessRecord) -> KeepRule | None:
        """Return a rule that keeps the final weights or the newest checkpoint; None if there is nothing else."""
        changed_ns = self._ends.changed_ns(self._ends.learn(record))
        if len(checkpoints(record.run_folder(self._workspace), record.name)) > 1:
            return KeepRule(last=1)
        self._ends.note_cleared(record.process_id, changed_ns)
        return None

    def _delete(self, rule: RetentionRule, name: str, planned: Callable[[], DeletionPlan]) -> None:
        try:
            plan = planned()
            check = partial(self._planner.check_unused, plan)
            self._trash.discard(plan.paths, plan.record, check=check)
        except (Conflict, NotFound):
            return  # it is used, or another worker was faster; the next pass looks again
        except WorkerError as error:
            logger.warning("retention cannot delete", extra={"what": name, "reason": error.message})
            return
        done = {
            "at": self._clock.now().isoformat(timespec="seconds"),
            "rule": str(rule),
            "what": name,
            "deleted": [self._workspace.relative(path) for path in plan.paths],
            "freed_bytes": plan.size_bytes,
        }
        logger.info(
            "deleted by retention", extra={"rule": done["rule"], "what": name, "freed_bytes": plan.size_bytes}
        )
        with suppress(OSError), (self._workspace.logs / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(done, ensure_ascii=False) + "\n")


def _planned(plan: Callable[..., DeletionPlan], *arguments: object) -> Callable[[], DeletionPlan]:
    return lambda: plan(*arguments)


def _last_change_s(path: str) -> float:
    """Return when the folder or something right in it changed last, in seconds since 1970."""
    moments = [Path(path).lstat().st_mtime]
    for entry in entries_of(path):
        with suppress(FileNotFoundError):
            moments.append(entry.stat(follow_symlinks=False).st_mtime)
    return max(moments)
