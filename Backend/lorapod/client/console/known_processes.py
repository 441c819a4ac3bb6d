"""The processes that the console has heard of, kept on disk so that a page opens at once and offline."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lorapod.client.console import moments
from lorapod.client.console.disk_cache import DiskCache
from lorapod.client.report_page.masking import masked
from lorapod.records.process_id import age_key
from lorapod.wire.process import ProcessSummary

ENDED: Final = frozenset({"completed", "failed", "cancelled", "interrupted"})

_PROCESSES: Final = "process"
_GPUS: Final = "gpus"
#: Processes for lists, without what only a process's own page shows: a list of hundreds is read at once.
_BRIEF: Final = "brief"
_LEFT_OUT: Final = frozenset(
    {"checkpoints", "log_tail", "output_files", "outcome", "cells", "settings", "sample_prompts", "dataset"}
)
#: Of the newest samples, so many are in a list: one of them is probably on this machine.
_NEWEST_SAMPLES: Final = 8
#: What a list or a progress update tells of a process; a field that is missing there is empty now.
_OF_A_SUMMARY: Final = frozenset(ProcessSummary.model_fields)

#: What a worker tells of a training and the volume does not; it stays as it was told.
_LASTING: Final = ("settings", "sample_prompts")


@dataclass(frozen=True, kw_only=True)
class KnownProcess:
    """A process as it was when the console last heard of it."""

    #: As `process_status` answers it, without secrets.
    process: Mapping[str, Any]
    #: RFC 3339.
    known_at: str
    #: Whether more than its summary is known.
    whole: bool
    #: Its loss in a few points, from the first to the last step.
    spark: Sequence[float] = ()

    @property
    def ended(self) -> bool:
        """Return whether it had ended."""
        return self.process["status"] in ENDED


class KnownProcesses:
    """What is known of each process, by its id."""

    def __init__(self, cache: DiskCache) -> None:
        self._cache = cache

    def get(self, process_id: str) -> KnownProcess | None:
        """Return what is known of a process; None if the console never heard of it."""
        document = self._cache.document(_PROCESSES, process_id)
        return None if document is None else KnownProcess(**document)

    def all(self) -> list[KnownProcess]:
        """Return every process as lists show it, the newest first; of its samples only the newest."""
        known = [KnownProcess(**document) for document in self._cache.documents(_BRIEF).values()]
        return sorted(known, key=lambda one: str(one.process.get("created_at")), reverse=True)

    def learn(self, process: Mapping[str, Any], *, whole: bool) -> None:
        """Keep what a worker, a job or the volume tells of a process; `whole`: all that is known, not a summary."""
        process_id = process["process_id"]
        told = {name: value for name, value in masked(process).items() if value is not None}
        before = self.get(process_id)
        if before is not None and whole:
            told = {name: before.process[name] for name in _LASTING if name in before.process} | told
        elif before is not None:
            told = {name: value for name, value in before.process.items() if name not in _OF_A_SUMMARY} | told
        self._keep(
            process_id,
            told,
            whole=whole or (before is not None and before.whole),
            spark=before.spark if before else (),
        )

    def learn_spark(self, process_id: str, spark: Sequence[float]) -> None:
        """Keep the loss of a known process in a few points."""
        before = self.get(process_id)
        if before is not None:
            self._keep(process_id, before.process, whole=before.whole, spark=spark)

    def learn_gpus(self, process_id: str, gpus: Sequence[Mapping[str, Any]]) -> None:
        """Keep how busy the GPUs of a running process are."""
        if gpus:
            self._cache.put_document(_GPUS, process_id, {"gpus": list(gpus)})

    def gpus_of(self, process_id: str) -> Sequence[Mapping[str, Any]]:
        """Return how busy the GPUs of a process were when a worker was asked last."""
        kept = self._cache.document(_GPUS, process_id)
        return [] if kept is None else kept["gpus"]

    def forget(self, process_id: str) -> None:
        """Remove a process, for example because it was deleted."""
        for kind in (_PROCESSES, _BRIEF, _GPUS):
            self._cache.forget_document(kind, process_id)

    def forget_missing(self, listed: Collection[str], *, complete: bool, before: str) -> None:
        """Remove what a list would have if it were still there.

        Args:
            listed: the ids in the list.
            complete: whether there are no older processes than those in the list.
            before: when the list was asked for, RFC 3339; what the console heard of since then stays.
        """
        oldest = "" if complete else min(map(age_key, listed), default="\U0010ffff")
        for process_id, document in self._cache.documents(_BRIEF).items():
            if process_id not in listed and age_key(process_id) >= oldest and document["known_at"] < before:
                self.forget(process_id)

    def _keep(
        self, process_id: str, process: Mapping[str, Any], *, whole: bool, spark: Sequence[float]
    ) -> None:
        more = {
            "known_at": moments.now(),
            "whole": whole,
            "spark": list(spark),
        }
        brief = {name: value for name, value in process.items() if name not in _LEFT_OUT}
        if checkpoints := process.get("checkpoints"):
            brief["steps"] = [one["step"] for one in checkpoints if one.get("step") is not None]
        if samples := process.get("samples"):
            brief["samples"] = sorted(samples, key=lambda one: one["step"])[-_NEWEST_SAMPLES:]
        self._cache.put_document(_PROCESSES, process_id, {"process": dict(process), **more})
        self._cache.put_document(_BRIEF, process_id, {"process": brief, **more})
