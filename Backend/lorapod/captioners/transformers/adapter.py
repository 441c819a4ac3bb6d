"""The embedded captioner behind the captioner port. No torch is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import metadata
from itertools import islice
from pathlib import Path

import lorapod
from lorapod.captioners.port import (
    CaptionerStatus,
    CaptionImage,
    CaptioningStopped,
    CaptionRequest,
    CaptionRun,
)
from lorapod.captioners.transformers.messages import (
    ANSWERS,
    Caption,
    Captioned,
    CaptionerAnswer,
    CaptionerLoaded,
    Done,
    LoadCaptioner,
    NotCaptioned,
    Pictures,
)
from lorapod.captioners.transformers.model_source import CaptionModel, find_caption_model
from lorapod.clock import Clock
from lorapod.errors import Unsupported
from lorapod.model_paths import ModelPaths
from lorapod.processes.launch import WarmSpec
from lorapod.processes.resident.child import ResidentSpec
from lorapod.processes.resident.conversation import Conversation, ResidentStopped, Wait
from lorapod.processes.resident.messages import Cancel, Cancelled
from lorapod.processes.resident.program import ResidentProgram
from lorapod.processes.starting import Starter
from lorapod.records.status import Phase
from lorapod.settings import Settings
from lorapod.workspace import Workspace

_PACKAGE = Path(lorapod.__file__).parent
#: What the child's code is made of, below the package.
_CHILD_MODULES = ("captioners", "processes/resident", "errors.py", "library_errors.py")
#: The child is forked from a process that has the libraries imported and never touches the GPU.
_WARM = WarmSpec(
    python=(sys.executable,),
    cwd=_PACKAGE.parent,
    preload=_PACKAGE / "captioners" / "transformers" / "child" / "preload.py",
    sources=tuple(_PACKAGE / name for name in _CHILD_MODULES),
)
_SPEC = ResidentSpec(
    title="captioner", module="lorapod.captioners.transformers.child", warm=_WARM, answers=ANSWERS
)
_LIBRARIES = ("transformers", "torch", "Pillow")
#: Folders of whole models in the workspace's `models`, beside that folder itself.
_FOLDERS = ("captioners", "LLM", "text_encoders")

#: Images of one request to the child: the frames of its videos lie on local disk until it is done.
_AT_ONCE = 32

_TOO_LONG = "Use a smaller model, or allow more time (STARTUP_TIMEOUT, CAPTION_TIMEOUT_S)."


class TransformersCaptioner:
    """Captions with a model of transformers in one resident child, which keeps its model between captionings."""

    name = "transformers"
    #: It runs anywhere; on a processor it is only slow.
    needs_gpu = False

    def __init__(self, *, settings: Settings, workspace: Workspace, clock: Clock, starter: Starter) -> None:
        """Start nothing yet.

        Args:
            settings: default model, time limits, model folders.
            workspace: the place of models.
            clock: measures how long the model has been idle, for `ENGINE_IDLE_S`.
            starter: starts the child.
        """
        self._settings = settings
        folders = [workspace.models / name for name in _FOLDERS]
        if models := settings.trainer_environment().get("MODELS_PATH"):
            folders.append(Path(models))
        self._paths = ModelPaths(workspace=workspace, folders=folders)
        self._program: ResidentProgram[CaptionerAnswer] = ResidentProgram(
            _SPEC,
            starter=starter,
            clock=clock,
            start=Wait(limit_s=settings.startup_timeout, failing="did not start", hint=_TOO_LONG),
            idle_s=settings.engine_idle_s,
        )
        self._jobs = 0

    def probe(self) -> CaptionerStatus:
        """Return whether the libraries are installed."""
        status = _installed()
        return CaptionerStatus(
            available=status.available,
            version=status.version,
            detail=status.detail,
            resident=self._program.resident,
        )

    def prepare(self, request: CaptionRequest) -> Sequence[str]:
        """Find the model; whether it takes images shows only once it is loaded.

        Raises:
            Unsupported: the libraries are not installed.
            NotFound: there is no such model.
            InvalidInput: it cannot be loaded.
        """
        status = _installed()
        if not status.available:
            raise Unsupported(f"The captioner transformers cannot run here: {status.detail}")
        self._model(request)
        return []

    def caption(self, request: CaptionRequest, images: Iterable[CaptionImage], run: CaptionRun) -> None:
        """Caption the images, some at a time.

        Raises:
            CaptioningStopped: it was stopped.
            WorkerError: it failed; the log has the traceback.
            OSError: the child could not be started, or a caption not be written.
        """
        try:
            with self._program.use(run.log):
                self._caption(request, images, run)
        except ResidentStopped:
            raise CaptioningStopped from None

    def release(self) -> None:
        """End the child: the only sure way to free all of its GPU memory."""
        self._program.release()

    def close(self) -> None:
        """End the child, also in the middle of a captioning."""
        self._program.close()

    def _caption(self, request: CaptionRequest, images: Iterable[CaptionImage], run: CaptionRun) -> None:
        # Find it again: it may have waited for hours since it was prepared.
        source = self._model(request)
        conversation = self._program.open(
            run.environment, run.stopped, starting=lambda: run.report("starting"), log=run.log
        )
        if self._program.loaded != source:
            self._program.set_loaded(None)
            self._load(conversation, source, run)
            self._program.set_loaded(source)
        for some in _chunks(images):
            self._jobs += 1
            self._ask(
                conversation, _caption_message(request, some, f"{request.process_id}-{self._jobs}"), run
            )

    def _load(
        self, conversation: Conversation[CaptionerAnswer], source: CaptionModel, run: CaptionRun
    ) -> None:
        run.report("loading the model", Phase.LOADING_MODEL)
        answer = conversation.ask(
            LoadCaptioner(model=source.model, offline=self._settings.hf_hub_offline),
            lambda answer: isinstance(answer, CaptionerLoaded),
            Wait(limit_s=self._settings.startup_timeout, failing="did not load the model", hint=_TOO_LONG),
        )
        assert isinstance(answer, CaptionerLoaded)
        run.log(f"loaded {source.model} as {answer.model_class} on {answer.device} in {answer.dtype}")

    def _ask(self, conversation: Conversation[CaptionerAnswer], message: Caption, run: CaptionRun) -> None:
        def wanted(answer: CaptionerAnswer) -> bool:
            if isinstance(answer, Captioned):
                run.captioned(answer.name, answer.text)
            elif isinstance(answer, NotCaptioned):
                run.failed(answer.name, answer.error, by_model=answer.by_model)
            return isinstance(answer, Done | Cancelled)

        limit_s = self._settings.caption_timeout_s * len(message.items)
        try:
            answer = conversation.ask(
                message,
                wanted,
                Wait(limit_s=limit_s, failing="did not caption the images", hint=_TOO_LONG),
                cancel=Cancel(job=message.job),
            )
        except BaseException:
            # A caption that could not be written, or a model that fails on all: the child is in the middle of its work.
            self._program.release()
            raise
        if isinstance(answer, Cancelled):
            raise CaptioningStopped

    def _model(self, request: CaptionRequest) -> CaptionModel:
        return find_caption_model(
            request.model or self._settings.caption_model,
            self._paths,
            hub_cache=self._settings.hub_cache,
            offline=self._settings.hf_hub_offline,
        )


def _chunks(images: Iterable[CaptionImage]) -> Iterator[list[CaptionImage]]:
    rest = iter(images)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _caption_message(request: CaptionRequest, images: Sequence[CaptionImage], job: str) -> Caption:
    return Caption(
        job=job,
        items=tuple(
            Pictures(name=image.name, paths=tuple(image.pictures), prompt=image.prompt) for image in images
        ),
        style=request.style,
        own_prompt=request.own_prompt,
        max_new_tokens=request.max_new_tokens,
        batch_size=request.batch_size,
    )


@cache
def _installed() -> CaptionerStatus:
    versions = []
    for library in _LIBRARIES:
        try:
            versions.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            return CaptionerStatus(
                available=False,
                detail=f"{library} is not installed; install lorapod with its `builtin` extra.",
            )
    return CaptionerStatus(
        available=True, version=metadata.version("transformers"), detail=", ".join(versions)
    )
