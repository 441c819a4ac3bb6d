"""`python -m lorapod.fast.building LOCK BACKEND ENVIRONMENTS LEASE_S KEEP_FREE_BYTES [--again]`.

Makes the environment, or waits for another worker that makes it, and reports its progress on stdout, one JSON object on
each line; the last one has `ready` or `error`. Its stdin is a pipe from its worker: when the pipe ends, the worker has
ended, and this process ends too, with pip, which is in the same session.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorapod.errors import InsufficientStorage, InternalError, Unsupported, WorkerError
from lorapod.fast.building.environments import BuiltEnvironment, EnvironmentSpec, EnvironmentStore
from lorapod.fast.building.pip import install
from lorapod.fast.building.steps import BuildStage, BuildStep
from lorapod.fast.building.turn import BuildTurn
from lorapod.lease import LeaseState, LeaseTimes
from lorapod.library_errors import DISK_FULL

#: How often it looks at the progress of another builder.
LOOK_S = 0.5

#: How long a builder whose worker is gone tries to leave its turn, in seconds.
GIVE_UP_S = 2.0

#: A low priority, because the worker answers jobs meanwhile.
NICENESS = 10

#: The statement that must run in a finished environment.
CHECK = "import lorapod.worker"


class Builder:
    """A builder of one environment."""

    def __init__(self, store: EnvironmentStore, *, lease_s: float, keep_free_bytes: int) -> None:
        """Build nothing before `run`."""
        self._store = store
        self._keep_free_bytes = keep_free_bytes
        times = LeaseTimes(lease_s=lease_s)
        self._turn = BuildTurn(store.folder, times)
        self._beat_s = times.beat_s
        self._stage = BuildStage(step=BuildStep.WAITING)

    def run(self, *, again: bool) -> BuiltEnvironment:
        """Return the environment, made by this builder or by another worker meanwhile.

        Args:
            again: make a new environment even if there is one.

        Raises:
            WorkerError: the environment cannot be made.
            OSError: the disk failed.
        """
        before = self._store.ready()
        self._store.folder.mkdir(parents=True, exist_ok=True)
        while True:
            found = self._store.ready()
            if found is not None and not (again and found == before):
                return found
            if not self._turn.take():
                _say(asdict(self._stage) | dict(self._turn.news()) | {"elsewhere": True})
                time.sleep(LOOK_S)
                continue
            try:
                return self._make(instead=before)
            except (WorkerError, OSError):
                # The folder of a builder that was taken for dead is swept away by the next one.
                if self._turn.check() is not LeaseState.LOST:
                    raise
            finally:
                self._turn.leave()

    def give_up(self) -> None:
        """Give up the turn at once; call this from any thread, just before the end."""
        self._turn.leave()

    def _make(self, *, instead: BuiltEnvironment | None) -> BuiltEnvironment:
        # Another worker may have finished between the look and the turn.
        found = self._store.ready()
        if found is not None and found != instead:
            return found
        began_s = time.monotonic()
        folder = self._store.new_build()
        left = self._store.left_builds()
        # In this order: what another builder begins after it took this one for dead is not in the list.
        if self._turn.check() is LeaseState.HELD:
            self._store.sweep(left)
        over = threading.Event()
        threading.Thread(target=self._keep_reporting, args=(over,), name="turn", daemon=True).start()
        try:
            packages = self._fill(folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            over.set()
        if self._turn.check() is LeaseState.LOST:
            # The next builder may be sweeping this folder away: it must not be published.
            shutil.rmtree(folder, ignore_errors=True)
            raise InternalError(
                "Another worker makes the environment now, because this one stood still for too long."
            )
        prepared = BuiltEnvironment(
            folder=folder.name, took_s=round(time.monotonic() - began_s, 1), packages=packages
        )
        # A published environment must survive a crash of the machine.
        os.sync()
        used = self._store.publish(prepared, instead=instead)
        if used != prepared:
            shutil.rmtree(folder, ignore_errors=True)
        return used

    def _fill(self, folder: Path) -> int:
        free_bytes = shutil.disk_usage(self._store.folder).free
        if free_bytes < self._keep_free_bytes:
            raise InsufficientStorage(
                f"Only {free_bytes} bytes are free on the disk of the environment; {self._keep_free_bytes} must stay free.",
                hint="Free disk or attach a larger volume, then send `setup_environment`.",
            )
        self._report(BuildStage(step=BuildStep.CREATING))
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        python = folder / "bin/python"
        packages = install(python, self._store.spec.lock, self._report)
        self._report(BuildStage(step=BuildStep.CHECKING))
        (site_packages,) = folder.glob("lib/python*/site-packages")
        (site_packages / "lorapod.pth").write_text(f"{self._store.spec.backend}\n", encoding="utf-8")
        checked = subprocess.run(
            [str(python), "-I", "-c", CHECK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if checked.returncode:
            last = checked.stderr.strip().splitlines() or ["no reason given"]
            raise Unsupported(
                f"The worker does not run in the environment that FAST_LOCK makes: {last[-1][:300]}",
                hint="Complete the lock, then send `setup_environment`.",
            )
        return packages

    def _report(self, stage: BuildStage) -> None:
        self._stage = stage
        _say(asdict(stage))

    def _keep_reporting(self, over: threading.Event) -> None:
        while not over.wait(self._beat_s):
            self._turn.tell(asdict(self._stage))


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _end_with_worker(builder: Builder) -> None:
    """Wait for the end of stdin, which means that the worker has ended; then give up the turn and end, with pip."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    giving_up = threading.Thread(target=builder.give_up, daemon=True)
    giving_up.start()
    # A volume that does not answer must not keep pip alive.
    giving_up.join(GIVE_UP_S)
    os.killpg(0, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Build and report the result; return 0 also for a failure, because it was reported."""
    lock, backend, environments, lease_s, keep_free_bytes, *options = arguments
    os.nice(NICENESS)
    try:
        spec = EnvironmentSpec(lock=Path(lock), backend=Path(backend), environments=Path(environments))
        store = EnvironmentStore(spec)
        builder = Builder(store, lease_s=float(lease_s), keep_free_bytes=int(keep_free_bytes))
        threading.Thread(target=_end_with_worker, args=(builder,), name="worker-gone", daemon=True).start()
        prepared = builder.run(again="--again" in options)
    except WorkerError as error:
        _say({"error": error.message, "code": error.code, "hint": error.hint})
    except OSError as error:
        failure = _disk_error(error)
        _say({"error": failure.message, "code": failure.code, "hint": failure.hint})
    else:
        _say({"ready": str(store.python(prepared))})
    return 0


def _disk_error(error: OSError) -> WorkerError:
    if error.errno in DISK_FULL:
        return InsufficientStorage(
            "The disk became full while the environment was made.",
            hint="Free disk or attach a larger volume, then send `setup_environment`.",
        )
    where = error.filename or "the disk"
    return InternalError(
        f"The environment cannot be made: {where}: {error.strerror or type(error).__name__}.",
        hint="Check the volume and FAST_LOCK, then send `setup_environment`.",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
