"""The warm trainers of one worker: which template process serves which launch, and when one is started."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorapod.processes.child import Child, start_child
from lorapod.processes.launch import LaunchSpec, WarmSpec
from lorapod.processes.template.template import Template, TemplateGone

logger = logging.getLogger(__name__)

#: Time between a worker's start and its first import, in seconds: the start must stay fast.
IDLE_S = 3.0

#: Number of deaths of a trainer's template processes after which it is started cold for good.
MOST_DEATHS = 3

#: It differs between launches; the imports may see only whether it names a GPU.
_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class _TemplateKey:
    """What a template process was made from; it serves launches with the same."""

    sources: str
    environment: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, warm: WarmSpec, environment: Mapping[str, str]) -> _TemplateKey:
        devices = "some" if environment.get(_DEVICES, "all") else "none"
        return cls(
            sources=fingerprint(warm.sources),
            environment=frozenset({**environment, _DEVICES: devices}.items()),
        )


@dataclass(kw_only=True)
class _CurrentTemplate:
    """The current template process of one trainer."""

    key: _TemplateKey
    template: Template | None = None
    deaths: int = 0


class TemplatePool:
    """A `lorapod.processes.starting.Starter` that forks from a template process if it can.

    The imports begin `IDLE_S` after the worker's start, beside the uploads and downloads that come before a training:
    the start itself must stay fast, and RunPod stops many workers before they train. A training that comes earlier
    starts the imports and waits for them: a cold start would do them itself, so the training loses nothing, and the
    machine never imports one trainer twice at a time. Imports that fail, or take longer than `IMPORT_LIMIT_S`, delay
    one launch by that time; after that the trainer is started cold, until its source or the environment changes.
    """

    def __init__(self) -> None:
        """Begin without a template process."""
        self._current: dict[WarmSpec, _CurrentTemplate] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def begin_soon(self, warm: WarmSpec | None, environment: Mapping[str, str]) -> None:
        """Start to import a trainer `IDLE_S` from now; return at once."""
        if warm is None:
            return

        def begin() -> None:
            if not self._closed.wait(IDLE_S):
                self._template_for(warm, environment)

        threading.Thread(target=begin, name="warm-trainer", daemon=True).start()

    def await_ready(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        """Wait until the imports are done or have failed, or `given_up` returns True."""
        if warm is not None and (template := self._template_for(warm, environment)) is not None:
            template.await_ready(given_up)

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        """Fork a child if a template process is ready, else start it cold; do not wait.

        Raises:
            OSError: see `lorapod.processes.child.start_child`.
        """
        arguments = _program(spec, warm)
        if warm is not None and arguments and (template := self._ready(warm, environment)) is not None:
            try:
                return template.start_child(spec, arguments, environment, fence_s=fence_s)
            except (TemplateGone, OSError) as error:
                logger.warning("cold start instead of a warm one", extra={"reason": str(error)})
        return start_child(spec, environment, fence_s=fence_s)

    def close(self) -> None:
        """End every template process; trainings that still run continue."""
        self._closed.set()
        with self._lock:
            for current in self._current.values():
                if current.template is not None:
                    current.template.kill()
            self._current.clear()

    def template_pids(self) -> Sequence[int]:
        """Return the ids of the template processes that are alive."""
        with self._lock:
            templates = [current.template for current in self._current.values()]
        return [template.pid for template in templates if template is not None and template.alive]

    def _ready(self, warm: WarmSpec, environment: Mapping[str, str]) -> Template | None:
        key = _TemplateKey.of(warm, environment)
        with self._lock:
            current = self._current.get(warm)
            if (
                current is None
                or current.key != key
                or current.template is None
                or not current.template.ready
            ):
                return None
            return current.template

    def _template_for(self, warm: WarmSpec, environment: Mapping[str, str]) -> Template | None:
        """Return the template process for a launch, and start it if needed; None if launches are to be cold."""
        key = _TemplateKey.of(warm, environment)
        with self._lock:
            if self._closed.is_set():
                return None
            current = self._current.get(warm)
            if current is None or current.key != key:
                if current is not None and current.template is not None:
                    logger.info("warm trainer is out of date", extra={"pid": current.template.pid})
                    current.template.retire()
                current = self._current[warm] = _CurrentTemplate(key=key)
            elif current.template is None or current.template.failed:
                return None
            elif current.template.alive:
                return current.template
            else:
                current.deaths += 1
                logger.warning("warm trainer died", extra={"deaths": current.deaths})
                current.template.retire()
                current.template = None
                if current.deaths >= MOST_DEATHS:
                    return None
            try:
                current.template = Template(warm, environment)
            except OSError as error:
                logger.warning("trainer cannot be kept warm", extra={"reason": str(error)})
            return current.template


def _program(spec: LaunchSpec, warm: WarmSpec | None) -> Sequence[str]:
    """Return what follows the interpreter and its options: a script or a module; nothing if it is neither."""
    if warm is None or spec.argv[: len(warm.python)] != warm.python:
        return ()
    arguments = spec.argv[len(warm.python) :]
    is_program = arguments[:1] == ("-m",) or not "".join(arguments[:1]).startswith("-")
    return arguments if is_program else ()


def fingerprint(sources: Iterable[Path]) -> str:
    """Return a digest of path, size and time of every file in `sources`, and of every Python file in folders of them.

    A missing file changes the digest too. No file is opened: 400 files take a few milliseconds on a local disk.
    """
    digest = hashlib.sha256()
    for source in sources:
        for path, stat in _files(source):
            digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _files(source: Path) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = sorted(os.scandir(source), key=lambda entry: entry.name)
    except NotADirectoryError:
        yield str(source), source.stat()
        return
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith((".", "__pycache__")):
            yield from _files(Path(entry.path))
        elif entry.name.endswith(".py"):
            yield entry.path, entry.stat()
