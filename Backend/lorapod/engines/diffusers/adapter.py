"""The embedded engine behind the engine port. No torch is imported here."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import lorapod
from lorapod.clock import Clock
from lorapod.engines.diffusers.client import TOO_LONG, PipelineClient
from lorapod.engines.diffusers.messages import ANSWERS, Generate, Load, Lora
from lorapod.engines.diffusers.model_source import ModelSource, check_loras, find_model, stamp_of
from lorapod.engines.inputs import refuse_inputs
from lorapod.engines.port import (
    EngineStatus,
    GeneratedFile,
    Generation,
    GenerationProgress,
    GenerationResult,
    GenerationRun,
    GenerationStopped,
)
from lorapod.errors import InvalidInput, Unsupported
from lorapod.model_paths import ModelPaths
from lorapod.processes.launch import WarmSpec
from lorapod.processes.resident.child import ResidentSpec
from lorapod.processes.resident.conversation import ResidentStopped, Wait
from lorapod.processes.resident.program import ResidentProgram
from lorapod.processes.starting import Starter
from lorapod.settings import Settings
from lorapod.workspace import Workspace

_PACKAGE = Path(lorapod.__file__).parent
#: What the child's code is made of, below the package.
_CHILD_MODULES = (
    *("engines", "processes/resident", "safety"),
    *("atomic.py", "errors.py", "library_errors.py", "weights.py"),
)
#: The child is forked from a process that has the libraries imported and never touches the GPU: after the GPU was freed,
#: the next start takes the time to load the model, without the imports.
_WARM = WarmSpec(
    python=(sys.executable,),
    cwd=_PACKAGE.parent,
    preload=_PACKAGE / "engines" / "diffusers" / "child" / "preload.py",
    sources=tuple(_PACKAGE / name for name in _CHILD_MODULES),
)
_SPEC = ResidentSpec(title="diffusers", module="lorapod.engines.diffusers.child", warm=_WARM, answers=ANSWERS)
#: Folders of whole models in the workspace's `models`, beside that folder itself.
_FOLDERS = ("diffusers", "checkpoints")
_LIBRARIES = ("diffusers", "torch", "transformers", "peft", "accelerate")


class DiffusersEngine:
    """Makes images with diffusers in one resident child, which keeps its model and LoRAs between generations."""

    name = "diffusers"
    #: It runs anywhere; on a processor it is only slow.
    needs_gpu = False
    #: The smallest usual model in half precision.
    min_gpu_memory_bytes = 2_000_000_000

    def __init__(
        self,
        *,
        settings: Settings,
        workspace: Workspace,
        clock: Clock,
        starter: Starter,
    ) -> None:
        """Start nothing yet.

        Args:
            settings: default model, time limits, model folders.
            workspace: the place of models and results.
            clock: measures how long the model has been idle, for `ENGINE_IDLE_S`.
            starter: starts the child.
        """
        self._settings = settings
        folders = [workspace.models / name for name in _FOLDERS]
        if models := settings.trainer_environment().get("MODELS_PATH"):
            folders.append(Path(models))
        self._paths = ModelPaths(workspace=workspace, folders=folders)
        self._program = ResidentProgram(
            _SPEC,
            starter=starter,
            clock=clock,
            start=Wait(limit_s=settings.startup_timeout, failing="did not start", hint=TOO_LONG),
            idle_s=settings.engine_idle_s,
        )
        self._jobs = 0

    def probe(self) -> EngineStatus:
        """Return whether the libraries are installed, and what is loaded."""
        status = _installed()
        loaded = self._program.loaded
        return EngineStatus(
            available=status.available,
            version=status.version,
            detail=status.detail,
            resident=self._program.resident,
            model=loaded.model if isinstance(loaded, ModelSource) else None,
        )

    def prepare(self, generation: Generation) -> Sequence[str]:
        """Find the model and look at the LoRAs' headers; what the pipeline takes shows only once it is loaded.

        Raises:
            Unsupported: the libraries are not installed, or there are inputs that it does not take.
            NotFound: there is no such model.
            InvalidInput: a model or a LoRA cannot be loaded.
        """
        status = _installed()
        if not status.available:
            raise Unsupported(f"The diffusers engine cannot run here: {status.detail}")
        if generation.workflow is not None or generation.workflow_name is not None:
            raise Unsupported("The diffusers engine runs no workflows.", hint="Take the engine comfyui.")
        refuse_inputs(generation, self.name, takes=frozenset({"mask"}))
        self._source(generation)
        check_loras(generation.loras)
        warnings = []
        if generation.length is not None:
            warnings.append("length has no effect: the diffusers engine makes images.")
        return warnings

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        """Make the images.

        Raises:
            GenerationStopped: it was stopped.
            WorkerError: it failed; the log has the traceback.
            OSError: the child could not be started.
        """
        try:
            with self._program.use(run.log):
                return self._generate(generation, run)
        except ResidentStopped:
            raise GenerationStopped from None

    def release(self) -> None:
        """End the child: the only sure way to free all of its GPU memory."""
        self._program.release()

    def close(self) -> None:
        """End the child, also in the middle of a generation."""
        self._program.close()

    def _generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        # Check again: it may have waited for hours since it was prepared.
        source = self._source(generation)
        check_loras(generation.loras)
        began_s = time.monotonic()
        client = self._client(run)
        started_s = time.monotonic()
        if self._program.loaded != source:
            self._program.set_loaded(None)
            offline = self._settings.hf_hub_offline
            loaded = client.load(Load(model=source.model, config=source.config, offline=offline))
            self._program.set_loaded(source)
            run.log(f"loaded {source.model} as {loaded.pipeline} on {loaded.device} in {loaded.dtype}")
        loaded_s = time.monotonic()
        self._jobs += 1
        made = client.generate(_request(generation, job=f"{generation.process_id}-{self._jobs}"))
        return GenerationResult(
            files=[GeneratedFile(path=image.path, seed=image.seed) for image in made.images],
            warnings=made.warnings,
            timings={
                "start_s": round(started_s - began_s, 3),
                "load_s": round(loaded_s - started_s, 3),
                "generate_s": round(time.monotonic() - loaded_s, 3),
            },
        )

    def _client(self, run: GenerationRun) -> PipelineClient:
        conversation = self._program.open(
            run.environment,
            run.stopped,
            starting=lambda: run.report(GenerationProgress(detail="starting")),
            log=run.log,
        )
        return PipelineClient(
            conversation=conversation,
            run=run,
            startup_timeout_s=self._settings.startup_timeout,
            generation_timeout_s=self._settings.generation_timeout,
        )

    def _source(self, generation: Generation) -> ModelSource:
        name = generation.model or generation.trained_on or self._settings.diffusers_model
        if name is None:
            raise InvalidInput(
                "model: this worker has no default model, and no training here made a LoRA of the request; name one.",
                hint="Give a path in the workspace or a HuggingFace id, or set DIFFUSERS_MODEL.",
            )
        return find_model(
            name,
            self._paths,
            hub_cache=self._settings.hub_cache,
            offline=self._settings.hf_hub_offline,
        )


def _request(generation: Generation, *, job: str) -> Generate:
    return Generate(
        job=job,
        prompt=generation.prompt,
        negative_prompt=generation.negative_prompt,
        width=generation.width,
        height=generation.height,
        steps=generation.steps,
        guidance_scale=generation.guidance_scale,
        seed=generation.seed,
        num_images=generation.num_images,
        loras=tuple(
            Lora(path=lora.path, name=lora.name, weight=lora.weight, stamp=stamp_of([lora.path]))
            for lora in generation.loras
        ),
        image=generation.image,
        mask=generation.mask,
        strength=generation.strength,
        params=dict(generation.params),
        folder=generation.folder,
    )


@cache
def _installed() -> EngineStatus:
    versions = []
    for library in _LIBRARIES:
        try:
            versions.append(f"{library} {metadata.version(library)}")
        except metadata.PackageNotFoundError:
            return EngineStatus(
                available=False,
                detail=f"{library} is not installed; install lorapod with its `builtin` extra.",
            )
    return EngineStatus(available=True, version=metadata.version("diffusers"), detail=", ".join(versions))
