"""Start, watch and end all mirrors of one worker."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lorapod.clock import Clock
from lorapod.deadline import Deadline
from lorapod.lease import LeaseState
from lorapod.storage.mirror.ledger import UploadLedger, ledger_path, ledgers_of, read_ledger, write_ledger
from lorapod.storage.mirror.mirror import Mirror
from lorapod.storage.mirror.trial import UploadTrials, labelled, plain_name
from lorapod.storage.mirror.watch import watching
from lorapod.storage.model_card import TrainedModel
from lorapod.storage.port import OpenStore
from lorapod.storage.s3_access import JobS3
from lorapod.wire.storage import Target, UploadTargets
from lorapod.work_marker import RENEW_S, WorkMarker
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)

#: Most uploads of one worker at a time.
SENDS_AT_ONCE = 4
#: Most seconds that a store of a mirror retries by itself: meanwhile it occupies one of `SENDS_AT_ONCE`.
MIRROR_RETRIES_S = 15.0
#: Seconds to wait after a file event, so that a burst of them is handled at once.
GATHER_S = 0.5
#: Added to the niceness of the mirror threads: the trainer comes first.
NICENESS = 10


@dataclass(kw_only=True)
class MirroredProcess:
    """One process whose artifacts this worker sends."""

    #: The run that started it; 0 if another worker left it.
    generation: int = 0
    #: Its training has ended; see `Mirror.step`.
    still: bool = False
    #: The S3 server that the job brought with it, with credentials.
    job_s3: JobS3 | None = None
    #: Another worker has taken the process up.
    given_up: bool = False
    wakes: list[threading.Event] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    unfinished: int = 0

    def wake(self) -> None:
        """Have every mirror of the process look again."""
        for event in self.wakes:
            event.set()


class Mirrors:
    """Runs a thread for each target of each process; safe for any thread. No method but `close` waits for a store."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        clock: Clock,
        scratch: Path,
        open_target: OpenStore[Target],
        default: UploadTargets | None,
        has_ended: Callable[[str], bool],
    ) -> None:
        """Start nothing.

        Args:
            workspace: holds the runs and ledgers.
            clock: the time.
            scratch: a folder on local disk.
            open_target: opens stores.
            default: the targets of orders that name none; each process gets a folder of its id there.
            has_ended: answers whether a process has ended, on any worker.
        """
        self._workspace = workspace
        self._clock = clock
        self._scratch = scratch
        self._open = open_target
        self._default = default
        self.trials = UploadTrials(
            workspace=workspace, scratch=scratch, open_target=open_target, default=default
        )
        self._has_ended = has_ended
        self._marker = WorkMarker(workspace.processes / ".uploads", clock)
        self._active: dict[str, MirroredProcess] = {}
        self._lock = threading.Lock()
        self._sending = threading.BoundedSemaphore(SENDS_AT_ONCE)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._sweep_until_closed, name="mirrors", daemon=True)

    def start(self) -> None:
        """Start to send what dead workers left unsent; returns at once."""
        self._thread.start()

    def begin(
        self,
        process_id: str,
        generation: int,
        *,
        model: TrainedModel,
        run_folder: Path,
        upload: Mapping[str, Any] | None,
        job_s3: JobS3 | None = None,
    ) -> None:
        """Mirror a run that is about to start to the targets of its order and of its earlier runs.

        Raises:
            OSError: the ledger cannot be written.
            InvalidInput: a local target is a folder that artifacts are read from.
        """
        targets = UploadTargets.model_validate(upload) if upload is not None else self._default
        if targets is not None:
            self.trials.refuse_own_folders(targets)
            # Many processes share the default target, so each gets its own folder.
            name = plain_name(model.name)
            root = name if upload is not None else f"{process_id}/{name}"
            for label, target in labelled(targets).items():
                fresh = UploadLedger(
                    target=UploadTargets.model_validate({label: target}),
                    folder=self._workspace.relative(run_folder),
                    log=self._workspace.relative(self._workspace.log_path(process_id)),
                    root=root,
                    model=model,
                    job_s3=job_s3 if upload is not None and label == "s3" else None,
                )
                self._ensure_ledger(process_id, label, fresh)
        self._start_mirrors(process_id, MirroredProcess(generation=generation, job_s3=job_s3))

    def end(self, process_id: str, generation: int, *, lost: bool) -> None:
        """Send the rest of a run: its files change no more. `lost`: another worker holds the process and sends it."""
        with self._lock:
            active = self._active.get(process_id)
            if active is not None and active.generation == generation:
                active.still, active.given_up = True, lost
                active.wake()

    def finished(self, process_id: str) -> bool:
        """Return True once every uploadable file of an ended process has been uploaded."""
        return not self._marker.stands(process_id)

    def close(self, deadline: Deadline) -> None:
        """Stop; wait until `deadline` for what is being sent. The rest stays marked for another worker."""
        with self._lock:
            threads = [thread for active in self._active.values() for thread in active.threads]
        for thread in threads:
            thread.join(deadline.left_s)
        self._closing.set()
        with self._lock:
            for active in self._active.values():
                active.wake()
        if self._thread.is_alive():
            self._thread.join(deadline.left_s)

    def sweep(self) -> None:
        """Renew the marks of what this worker sends, and take over what no worker sends.

        Raises:
            OSError: the workspace does not answer.
        """
        with self._lock:
            mine = dict(self._active)
        for process_id, active in mine.items():
            if active.still and not self._has_ended(process_id):
                # Another worker runs the process, and its files change again: that worker sends them.
                active.given_up = True
                active.wake()
                continue
            with self._lock:
                # Everything may have been sent meanwhile, and the mark removed.
                if self._active.get(process_id) is not active:
                    continue
                lost = self._marker.renew(process_id) is LeaseState.LOST
            if lost:
                # Another worker took this one for dead, and sends it.
                active.given_up = True
                active.wake()
        for process_id in self._marker.abandoned():
            if process_id in mine:
                continue
            if not self._workspace.process_folder(process_id).exists():
                self._marker.remove(process_id)
            elif self._has_ended(process_id):
                logger.info("sending what another worker left", extra={"process_id": process_id})
                self._start_mirrors(process_id, MirroredProcess(still=True))

    def _ensure_ledger(self, process_id: str, label: str, fresh: UploadLedger) -> None:
        path = ledger_path(self._workspace, process_id, label)
        kept = read_ledger(path)
        if kept is None or not kept.goes_where(fresh):
            write_ledger(path, fresh)

    def _start_mirrors(self, process_id: str, active: MirroredProcess) -> None:
        """Start a thread for every ledger of a process."""
        ledgers = list(ledgers_of(self._workspace, process_id))
        if not ledgers:
            self._marker.remove(process_id)
            return
        with self._lock:
            self._marker.set(process_id)
            before = self._active.get(process_id)
            self._active[process_id] = active
            if before is not None:
                # Its last pass still runs; the mirrors of the new run do the rest of it.
                before.given_up = True
                before.wake()
            for path, ledger in ledgers:
                mirror = Mirror(
                    ledger.run(process_id, self._workspace),
                    ledger,
                    path=path,
                    # No ledger holds credentials: what another worker left is sent with the endpoint's own.
                    open_target=partial(
                        self._open, job_s3=ledger.job_s3 and (active.job_s3 or ledger.job_s3)
                    ),
                    clock=self._clock,
                    scratch=self._scratch,
                )
                wake = threading.Event()
                thread = threading.Thread(
                    target=self._run, args=(mirror, active, wake), name=f"mirror-{path.stem}", daemon=True
                )
                active.wakes.append(wake)
                active.threads.append(thread)
            active.unfinished = len(active.threads)
        for thread in active.threads:
            thread.start()

    def _run(self, mirror: Mirror, active: MirroredProcess, wake: threading.Event) -> None:
        process_id = mirror.run.process_id
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
            with watching(mirror.run.folder, wake):
                done = self._mirror(mirror, active, wake)
        except Exception:
            logger.exception("mirror failed", extra={"process_id": process_id})
            # No one touches its mark any more, so a worker takes it over later.
            done, active.given_up = False, True
            active.wake()
        with self._lock:
            active.unfinished -= int(done)
            if self._active.get(process_id) is active and (active.given_up or not active.unfinished):
                del self._active[process_id]
                if not active.given_up:
                    self._marker.remove(process_id)

    def _mirror(self, mirror: Mirror, active: MirroredProcess, wake: threading.Event) -> bool:
        """Run a mirror, and return whether everything was sent."""
        while not self._closing.is_set() and not active.given_up:
            wake.clear()
            with self._sending:
                wait_s = mirror.step(still=active.still)
            if wait_s is None:
                return True
            if wake.wait(wait_s) and not active.still:
                self._closing.wait(GATHER_S)
        return False

    def _sweep_until_closed(self) -> None:
        while not self._closing.wait(RENEW_S):
            try:
                self.sweep()
            except Exception:
                logger.exception("sweep of uploads failed")
