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
from lorapod.deletion.plan import DeletionPlan, DeletionPlanner
from lorapod.deletion.trash import Trash
from lorapod.errors import Conflict, NotFound, WorkerError
from lorapod.files.archive_cache import FOLDER as ARCHIVES
from lorapod.folders import entries_of
from lorapod.processes.artifacts import checkpoints
from lorapod.processes.record import ProcessRecord
from lorapod.processes.registry import ProcessRegistry
from lorapod.setting_groups.retention import Retained, RetentionRule
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Time between two passes, in seconds.
PASS_S = 3600.0

#: What was deleted, a JSON line each, in the folder of the logs.
LOG_NAME = "retention.jsonl"

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
        for rule in self._rules:
            for name, plan in self._due(rule):
                if self._closing.is_set():
                    return
                self._delete(rule, name, plan)

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
        kept = 0
        for process_id in self._processes.newest_ids(types, limit=1_000_000):
            try:
                record = self._processes.get(process_id)
            except NotFound:
                continue
            if not record.status.final:
                continue
            kept += 1
            if self._is_due(rule, kept, record.ended_at or record.created_at):
                yield record

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
        found = checkpoints(record.run_folder(self._workspace), record.name)
        return KeepRule(last=1) if len(found) > 1 else None

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
