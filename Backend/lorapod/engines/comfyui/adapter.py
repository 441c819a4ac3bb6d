"""ComfyUI behind the engine port."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lorapod.engines.comfyui.client import ServerAway
from lorapod.engines.comfyui.editor import sent_editor_form, workflow_in
from lorapod.engines.comfyui.failures import PromptInterrupted
from lorapod.engines.comfyui.graph import Graph, parse_graph
from lorapod.engines.comfyui.input_files import InputFiles
from lorapod.engines.comfyui.job import ComfyJob
from lorapod.engines.comfyui.server import ComfyServer, ServerDied
from lorapod.engines.comfyui.server_probe import free_memory
from lorapod.engines.comfyui.stopping import PromptCancelled
from lorapod.engines.comfyui.templates import IMAGE_TO_VIDEO, TEXT_TO_IMAGE, WorkflowTemplates
from lorapod.engines.comfyui.watch import PromptLimits, PromptLost, PromptStuck
from lorapod.engines.comfyui.workflow import Parts, compose
from lorapod.engines.port import EngineStatus, Generation, GenerationResult, GenerationRun, GenerationStopped
from lorapod.errors import WorkerTimeout
from lorapod.settings import Settings
from lorapod.workspace import Workspace

logger = logging.getLogger(__name__)


class ComfyUIEngine:
    """Runs workflows on a ComfyUI server: the one at `COMFYUI_URL`, else one that it starts there."""

    name = "comfyui"
    #: The need of a workflow is not known.
    min_gpu_memory_bytes = 0

    def __init__(self, *, settings: Settings, workspace: Workspace) -> None:
        """Start nothing yet."""
        self._settings = settings
        self._templates = WorkflowTemplates(workspace.root / "workflows")
        self._server = ComfyServer(settings, workspace.root)
        self._inputs = InputFiles(workspace)
        self._resident = False
        self._busy = threading.Lock()

    @property
    def needs_gpu(self) -> bool:
        """False if ComfyUI has a GPU, is on another machine, or is to run on the processor (`--cpu`)."""
        return self._server.needs_gpu()

    def probe(self) -> EngineStatus:
        """Return whether a server answers, or could be started, and which of its extensions are missing."""
        return replace(self._probe(), problems=self._server.problems())

    def _probe(self) -> EngineStatus:
        view = self._server.look()
        if view.stats is not None:
            version = view.stats["system"].get("comfyui_version")
            return EngineStatus(
                available=True,
                version=None if version is None else str(version),
                detail=f"ComfyUI answers at {self._server.url}.",
                resident=self._resident,
            )
        if view.foreign:
            return EngineStatus(available=False, detail=f"The program at {self._server.url} is not ComfyUI.")
        if view.listens:
            return EngineStatus(
                available=True,
                detail=f"ComfyUI at {self._server.url} is busy: it does not answer at once.",
                resident=self._resident,
            )
        installation, detail = self._server.find()
        if installation is None:
            return EngineStatus(available=False, detail=f"No ComfyUI answers at {self._server.url}. {detail}")
        return EngineStatus(
            available=True, version=installation.version, detail=f"{detail} It is started when it is needed."
        )

    def prepare(self, generation: Generation) -> Sequence[str]:
        """Find and fill the workflow, as far as that is possible without the server.

        Raises:
            InvalidInput: it is not a workflow, or does not fit the request.
            NotFound: there is no workflow of that name.
            UnsafePath: it names a file outside the workspace.
            OSError: the workflow's file cannot be read.
        """
        template = self._template(generation)
        sent_editor_form(generation.workflow)
        composed = compose(generation, template, Parts())
        unused = self._inputs.check(composed.graph, template, generation)
        return [*composed.warnings, *unused]

    def generate(self, generation: Generation, run: GenerationRun) -> GenerationResult:
        """Run the workflow once for each image.

        Raises:
            GenerationStopped: `run.stopped()` said so, or it was interrupted in ComfyUI itself.
            WorkerError: it failed.
            OSError: the disk failed.
        """
        template = self._template(generation)
        with self._busy:
            try:
                return self._generate(generation, template, run)
            except (PromptCancelled, PromptInterrupted):
                raise GenerationStopped from None
            except PromptStuck:
                self._end_stuck()
                if run.stopped():
                    raise GenerationStopped from None
                raise WorkerTimeout(
                    "ComfyUI did not finish in time, and did not stop when it was cancelled."
                ) from None
            finally:
                self._server.listen(None)

    def release(self) -> None:
        """Have ComfyUI unload its models; a child of this worker that does not is ended."""
        if not self._resident:
            return
        freed = free_memory(self._server.url)
        if not freed:
            self._end_stuck()
        self._resident = False

    def close(self) -> None:
        """End the server, if this worker started it."""
        self._server.close()

    def _generate(self, generation: Generation, template: Graph, run: GenerationRun) -> GenerationResult:
        began_s = time.monotonic()
        stats = self._server.ready(run)
        started_s = time.monotonic() - began_s
        self._server.listen(run.log)
        self._resident = True
        job = ComfyJob(
            self._with_key(generation),
            template,
            run,
            root=self._server.root,
            limits=PromptLimits(
                deadline_s=time.monotonic() + self._settings.generation_timeout,
                history_attempts=self._settings.comfy_history_attempts,
                history_delay_s=self._settings.comfy_history_delay_seconds,
            ),
            check_server=self._server.check,
            inputs=self._inputs,
        )
        made = self._make(job, stats, run)
        self._server.worked()
        return replace(made, timings={"start_s": round(started_s, 3), **made.timings})

    def _with_key(self, generation: Generation) -> Generation:
        """Return the generation with the request's key for API nodes, else with the endpoint's own."""
        key = generation.comfy_org_api_key
        return replace(
            generation,
            comfy_org_api_key=key
            if key is not None and key.get_secret_value()
            else self._settings.comfy_org_api_key,
        )

    def _make(self, job: ComfyJob, stats: Mapping[str, Any], run: GenerationRun) -> GenerationResult:
        """Run the job; run it once more if the server died or lost it."""
        try:
            return job.make(self._server.url, stats)
        except (PromptLost, ServerAway, ServerDied) as error:
            if run.stopped():
                raise GenerationStopped from None
            run.log(f"{error.message} It is tried once more.")
        stats = self._server.ready(run)
        self._server.listen(run.log)
        return job.make(self._server.url, stats)

    def _end_stuck(self) -> None:
        """End a server that does not stop its prompt, if this worker started it."""
        if self._server.owned:
            logger.warning("comfyui does not stop and is ended")
            self._server.stop()
        else:
            logger.warning("comfyui does not stop", extra={"url": self._server.url})

    def _template(self, generation: Generation) -> Graph:
        if generation.workflow is not None:
            return parse_graph(workflow_in(generation.workflow), name="workflow")
        name = generation.workflow_name or (TEXT_TO_IMAGE if generation.image is None else IMAGE_TO_VIDEO)
        return self._templates.load(name)
