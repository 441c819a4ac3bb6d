"""The embedded engine behind the engine port. No torch is imported here."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import lorapod
from lorapod.clock import Clock
from lorapod.engines.diffusers.client import PipelineClient
from lorapod.engines.diffusers.messages import Generate, Load, Lora
from lorapod.engines.diffusers.model_source import ModelSource, check_loras, find_model, stamp_of
from lorapod.engines.diffusers.resident import ChildOutput, ResidentPipeline
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
from lorapod.processes.starting import Starter
from lorapod.settings import Settings
from lorapod.workspace import Workspace

_PACKAGE = Path(lorapod.__file__).parent
#: The child is forked from a process that has the libraries imported and never touches the GPU: after the GPU was freed,
#: the next start takes the time to load the model, without the imports.
_WARM = WarmSpec(
    python=(sys.executable,),
    cwd=_PACKAGE.parent,
    preload=_PACKAGE / "engines" / "diffusers" / "child" / "preload.py",
    sources=tuple(
        _PACKAGE / name
        for name in ("engines", "atomic.py", "errors.py", "library_errors.py", "safety", "weights.py")
    ),
)
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
        self._clock = clock
        self._starter = starter
        folders = [workspace.models / name for name in _FOLDERS]
        if models := settings.trainer_environment().get("MODELS_PATH"):
            folders.append(Path(models))
        self._paths = ModelPaths(workspace=workspace, folders=folders)
        self._output = ChildOutput(clock)
        self._lock = threading.Lock()
        self._resident: ResidentPipeline | None = None
        self._loaded: ModelSource | None = None
        self._busy = self._closed = False
        self._idle_since_s = 0.0
        self._jobs = 0

    def probe(self) -> EngineStatus:
        """Return whether the libraries are installed, and what is loaded."""
        status = _installed()
        with self._lock:
            resident = self._resident is not None and not self._resident.ended.is_set()
            loaded = self._loaded if resident else None
        return EngineStatus(
            available=status.available,
            version=status.version,
            detail=status.detail,
            resident=resident,
            model=loaded.model if loaded else None,
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
        with self._lock:
            self._busy = True
        try:
            with self._output.into(run.log):
                try:
                    return self._generate(generation, run)
                finally:
                    if self._resident is not None:
                        self._resident.read_out()
        finally:
            with self._lock:
                self._busy = False
                self._idle_since_s = self._clock.monotonic()

    def release(self) -> None:
        """End the child: the only sure way to free all of its GPU memory."""
        with self._lock:
            resident, self._resident, self._loaded = self._resident, None, None
        if resident is not None:
            resident.close()

    def close(self) -> None:
        """End the child, also in the middle of a generation."""
        with self._lock:
            self._closed = True
            busy, resident = self._busy, self._resident
        if busy and resident is not None:
            # The thread of the generation notices the end.
            resident.kill()
        else:
            self.release()

    def _generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        # Check again: it may have waited for hours since it was prepared.
        source = self._source(generation)
        check_loras(generation.loras)
        began_s = time.monotonic()
        client = self._client(run)
        started_s = time.monotonic()
        if self._loaded != source:
            self._loaded = None
            offline = self._settings.hf_hub_offline
            loaded = client.load(Load(model=source.model, config=source.config, offline=offline))
            self._loaded = source
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
        """Return a client of the child that is there, or of a new one once nothing is left of that."""
        resident = self._resident
        if resident is not None and not resident.killed and resident.environment == dict(run.environment):
            client = self._client_of(resident, run)
            if client.is_alive():
                return client
        self.release()
        client = self._client_of(self._start(run), run)
        client.connect()
        return client

    def _client_of(self, resident: ResidentPipeline, run: GenerationRun) -> PipelineClient:
        return PipelineClient(
            resident=resident,
            run=run,
            clock=self._clock,
            startup_timeout_s=self._settings.startup_timeout,
            generation_timeout_s=self._settings.generation_timeout,
        )

    def _start(self, run: GenerationRun) -> ResidentPipeline:
        environment: Mapping[str, str] = dict(run.environment)
        run.report(GenerationProgress(detail="starting"))
        self._starter.await_ready(_WARM, environment, run.stopped)
        with self._lock:
            if self._closed or run.stopped():
                raise GenerationStopped
            self._resident = ResidentPipeline(
                self._starter, _WARM, environment, write=self._output.write, tick=self._end_if_idle
            )
        run.log(f"started the diffusers process {self._resident.pid}")
        return self._resident

    def _end_if_idle(self, resident: ResidentPipeline) -> None:
        with self._lock:
            idle_s = self._clock.monotonic() - self._idle_since_s
            if not self._busy and idle_s >= self._settings.engine_idle_s:
                resident.kill()

    def _source(self, generation: Generation) -> ModelSource:
        name = generation.model or self._settings.diffusers_model
        if name is None:
            raise InvalidInput(
                "model: this worker has no default model; name one.",
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
