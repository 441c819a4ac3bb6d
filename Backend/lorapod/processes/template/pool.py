"""The warm trainers of one worker: which resident process serves which launch, and when one is begun."""

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

#: How long a worker is left to itself before it begins to import: a start must stay fast.
IDLE_S = 3.0

#: So many resident processes of one trainer may die before it is started cold for good.
MOST_DEATHS = 3

#: Differs from one launch to the next; of it the imports may see only whether there is a GPU.
_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """What a resident process was made from; it serves launches of the same."""

    sources: str
    environment: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, warm: WarmSpec, environment: Mapping[str, str]) -> _Basis:
        devices = "some" if environment.get(_DEVICES, "all") else "none"
        return cls(
            sources=fingerprint(warm.sources),
            environment=frozenset({**environment, _DEVICES: devices}.items()),
        )


@dataclass(kw_only=True)
class _Place:
    """The present resident process of one trainer."""

    basis: _Basis
    template: Template | None = None
    deaths: int = 0


class TemplatePool:
    """A `lorapod.processes.starting.Starter` that forks from a resident process where it can.

    When are the imports done? Not when the worker starts: a start must stay fast, and RunPod stops many workers before
    they train. But `IDLE_S` later, beside the uploads and downloads that come before a training; and if a training
    comes first, by that training: it waits for the imports, which it would otherwise do itself, and is then forked,
    so it loses nothing, and the machine never imports one trainer twice at a time. Imports that fail, or take longer
    than `IMPORT_LIMIT_S`, cost one launch that time; after that it is started cold, until the trainer's source or the
    environment changes.
    """

    def __init__(self) -> None:
        """Begin with nothing resident."""
        self._places: dict[WarmSpec, _Place] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def begin_soon(self, warm: WarmSpec | None, environment: Mapping[str, str]) -> None:
        """Have a trainer imported `IDLE_S` from now; returns at once."""
        if warm is None:
            return

        def begin() -> None:
            if not self._closed.wait(IDLE_S):
                self._begun(warm, environment)

        threading.Thread(target=begin, name="warm-trainer", daemon=True).start()

    def settle(
        self, warm: WarmSpec | None, environment: Mapping[str, str], given_up: Callable[[], bool]
    ) -> None:
        """Wait until it is decided how the next launch starts, but not beyond `given_up`."""
        if warm is not None and (template := self._begun(warm, environment)) is not None:
            template.await_ready(given_up)

    def start_child(
        self, spec: LaunchSpec, environment: Mapping[str, str], *, warm: WarmSpec | None, fence_s: float
    ) -> Child:
        """Fork a child where a resident process is ready, else start it cold; never waits.

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
        """End every resident process; trainings that still run go on."""
        self._closed.set()
        with self._lock:
            for place in self._places.values():
                if place.template is not None:
                    place.template.kill()
            self._places.clear()

    def template_pids(self) -> Sequence[int]:
        """The resident processes that are alive."""
        with self._lock:
            templates = [place.template for place in self._places.values()]
        return [template.pid for template in templates if template is not None and template.alive]

    def _ready(self, warm: WarmSpec, environment: Mapping[str, str]) -> Template | None:
        basis = _Basis.of(warm, environment)
        with self._lock:
            place = self._places.get(warm)
            if place is None or place.basis != basis or place.template is None or not place.template.ready:
                return None
            return place.template

    def _begun(self, warm: WarmSpec, environment: Mapping[str, str]) -> Template | None:
        """The resident process for a launch, begun where there is none; None where there shall be none."""
        basis = _Basis.of(warm, environment)
        with self._lock:
            if self._closed.is_set():
                return None
            place = self._places.get(warm)
            if place is None or place.basis != basis:
                if place is not None and place.template is not None:
                    logger.info("warm trainer is out of date", extra={"pid": place.template.pid})
                    place.template.retire()
                place = self._places[warm] = _Place(basis=basis)
            elif place.template is None or place.template.failed:
                return None
            elif place.template.alive:
                return place.template
            else:
                place.deaths += 1
                logger.warning("warm trainer died", extra={"deaths": place.deaths})
                place.template.retire()
                place.template = None
                if place.deaths >= MOST_DEATHS:
                    return None
            try:
                place.template = Template(warm, environment)
            except OSError as error:
                logger.warning("trainer cannot be kept warm", extra={"reason": str(error)})
            return place.template


def _program(spec: LaunchSpec, warm: WarmSpec | None) -> Sequence[str]:
    """What follows the interpreter and its options: a script or a module; nothing where it is something else."""
    if warm is None or spec.argv[: len(warm.python)] != warm.python:
        return ()
    arguments = spec.argv[len(warm.python) :]
    is_program = arguments[:1] == ("-m",) or not "".join(arguments[:1]).startswith("-")
    return arguments if is_program else ()


def fingerprint(sources: Iterable[Path]) -> str:
    """A digest of path, size and time of every file in `sources`, and of every Python file in folders of them.

    What is not there counts as such. One look a file, none into it: 400 files take a few milliseconds on a local disk.
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
