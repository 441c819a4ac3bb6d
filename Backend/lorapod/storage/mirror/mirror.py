"""Find the files of one process that are to be sent to one target, and send them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from lorapod.clock import Clock
from lorapod.errors import WorkerError
from lorapod.storage.mirror.artifact import (
    Artifact,
    ArtifactKind,
    MirroredRun,
    StabilityTracker,
    find_artifacts,
)
from lorapod.storage.mirror.card import KEY as CARD
from lorapod.storage.mirror.card import card_of, put_card
from lorapod.storage.mirror.ledger import SentFile, UploadLedger, read_ledger, write_ledger
from lorapod.storage.mirror.snapshot import stable_copy
from lorapod.storage.orphans import OrphanSweep
from lorapod.storage.port import ObjectStore
from lorapod.wire.dataset import S3Prefix
from lorapod.wire.storage import HuggingFaceRepo, Target

logger = logging.getLogger(__name__)

#: Opens a target. Raises `WorkerError` if credentials are missing.
OpenTarget = Callable[[Target], AbstractContextManager[ObjectStore]]

#: Between two looks at a run's folder without file events: network volumes have none.
RESCAN_S = 10.0
#: Between two uploads of a log that grows.
LOG_INTERVAL_S = 60.0
#: The waits after a failure double from the first to the longest.
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 60.0
#: If so many files fail one after the other, the target is taken to be away.
AWAY_FAILURES = 2


class Mirror:
    """Sends one run to one target, step by step; for one thread, which the training never waits for."""

    def __init__(
        self,
        run: MirroredRun,
        ledger: UploadLedger,
        *,
        path: Path,
        open_target: OpenTarget,
        clock: Clock,
        scratch: Path,
    ) -> None:
        """Continue the ledger that is stored at `path`; `scratch` is a folder on local disk for copies of logs."""
        self.run = run
        self.ledger = ledger
        self._path = path
        self._open = open_target
        self._clock = clock
        self._scratch = scratch
        self._target = ledger.target.targets[0]
        self._stability = StabilityTracker(clock)
        self._logged: dict[str, float] = {}
        self._wait_s = FIRST_WAIT_S
        self._retry_due = 0.0
        self._orphans = OrphanSweep(clock)
        self._refused: dict[str, tuple[int, int]] = {}
        self._refused_card: str | None = None

    def step(self, *, still: bool) -> float | None:
        """Send what is due, and return in how many seconds to call again; None: everything is sent.

        `still`: the training has ended, so no file changes any more.
        """
        try:
            return self._step(still=still)
        except OSError as error:
            # A folder that cannot be read now may hold the final weights.
            logger.warning(
                "artifacts cannot be read",
                extra={"process_id": self.run.process_id, "reason": str(error), "retried": True},
            )
            return self._postpone()

    def _step(self, *, still: bool) -> float | None:
        self._catch_up()
        found = list(find_artifacts(self.run))
        self._stability.update(found)
        missing = [artifact for artifact in found if not self.ledger.holds(artifact)]
        if (wait_s := self._retry_due - self._clock.monotonic()) > 0:
            return wait_s
        due, unreadable = self._due(missing, still=still)
        if not self._send_all(due) or unreadable or not self._write_card(found, still=still):
            return self._postpone()
        if still:
            return None
        rest = [
            artifact for artifact in missing if artifact not in due and artifact.kind is not ArtifactKind.LOG
        ]
        waits = [self._stability.stable_at(artifact) - self._clock.monotonic() for artifact in rest]
        return min([RESCAN_S, *(wait_s for wait_s in waits if wait_s > 0)])

    def _due(self, missing: list[Artifact], *, still: bool) -> tuple[list[Artifact], bool]:
        """Return what may be sent now, the most important first, and whether a file could not be read."""
        due: list[Artifact] = []
        unreadable = False
        for artifact in missing:
            try:
                if self._is_due(artifact, still=still):
                    due.append(artifact)
            except OSError as error:
                unreadable = True
                self._note_failure(artifact.key, error, retryable=True)
        # A file that failed before comes last: it must not keep the others waiting.
        return sorted(
            due, key=lambda artifact: (artifact.key in self.ledger.failed, *artifact.rank)
        ), unreadable

    def _is_due(self, artifact: Artifact, *, still: bool) -> bool:
        if self._refused.get(artifact.key) == artifact.state:
            return False
        if artifact.kind is ArtifactKind.LOG and not still:
            # A database is sent once nothing writes to it. On the Hub, each upload would be a commit that stays.
            if artifact.path.suffix != ".log" or isinstance(self._target, HuggingFaceRepo):
                return False
            last_s = self._logged.get(artifact.key)
            return last_s is None or self._clock.monotonic() >= last_s + LOG_INTERVAL_S
        return self._stability.is_stable(artifact, still=still)

    def _send_all(self, artifacts: list[Artifact]) -> bool:
        """Send files, and return whether none of them has to be tried again.

        If two files in a row fail, the target is taken to be away, and the rest waits for the next try. What the target
        refuses for good is recorded in the ledger.
        """
        if not artifacts:
            return True
        failures = in_a_row = 0
        try:
            with self._open(self._target) as store:
                for artifact in artifacts:
                    self._catch_up()
                    if self.ledger.holds(artifact) or self._send(artifact, store):
                        in_a_row = 0
                        continue
                    failures, in_a_row = failures + 1, in_a_row + 1
                    if in_a_row == AWAY_FAILURES:
                        return False
                if not failures:
                    self._orphans.look(store, self._own_folder)
        except WorkerError as error:
            # The target itself cannot be opened: its settings are missing or wrong.
            self._note_failure("", error, retryable=error.retryable)
            if error.retryable:
                return False
            self._refused.update({artifact.key: artifact.state for artifact in artifacts})
        return not failures

    @property
    def _own_folder(self) -> str:
        """The folder that only this worker uploads to: the whole target of the endpoint if it is one, else the model's."""
        target = self._target
        if (
            isinstance(target, S3Prefix)
            and target.prefix
            and self.run.root.startswith(f"{self.run.process_id}/")
        ):
            return ""
        return f"{self.run.root}/"

    def _write_card(self, found: list[Artifact], *, still: bool) -> bool:
        """Write the card of a repository if there is something new to say, and return whether it needs no further try.

        Each writing is a commit, so it happens with the first weights and at the end.
        """
        if self.ledger.card is not None and not still:
            return True
        text = card_of(self.ledger, found)
        if text is None:
            return True
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest in {self.ledger.card, self._refused_card}:
            return True
        try:
            with self._open(self._target) as store:
                if not put_card(store, text, self._scratch):
                    logger.info("the card was edited and stays", extra={"process_id": self.run.process_id})
        except (WorkerError, OSError) as error:
            retryable = not isinstance(error, WorkerError) or error.retryable
            self._refused_card = None if retryable else digest
            self._note_failure(CARD, error, retryable=retryable)
            return not retryable
        self._wait_s = FIRST_WAIT_S
        failed = {key: why for key, why in self.ledger.failed.items() if key != CARD}
        self._store(replace(self.ledger, card=digest, failed=failed))
        return True

    def _send(self, artifact: Artifact, store: ObjectStore) -> bool:
        """Send a file, and return whether it needs no further try."""
        self._logged[artifact.key] = self._clock.monotonic()
        try:
            with stable_copy(artifact, self._scratch) as path:
                sha256 = _digest(path)
                before = self.ledger.sent.get(artifact.key)
                if before is None or before.sha256 != sha256:
                    store.put_file(path, artifact.key, sha256=sha256)
            status = artifact.path.stat()
        except FileNotFoundError:
            return True
        except (WorkerError, OSError) as error:
            retryable = not isinstance(error, WorkerError) or error.retryable
            if not retryable:
                self._refused[artifact.key] = artifact.state
            self._note_failure(artifact.key, error, retryable=retryable)
            return not retryable
        if artifact.kind is not ArtifactKind.LOG and (status.st_size, status.st_mtime_ns) != artifact.state:
            # It was written meanwhile, so what was sent is of no use: the next step sends it again.
            return True
        sent = SentFile(size_bytes=artifact.size_bytes, mtime_ns=artifact.mtime_ns, sha256=sha256)
        self._wait_s = FIRST_WAIT_S
        failed = {key: why for key, why in self.ledger.failed.items() if key not in {artifact.key, ""}}
        self._store(replace(self.ledger, sent={**self.ledger.sent, artifact.key: sent}, failed=failed))
        return True

    def _note_failure(self, key: str, error: WorkerError | OSError, *, retryable: bool) -> None:
        logger.warning(
            "artifact cannot be sent",
            extra={"process_id": self.run.process_id, "key": key, "reason": str(error), "retried": retryable},
        )
        hint = error.hint if isinstance(error, WorkerError) else ""
        self._store(replace(self.ledger, failed={**self.ledger.failed, key: f"{error} {hint}".rstrip()}))

    def _postpone(self) -> float:
        """Return how long to wait before the next try; the waits double."""
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 2, LONGEST_WAIT_S)
        self._retry_due = self._clock.monotonic() + wait_s
        return wait_s

    def _catch_up(self) -> None:
        """Read what another worker has sent, which took this process over, or regarded it as abandoned."""
        if (kept := read_ledger(self._path)) is not None:
            self.ledger = self.ledger.merged(kept)

    def _store(self, ledger: UploadLedger) -> None:
        if ledger == self.ledger:
            return
        self.ledger = ledger
        try:
            write_ledger(self._path, ledger)
        except OSError as error:
            # A full disk must not end the mirror: a later step writes the ledger, at worst a file is sent twice.
            logger.warning(
                "ledger cannot be written", extra={"process_id": self.run.process_id, "reason": str(error)}
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
