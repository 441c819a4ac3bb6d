"""One target of one process: finds what is to be sent, and sends it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from lorapod.clock import Clock
from lorapod.errors import WorkerError
from lorapod.storage.mirror.artifact import Artifact, Kind, Run, find_artifacts
from lorapod.storage.mirror.card import KEY as CARD
from lorapod.storage.mirror.card import card_of, put_card
from lorapod.storage.mirror.ledger import Sent, UploadLedger, read_ledger, write_ledger
from lorapod.storage.mirror.settling import Settling
from lorapod.storage.mirror.snapshot import standing_still
from lorapod.storage.orphans import OrphanSweep
from lorapod.storage.port import ObjectStore
from lorapod.wire.dataset import S3Prefix
from lorapod.wire.storage import HuggingFaceRepo, Target

logger = logging.getLogger(__name__)

#: Opens a target. Raises `WorkerError` where credentials are missing.
OpenTarget = Callable[[Target], AbstractContextManager[ObjectStore]]

#: Between two looks at a run's folder where nothing tells of a new file: network volumes have no events.
RESCAN_S = 10.0
#: Between two uploads of a log that grows.
LOG_INTERVAL_S = 60.0
#: Waits after a failure: they double from the first to the longest.
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 60.0


class Mirror:
    """Sends one run to one target, a step at a time; for one thread, which the training never waits for."""

    def __init__(
        self,
        run: Run,
        ledger: UploadLedger,
        *,
        path: Path,
        open_target: OpenTarget,
        clock: Clock,
        scratch: Path,
    ) -> None:
        """Take up a ledger that is kept at `path`; `scratch` is a folder on local disk for copies of logs."""
        self.run = run
        self.ledger = ledger
        self._path = path
        self._open = open_target
        self._clock = clock
        self._scratch = scratch
        self._target = ledger.target.targets[0]
        self._settling = Settling(clock)
        self._logged: dict[str, float] = {}
        self._wait_s = FIRST_WAIT_S
        self._retry_due = 0.0
        self._orphans = OrphanSweep(clock)
        self._refused: dict[str, tuple[int, int]] = {}
        self._refused_card: str | None = None

    def step(self, *, still: bool) -> float | None:
        """Send what is due, and say in how many seconds to come again; None: all is done.

        `still`: the training has ended, so no file changes any more.
        """
        self._catch_up()
        found = list(find_artifacts(self.run))
        self._settling.look(found)
        missing = [artifact for artifact in found if not self.ledger.holds(artifact)]
        if (wait_s := self._retry_due - self._clock.monotonic()) > 0:
            return wait_s
        due = [artifact for artifact in missing if self._is_due(artifact, still=still)]
        if due:
            self._send_all(due)
        if self._retry_due <= self._clock.monotonic():
            self._tell_card(found, still=still)
        if (wait_s := self._retry_due - self._clock.monotonic()) > 0:
            return wait_s
        if still:
            return None
        rest = [artifact for artifact in missing if artifact not in due and artifact.kind is not Kind.LOG]
        waits = [self._settling.due(artifact) - self._clock.monotonic() for artifact in rest]
        return min([RESCAN_S, *(wait_s for wait_s in waits if wait_s > 0)])

    def _is_due(self, artifact: Artifact, *, still: bool) -> bool:
        if self._refused.get(artifact.key) == artifact.state:
            return False
        if artifact.kind is Kind.LOG and not still:
            # A database is sent when nobody writes it any more. On the Hub, each upload would be a commit for ever.
            if artifact.path.suffix != ".log" or isinstance(self._target, HuggingFaceRepo):
                return False
            last_s = self._logged.get(artifact.key)
            return last_s is None or self._clock.monotonic() >= last_s + LOG_INTERVAL_S
        return self._settling.settled(artifact, still=still)

    def _send_all(self, artifacts: list[Artifact]) -> None:
        """Send until the target does not answer; what it refuses for good stands in the ledger."""
        try:
            with self._open(self._target) as store:
                for artifact in artifacts:
                    self._catch_up()
                    if not self.ledger.holds(artifact) and not self._send(artifact, store):
                        return
                self._orphans.look(store, self._own_folder)
        except WorkerError as error:
            # The target itself cannot be opened: its settings are missing or wrong.
            self._note_failure("", error, retryable=error.retryable)
            self._refused.update({artifact.key: artifact.state for artifact in artifacts})

    @property
    def _own_folder(self) -> str:
        """What nobody else uploads to: all of the endpoint's own target where it is a folder, else the model's."""
        target = self._target
        if (
            isinstance(target, S3Prefix)
            and target.prefix
            and self.run.root.startswith(f"{self.run.process_id}/")
        ):
            return ""
        return f"{self.run.root}/"

    def _tell_card(self, found: list[Artifact], *, still: bool) -> None:
        """Write the card of a repository, where it is time and it has news; a commit each, so seldom."""
        if self.ledger.card is not None and not still:
            return
        text = card_of(self.ledger, found)
        if text is None:
            return
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest in {self.ledger.card, self._refused_card}:
            return
        try:
            with self._open(self._target) as store:
                if not put_card(store, text, self._scratch):
                    logger.info("somebody's own card stands", extra={"process_id": self.run.process_id})
        except (WorkerError, OSError) as error:
            retryable = not isinstance(error, WorkerError) or error.retryable
            self._refused_card = None if retryable else digest
            self._note_failure(CARD, error, retryable=retryable)
            return
        self._wait_s = FIRST_WAIT_S
        failed = {key: why for key, why in self.ledger.failed.items() if key != CARD}
        self._keep(replace(self.ledger, card=digest, failed=failed))

    def _send(self, artifact: Artifact, store: ObjectStore) -> bool:
        """Whether the target answered."""
        self._logged[artifact.key] = self._clock.monotonic()
        try:
            with standing_still(artifact, self._scratch) as path:
                sha256 = _digest(path)
                before = self.ledger.sent.get(artifact.key)
                if before is None or before.sha256 != sha256:
                    store.put_file(path, artifact.key, sha256=sha256)
            status = artifact.path.stat()
        except WorkerError as error:
            if not error.retryable:
                self._refused[artifact.key] = artifact.state
            self._note_failure(artifact.key, error, retryable=error.retryable)
            return not error.retryable
        except FileNotFoundError:
            return True
        except OSError as error:
            # Of this file alone; the others go on.
            self._note_failure(artifact.key, error, retryable=True)
            return True
        if artifact.kind is not Kind.LOG and (status.st_size, status.st_mtime_ns) != artifact.state:
            # It was written meanwhile, so what was sent is nobody's: the next step sends it again.
            return True
        sent = Sent(size_bytes=artifact.size_bytes, mtime_ns=artifact.mtime_ns, sha256=sha256)
        self._wait_s = FIRST_WAIT_S
        failed = {key: why for key, why in self.ledger.failed.items() if key not in {artifact.key, ""}}
        self._keep(replace(self.ledger, sent={**self.ledger.sent, artifact.key: sent}, failed=failed))
        return True

    def _note_failure(self, key: str, error: WorkerError | OSError, *, retryable: bool) -> None:
        logger.warning(
            "artifact cannot be sent",
            extra={"process_id": self.run.process_id, "key": key, "reason": str(error), "retried": retryable},
        )
        self._keep(replace(self.ledger, failed={**self.ledger.failed, key: str(error)}))
        if retryable:
            self._retry_due = self._clock.monotonic() + self._wait_s
            self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)

    def _catch_up(self) -> None:
        """Take over what another worker wrote, which took this process for abandoned or has taken it up."""
        if (kept := read_ledger(self._path)) is not None:
            self.ledger = self.ledger.merged(kept)

    def _keep(self, ledger: UploadLedger) -> None:
        if ledger == self.ledger:
            return
        self.ledger = ledger
        try:
            write_ledger(self._path, ledger)
        except OSError as error:
            # A full disk must not end the mirror; a later step writes it, at worst a file is sent twice.
            logger.warning(
                "ledger cannot be kept", extra={"process_id": self.run.process_id, "reason": str(error)}
            )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
