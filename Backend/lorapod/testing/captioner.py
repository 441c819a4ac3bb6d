"""A captioner without a model, and a run that keeps what it gets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lorapod.captioners.port import (
    CaptionerStatus,
    CaptionImage,
    CaptioningStopped,
    CaptionRequest,
    CaptionRun,
)
from lorapod.errors import NotFound, UpstreamError
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.slots import Slot
from lorapod.records.status import Phase
from lorapod.testing.engine import RecordedRun


class FakeCaptioner:
    """Captions each image with its name.

    Its models are `fake` and words of it: `fake slow` takes 50 ms for each image, `fake broken` fails as a whole, `fake odd`
    fails on images whose name has `odd`.
    """

    name = "fake"
    needs_gpu = False

    def __init__(self) -> None:
        """Begin with nothing loaded."""
        self.loaded = False

    def probe(self) -> CaptionerStatus:
        """Return that it is there."""
        return CaptionerStatus(available=True, version="1", detail="A fake.", resident=self.loaded)

    def prepare(self, request: CaptionRequest) -> Sequence[str]:
        """Refuse other models than its own."""
        if request.model is not None and not request.model.startswith("fake"):
            raise NotFound(f"model: there is no {request.model[:80]!r}.")
        return []

    def caption(self, request: CaptionRequest, images: Iterable[CaptionImage], run: CaptionRun) -> None:
        """Caption the images one by one."""
        words = (request.model or "fake").split()
        self.loaded = True
        if "broken" in words:
            raise UpstreamError("The fake model is broken.")
        for image in images:
            if run.stopped():
                raise CaptioningStopped
            if "slow" in words:
                time.sleep(0.05)
            if not all(path.exists() for path in image.pictures):
                run.failed(image.name, "The file is gone.")
            elif "odd" in words and "odd" in image.name:
                run.failed(image.name, "The fake model finds it odd.", by_model=True)
            else:
                run.captioned(image.name, f"{image.prompt[:40]}: {image.name}")

    def release(self) -> None:
        """Forget the model."""
        self.loaded = False

    def close(self) -> None:
        """Forget the model."""
        self.loaded = False


@dataclass(kw_only=True)
class RecordedCaptioning:
    """A `lorapod.captioners.port.CaptionRun` without a process manager: keeps what it gets."""

    slot: Slot = field(default_factory=lambda: Slot(gpu=None))
    environment: Mapping[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    #: Set it to have the captioner end.
    stop: threading.Event = field(default_factory=threading.Event)

    def stopped(self) -> bool:
        """Return whether `stop` is set."""
        return self.stop.is_set()

    def report(self, detail: str, phase: Phase | None = None) -> None:
        """Keep it."""
        del phase
        self.reported.append(detail)

    def captioned(self, name: str, text: str) -> None:
        """Keep it."""
        self.texts[name] = text

    def failed(self, name: str, error: str, *, by_model: bool = False) -> None:
        """Keep it."""
        del by_model
        self.failures[name] = error

    def log(self, text: str) -> None:
        """Keep it."""
        self.lines.append(text)

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run it without a guard, as engines' children are run in tests."""
        child = RecordedRun(environment=self.environment, stop=self.stop, lines=self.lines)
        return child.run_child(spec, on_line)
