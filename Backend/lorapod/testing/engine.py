"""An engine that draws squares, and what an engine is given while it generates."""

from __future__ import annotations

import io
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import Image

from lorapod.engines.port import (
    EngineStatus,
    GeneratedFile,
    Generation,
    GenerationProgress,
    GenerationResult,
    GenerationRun,
    GenerationStopped,
)
from lorapod.errors import InvalidInput, WorkerError
from lorapod.processes.launch import ChildExit, LaunchSpec
from lorapod.processes.slots import Slot

#: The side of an image, in pixels, if the generation gives none.
SIDE = 16

_KNOWN_PARAMS = frozenset({"fail", "step_s", "colour"})


class FakeEngine:
    """A `lorapod.engines.port.Engine` whose images show their seed as a colour.

    Its own parameters: `step_s`, how long a step takes; `fail`, the sentence it fails with at half.
    """

    needs_gpu = False
    min_gpu_memory_bytes = 0

    def __init__(self, name: str = "fake", *, available: bool = True) -> None:
        """Load nothing yet."""
        self.name = name
        self.available = available
        self.resident = False
        #: How often it loaded its model, and gave the GPU up.
        self.loads = self.releases = 0
        self.closed = False
        #: The process that it generates for at this moment.
        self.busy_with: str | None = None
        self._lock = threading.Lock()

    def probe(self) -> EngineStatus:
        """Return the state that the test gave it."""
        detail = "draws squares" if self.available else "it was made so"
        model = "squares" if self.resident else None
        return EngineStatus(
            available=self.available, version="1", detail=detail, resident=self.resident, model=model
        )

    def prepare(self, generation: Generation) -> Sequence[str]:
        """Refuse an odd width and slow steps, warn of parameters that it does not know.

        Raises:
            InvalidInput: the width is odd, or a step would take more than a second.
        """
        if generation.width is not None and generation.width % 2:
            raise InvalidInput("width: must be even.")
        step_s = generation.params.get("step_s", 0)
        if not isinstance(step_s, int | float) or not 0 <= step_s <= 1:
            raise InvalidInput("params.step_s: must be a number from 0 to 1.")
        unknown = sorted(set(generation.params) - _KNOWN_PARAMS)
        return [f"{self.name} does not know the parameter {name!r}." for name in unknown]

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        """Draw, a step at a time.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: as `fail` says.
        """
        assert self._lock.acquire(blocking=False), "one generation at a time"
        self.busy_with = generation.process_id
        try:
            return self._generate(generation, run)
        finally:
            self.busy_with = None
            self._lock.release()

    def release(self) -> None:
        """Forget the model."""
        assert self.busy_with is None, "never during a generation"
        if self.resident:
            self.resident = False
            self.releases += 1

    def close(self) -> None:
        """Be over."""
        self.closed = True
        self.resident = False

    def _generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        began_s = time.monotonic()
        if not self.resident:
            run.log("loading squares")
            self.loads += 1
            self.resident = True
        loaded_s = time.monotonic()
        files = [self._draw(generation, run, index) for index in range(generation.num_images)]
        return GenerationResult(
            files=files,
            timings={"load_s": loaded_s - began_s, "generate_s": time.monotonic() - loaded_s},
        )

    @staticmethod
    def _draw(generation: Generation, run: GenerationRun, index: int) -> GeneratedFile:
        steps = generation.steps or 2
        for step in range(1, steps + 1):
            until_s = time.monotonic() + float(generation.params.get("step_s", 0.0))
            while True:
                if run.stopped():
                    raise GenerationStopped
                if (left_s := until_s - time.monotonic()) <= 0:
                    break
                time.sleep(min(0.05, left_s))
            if step * 2 >= steps and (sentence := generation.params.get("fail")):
                raise WorkerError(str(sentence))
            run.report(
                GenerationProgress(
                    step=step, total_steps=steps, image=index + 1, total_images=generation.num_images
                )
            )
        seed = generation.seed + index
        colour = (seed & 255, seed >> 8 & 255, seed >> 16 & 255)
        path = generation.folder / f"image_{index:03d}.png"
        Image.new("RGB", (generation.width or SIDE, generation.height or SIDE), colour).save(path)
        return GeneratedFile(path=path, seed=seed)


@dataclass(kw_only=True)
class RecordedRun:
    """A `lorapod.engines.port.GenerationRun` without a process manager: keeps what it gets."""

    slot: Slot = field(default_factory=lambda: Slot(gpu=None))
    environment: Mapping[str, str] = field(default_factory=dict)
    reported: list[GenerationProgress] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    #: Set it to have the engine end.
    stop: threading.Event = field(default_factory=threading.Event)

    def stopped(self) -> bool:
        """Return whether `stop` is set."""
        return self.stop.is_set()

    def report(self, progress: GenerationProgress) -> None:
        """Keep it."""
        self.reported.append(progress)

    def log(self, text: str) -> None:
        """Keep it."""
        self.lines.append(text)

    def run_child(self, spec: LaunchSpec, on_line: Callable[[str], None]) -> ChildExit:
        """Run it without a guard; `stop` sends SIGINT."""
        launched_at, told_at = time.time(), len(self.lines)
        with subprocess.Popen(
            spec.argv,
            cwd=spec.cwd,
            env={**self.environment, **spec.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as child:
            watcher = threading.Thread(target=self._interrupt, args=(child,))
            watcher.start()
            assert child.stdout is not None
            # Repaints of a progress bar are lines too.
            with io.TextIOWrapper(child.stdout, errors="replace", newline=None) as lines:
                for line in lines:
                    self.lines.append(line.rstrip())
                    on_line(line.rstrip())
            returncode = child.wait()
            watcher.join()
        return ChildExit(
            exit_code=returncode if returncode >= 0 else None,
            signal=-returncode if returncode < 0 else None,
            stop_requested=self.stop.is_set(),
            launched_at=launched_at,
            last_lines=self.lines[told_at:],
        )

    def _interrupt(self, child: subprocess.Popen[bytes]) -> None:
        while child.poll() is None:
            if self.stop.wait(0.02):
                child.send_signal(signal.SIGINT)
                return
