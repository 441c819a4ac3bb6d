"""The requests of one generation to the child."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass

from lorapod.clock import Clock
from lorapod.engines.diffusers.channel import ChannelClosed
from lorapod.engines.diffusers.messages import (
    Answer,
    Cancel,
    Cancelled,
    Failed,
    Generate,
    Load,
    Loaded,
    Made,
    Message,
    Ping,
    Pong,
    StepProgress,
)
from lorapod.engines.diffusers.resident import NotStarted, ResidentPipeline
from lorapod.engines.port import GenerationProgress, GenerationRun, GenerationStopped
from lorapod.errors import (
    InternalError,
    OutOfMemory,
    WorkerError,
    WorkerTimeout,
    error_of,
)
from lorapod.processes.status import Phase

#: How long the present step may continue after a stop; then the child is ended.
CANCEL_S = 10.0

#: How long an idle child may take to answer; then it is replaced.
ANSWER_S = 5.0

#: From the end of the connection to the exit that explains it.
_DEATH_S = 2.0

_LOOK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class PipelineClient:
    """Sends the requests of one generation; after a failure the child has ended, or is ready for the next."""

    resident: ResidentPipeline
    run: GenerationRun
    clock: Clock
    startup_timeout_s: float
    generation_timeout_s: float

    def connect(self) -> None:
        """Wait for the child's imports.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: the child ended, or took too long.
        """
        deadline = self.clock.monotonic() + self.startup_timeout_s
        try:
            self.resident.connect(lambda: self.run.stopped() or self.clock.monotonic() >= deadline)
        except NotStarted as error:
            raise self._gave_up(deadline, "did not start", self.startup_timeout_s) from error
        self._await(lambda answer: answer.kind == "ready", deadline, "did not start", self.startup_timeout_s)

    def is_alive(self) -> bool:
        """Return whether a child that served an earlier generation still answers.

        It may have been killed a moment ago, by the worker for being idle or by the system for want of memory: its end
        shows only seconds later, when the driver has given its memory back.

        Raises:
            GenerationStopped: it was stopped.
        """
        deadline = self.clock.monotonic() + ANSWER_S
        try:
            self.resident.send(Ping())
            while self.clock.monotonic() < deadline:
                if isinstance(self.resident.receive(_LOOK_S), Pong):
                    return True
                if self.run.stopped():
                    raise GenerationStopped
        except ChannelClosed:
            pass
        return False

    def load(self, request: Load) -> Loaded:
        """Have a model loaded.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: it could not be loaded.
        """
        self.run.report(GenerationProgress(detail="loading the model", phase=Phase.LOADING_MODEL))
        deadline = self.clock.monotonic() + self.startup_timeout_s
        self._send(request)
        answer = self._await(
            lambda answer: isinstance(answer, Loaded),
            deadline,
            "did not load the model",
            self.startup_timeout_s,
        )
        assert isinstance(answer, Loaded)
        return answer

    def generate(self, request: Generate) -> Made:
        """Have images made.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: they could not be made.
        """
        deadline = self.clock.monotonic() + self.generation_timeout_s
        self._send(request)
        answer = self._await(
            lambda answer: isinstance(answer, Made | Cancelled),
            deadline,
            "did not make the images",
            self.generation_timeout_s,
            cancel=Cancel(job=request.job),
            total_images=request.num_images,
        )
        if isinstance(answer, Cancelled):
            raise GenerationStopped
        assert isinstance(answer, Made)
        return answer

    def _await(
        self,
        wanted: Callable[[Answer], bool],
        deadline: float,
        failing: str,
        limit_s: float,
        *,
        cancel: Cancel | None = None,
        total_images: int = 1,
    ) -> Answer:
        cancel_deadline: float | None = None
        while True:
            now = self.clock.monotonic()
            if now >= (deadline if cancel_deadline is None else cancel_deadline):
                raise self._gave_up(deadline, failing, limit_s)
            if cancel_deadline is None and self.run.stopped():
                if cancel is None:
                    # A load can be ended only with the process.
                    raise self._gave_up(deadline, failing, limit_s)
                self._send(cancel)
                cancel_deadline = now + CANCEL_S
            try:
                answer = self.resident.receive(_LOOK_S)
            except ChannelClosed as error:
                raise self._death() from error
            if isinstance(answer, StepProgress):
                self._report(answer, total_images)
            elif isinstance(answer, Failed):
                raise self._failure(answer)
            elif answer is not None and wanted(answer):
                return answer

    def _send(self, message: Message) -> None:
        try:
            self.resident.send(message)
        except ChannelClosed as error:
            raise self._death() from error

    def _report(self, progress: StepProgress, total_images: int) -> None:
        self.run.report(
            GenerationProgress(
                step=progress.step,
                total_steps=progress.total_steps,
                image=progress.image,
                total_images=total_images,
            )
        )

    def _failure(self, answer: Failed) -> WorkerError:
        if answer.fatal:
            self.resident.close()
        return error_of(answer.code, answer.message, hint=answer.hint)

    def _gave_up(self, deadline: float, failing: str, limit_s: float) -> Exception:
        """End the child, whose state is not known any more; return the error to raise."""
        died = self.resident.ended.is_set() and not self.resident.killed
        if died:
            return self._death()
        self.resident.close()
        if self.run.stopped() or self.clock.monotonic() < deadline:
            return GenerationStopped()
        return WorkerTimeout(
            f"The diffusers process {failing} within {limit_s:g} s, and was ended.",
            hint="Ask for fewer or smaller images or fewer steps, or allow more time "
            "(GENERATION_TIMEOUT, STARTUP_TIMEOUT).",
        )

    def _death(self) -> Exception:
        """Return the error to raise after the connection has ended."""
        self.resident.ended.wait(_DEATH_S)
        if self.resident.killed:
            # The worker ends: nothing else ends it while it generates.
            return GenerationStopped()
        if not self.resident.ended.is_set():
            self.resident.close()
            return InternalError("The diffusers process is not understood any more, and was ended.")
        how = self.resident.exit
        if how is not None and how.signal == signal.SIGKILL:
            return OutOfMemory(
                "The diffusers process was killed from outside, most likely because the machine ran out of memory.",
                hint="Use a smaller model, or take a machine with more memory.",
            )
        if how is not None and how.signal is not None:
            said = f"was ended by {signal.Signals(how.signal).name}"
        else:
            said = f"ended with exit code {how.exit_code if how else None}"
        return InternalError(
            f"The diffusers process {said} in the middle of its work.",
            hint="The log has its last words; the next generation starts it anew.",
        )
