"""The requests of one generation to the child."""

from __future__ import annotations

from dataclasses import dataclass

from lorapod.engines.diffusers.messages import Answer, Generate, Load, Loaded, Made, StepProgress
from lorapod.engines.port import GenerationProgress, GenerationRun
from lorapod.processes.resident.conversation import Conversation, ResidentStopped, Wait
from lorapod.processes.resident.messages import Cancel, Cancelled
from lorapod.records.status import Phase

#: What helps if the child takes too long.
TOO_LONG = "Ask for fewer or smaller images or fewer steps, or allow more time (GENERATION_TIMEOUT, STARTUP_TIMEOUT)."


@dataclass(frozen=True, kw_only=True)
class PipelineClient:
    """Sends the requests of one generation."""

    conversation: Conversation[Answer]
    run: GenerationRun
    startup_timeout_s: float
    generation_timeout_s: float

    def load(self, request: Load) -> Loaded:
        """Have a model loaded.

        Raises:
            ResidentStopped: it was stopped.
            WorkerError: it could not be loaded.
        """
        self.run.report(GenerationProgress(detail="loading the model", phase=Phase.LOADING_MODEL))
        answer = self.conversation.ask(
            request,
            lambda answer: isinstance(answer, Loaded),
            Wait(limit_s=self.startup_timeout_s, failing="did not load the model", hint=TOO_LONG),
        )
        assert isinstance(answer, Loaded)
        return answer

    def generate(self, request: Generate) -> Made:
        """Have images made.

        Raises:
            ResidentStopped: it was stopped.
            WorkerError: they could not be made.
        """

        def wanted(answer: Answer) -> bool:
            if isinstance(answer, StepProgress):
                self._report(answer, request.num_images)
            return isinstance(answer, Made | Cancelled)

        answer = self.conversation.ask(
            request,
            wanted,
            Wait(limit_s=self.generation_timeout_s, failing="did not make the images", hint=TOO_LONG),
            cancel=Cancel(job=request.job),
        )
        if isinstance(answer, Cancelled):
            raise ResidentStopped
        assert isinstance(answer, Made)
        return answer

    def _report(self, progress: StepProgress, total_images: int) -> None:
        self.run.report(
            GenerationProgress(
                step=progress.step,
                total_steps=progress.total_steps,
                image=progress.image,
                total_images=total_images,
            )
        )
