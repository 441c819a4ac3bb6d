"""The ComfyUI server for jobs: one that runs already, or one that this worker starts, and restarts after a crash."""

from __future__ import annotations

import logging
import shlex
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from yarl import URL

from lorapod.engines.comfyui.extensions.preparation import (
    extension_problems,
    note_own_imports,
    with_extensions,
)
from lorapod.engines.comfyui.folders import argv_of
from lorapod.engines.comfyui.server_child import ServerChild
from lorapod.engines.comfyui.server_probe import ServerView, has_gpu, is_local, look_at
from lorapod.engines.port import GenerationProgress, GenerationRun, GenerationStopped
from lorapod.errors import OutOfMemory, UpstreamError, WorkerError, WorkerTimeout
from lorapod.installations import Installation, ProgramSpec
from lorapod.processes.launch import LaunchSpec
from lorapod.settings import Settings

#: Its usual places in container images.
IMAGE_ROOTS = (Path("/comfyui"), Path("/app/ComfyUI"))
#: Its usual Python there.
IMAGE_PYTHON = Path("/opt/venv/bin/python")

COMFYUI = ProgramSpec(
    name="ComfyUI",
    prefix="COMFYUI",
    entry="main.py",
    folder="comfy",
    version_module="comfyui_version.py",
    version_name="__version__",
)


logger = logging.getLogger(__name__)
#: How long to wait for an answer when probing.
ASK_S = 0.1
#: How long to wait for an answer when a request depends on it.
_DECIDE_S = 1.0
#: The argument that has ComfyUI use the processor.
_CPU = "--cpu"
#: Between two probes of a server that is starting.
_STARTING_S = 0.1
#: How long a server counts as running after a job, without a probe.
BELIEVED_S = 10.0
#: After so many crashes in a row, without a finished job between them, wait before the next start.
CRASHES_MAX = 3
CRASHES_REST_S = 300.0


def find_installation(
    path: Path | None, python: Path | None, workspace: Path
) -> tuple[Installation | None, str]:
    """Return the installation to use, and one sentence: where it is, or what is missing.

    Args:
        path: `COMFYUI_PATH`; None: an image's usual places, then `<workspace>/ComfyUI`.
        python: `COMFYUI_PYTHON`; None: the virtual environment in its root, else the image's.
        workspace: the workspace's root.
    """
    return COMFYUI.find(_places(path, workspace), python, otherwise=IMAGE_PYTHON)


def find_root(path: Path | None, workspace: Path) -> Path | None:
    """Return the installation's folder, whether or not there is a Python for it."""
    return COMFYUI.find_root(_places(path, workspace))


def _places(path: Path | None, workspace: Path) -> Sequence[Path]:
    return [path] if path is not None else [*IMAGE_ROOTS, workspace / "ComfyUI"]


class ServerDied(UpstreamError):
    """ComfyUI ended by itself."""


class ComfyServer:
    """Finds or starts the server; one generation at a time uses it, any thread may probe it."""

    def __init__(self, settings: Settings, workspace: Path) -> None:
        """Start nothing yet."""
        self.url = settings.comfyui_url.rstrip("/")
        self._settings = settings
        self._workspace = workspace
        self._lock = threading.Lock()
        self._child: ServerChild | None = None
        #: The GPU that the child was started for.
        self._devices: str | None = None
        #: The last `system_stats` of the server, and until when they count.
        self._stats: Mapping[str, Any] = {}
        self._believed_s = 0.0
        self._crashes = 0
        self._crashed_s = 0.0
        self._closed = False

    @property
    def root(self) -> Path | None:
        """The installation whose folders the server uses; None if they cannot be reached from here."""
        if not is_local(self.url):
            return None
        return find_root(self._settings.comfyui_path, self._workspace)

    def find(self) -> tuple[Installation | None, str]:
        """Return the ComfyUI of this machine, and one sentence about it."""
        settings = self._settings
        return find_installation(settings.comfyui_path, settings.comfyui_python, self._workspace)

    def look(self, timeout_s: float = ASK_S) -> ServerView:
        """Probe the URL; any thread."""
        return look_at(self.url, timeout_s)

    def problems(self) -> Mapping[str, str]:
        """Return what is wrong with the extensions that are asked for, as `health` shows it; any thread."""
        return extension_problems(self._settings.comfyui_nodes, self.root, self._workspace)

    def needs_gpu(self) -> bool:
        """Return whether this machine must have a GPU; any thread.

        A server that answers decides itself: its devices and its `--cpu` are its owner's choice. For one that this worker
        would start, `--cpu` in `COMFYUI_ARGS` is that choice.
        """
        if not is_local(self.url):
            return False
        view = self.look(_DECIDE_S)
        if view.stats is None:
            return _CPU not in shlex.split(self._settings.comfyui_args)
        return not has_gpu(view.stats) and _CPU not in argv_of(view.stats)

    @property
    def owned(self) -> bool:
        """Whether the server is this worker's own child, and runs."""
        return self._child is not None and self._child.alive

    def ready(self, run: GenerationRun) -> Mapping[str, Any]:
        """Wait for a server that answers, start one if none runs, and return its `system_stats`.

        A server that has just done a job is not asked again; if it has gone, the job notices.

        Raises:
            GenerationStopped: the generation was stopped meanwhile; the server continues to start.
            ServerDied: it ended while it started.
            WorkerTimeout: it does not answer within `STARTUP_TIMEOUT`.
            UpstreamError: no server could be started, it crashed repeatedly, or another program has its port.
            OSError: it cannot be started.
        """
        until_s = time.monotonic() + self._settings.startup_timeout
        self._leave_other_gpu(run)
        before, started = self._child, False
        if time.monotonic() < self._believed_s and (before is None or before.alive):
            self._believed_s = 0.0
            return self._stats
        while True:
            view = self.look(ASK_S if not started else 1.0)
            if view.stats is not None:
                self._stats = view.stats
                if (child := self._child) is not None and child is not before:
                    self._note_imports(child)
                return view.stats
            if view.foreign:
                raise UpstreamError(
                    f"The program at {self.url} is not ComfyUI.", hint="Give COMFYUI_URL another port."
                )
            self._check_start(before)
            if not started:
                run.report(GenerationProgress(detail="starting ComfyUI"))
                started = True
            if not view.listens and not self.owned:
                self._start(run, until_s)
            self._wait_a_little(run, until_s)

    def check(self) -> bool:
        """Return whether the server is known to be alive: True for a running child, False for a server of someone else.

        Raises:
            ServerDied: the child has ended, or was ended with the worker.
            OutOfMemory: the system killed it, most likely for lack of memory.
        """
        if self._closed:
            raise ServerDied("ComfyUI was ended with its worker.")
        child = self._child
        if child is None or child.alive:
            return child is not None
        self._child = None
        self._crashes += 1
        self._crashed_s = time.monotonic()
        assert child.exit is not None
        if child.exit.signal == signal.SIGKILL:
            raise OutOfMemory(
                "ComfyUI was killed: most likely the machine ran out of memory.",
                hint="Take a machine with more memory, or smaller models.",
            )
        how = f"signal {child.exit.signal}" if child.exit.signal else f"exit code {child.exit.exit_code}"
        raise ServerDied(f"ComfyUI ended with {how}. Its last output: {child.last_words[:300] or 'none'}")

    def worked(self) -> None:
        """Forget earlier crashes, and trust the server for a moment: a job has just ended well."""
        self._crashes = 0
        self._believed_s = time.monotonic() + BELIEVED_S

    def listen(self, listener: Callable[[str], None] | None) -> None:
        """Send the child's output to `listener` from now on."""
        if self._child is not None:
            self._child.listen(listener)

    def stop(self) -> None:
        """End the child, if there is one; leave a server alone that was not started here. Any thread."""
        self._believed_s = 0.0
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.stop()

    def close(self) -> None:
        """End the child, and start no other."""
        self._closed = True
        self.stop()

    def _leave_other_gpu(self, run: GenerationRun) -> None:
        """Stop a child that was started for another GPU than this generation has."""
        if self.owned and self._devices != run.slot.visible_devices:
            self.stop()

    def _check_start(self, before: ServerChild | None) -> None:
        """Check as `check` does, but accept that the child `before` has died since its last job."""
        found = self._child
        try:
            self.check()
        except WorkerError as error:
            if found is not before:
                raise
            logger.warning("comfyui ended between jobs", extra={"reason": error.message})

    def _start(self, run: GenerationRun, until_s: float) -> None:
        installation, detail = self.find()
        if installation is None:
            raise UpstreamError(f"No ComfyUI answers at {self.url}. {detail}")
        if self._crashes >= CRASHES_MAX and time.monotonic() - self._crashed_s < CRASHES_REST_S:
            raise UpstreamError(
                f"ComfyUI ended {self._crashes} times in a row and is not restarted for a while.",
                hint="Its last output is in the logs of the generations that it failed.",
            )
        installation = with_extensions(installation, self._settings, self._workspace, run, until_s=until_s)
        spec = self._spec(installation, cpu=run.slot.gpu is None)
        with self._lock:
            if self._closed:
                raise GenerationStopped
            self._devices = run.slot.visible_devices
            self._child = ServerChild.start(spec, run.environment)
            self._child.listen(run.log)
        logger.info("comfyui started", extra={"root": str(installation.root), "gpu": run.slot.gpu})

    def _note_imports(self, child: ServerChild) -> None:
        if (root := self.root) is not None:
            note_own_imports(child.last_lines, self._settings, root, self._workspace)

    def _spec(self, installation: Installation, *, cpu: bool) -> LaunchSpec:
        address = URL(self.url)
        own = ["--listen", address.host or "127.0.0.1", "--port", str(address.port), "--disable-auto-launch"]
        asked = shlex.split(self._settings.comfyui_args)
        if self._settings.comfy_log_level is not None and "--verbose" not in asked:
            own += ["--verbose", self._settings.comfy_log_level]
        if cpu and _CPU not in asked:
            own.append(_CPU)
        return LaunchSpec(
            argv=(str(installation.python), str(installation.entry), *own, *asked), cwd=installation.root
        )

    def _wait_a_little(self, run: GenerationRun, until_s: float) -> None:
        if run.stopped():
            raise GenerationStopped
        if time.monotonic() >= until_s:
            slow = "is still starting" if self.owned else "does not answer"
            raise WorkerTimeout(
                f"ComfyUI {slow} after {self._settings.startup_timeout:.0f} s.",
                hint="Raise STARTUP_TIMEOUT if its models and extensions need longer.",
            )
        time.sleep(_STARTING_S)
